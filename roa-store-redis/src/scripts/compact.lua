-- Raises the floor. The entries below it are removed afterwards, in steps. KEYS: meta, log.
-- ARGV: epoch, revision.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'floor', 'head', 'head_txn', 'bytes')
if meta[1] ~= ARGV[1] then return {'epoch', meta[1]} end
local to = tonumber(ARGV[2])
if to > tonumber(meta[3]) then return {'later', meta[3]} end
if to <= tonumber(meta[2]) then return meta[2] end
local at = string.format('%.0f', to)
local found = redis.call('XRANGE', KEYS[2], at .. '-0', at .. '-0')[1]
if not found then return {'missing', at} end
local batch = found[2][2]
redis.call('HSET', KEYS[1], 'floor', at, 'floor_txn', string.sub(batch, 1, 16),
  'floor_bytes', string.format('%.0f', struct.unpack('>I8', batch, 41)))
return at
