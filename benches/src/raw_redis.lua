-- One compare-and-swap of one key, as somebody would write it by hand who keeps the same promises: the epoch, the chain
-- of transactions and the expectation are checked, the log has what was there before.
-- KEYS: meta, objects, index, log. ARGV: epoch, revision and transaction seen last, transaction, key, expected, value.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'txn')
if meta[1] ~= ARGV[1] then return 'epoch' end
local head, seen = tonumber(meta[2]), tonumber(ARGV[2])
if seen > head then return 'broken' end
if seen > 0 then
  local found = redis.call('XRANGE', KEYS[4], ARGV[2] .. '-0', ARGV[2] .. '-0')[1]
  if found and string.sub(found[2][2], 1, 16) ~= ARGV[3] then return 'broken' end
end
local previous = redis.call('HGET', KEYS[2], ARGV[5])
local current = previous and string.sub(previous, 1, 8) or ''
if current ~= ARGV[6] then return 'conflict' end
local revision = head + 1
local entry = struct.pack('>I8', revision) .. ARGV[4] .. ARGV[7]
local at = string.format('%.0f', revision)
redis.call('XADD', KEYS[4], at .. '-0', 'b', ARGV[4] .. meta[3] .. struct.pack('>I2', #ARGV[5]) .. ARGV[5]
  .. struct.pack('>I4', #entry) .. entry .. (previous or ''))
redis.call('HSET', KEYS[2], ARGV[5], entry)
if not previous then redis.call('ZADD', KEYS[3], 0, ARGV[5]) end
redis.call('HSET', KEYS[1], 'head', at, 'txn', ARGV[4])
return at
