-- Breaks the history, once: who comes second finds another epoch. KEYS: meta, log.
-- ARGV: epoch that the caller knows, next epoch, highest revision that the caller knows, the time line, how far to
-- jump, no transaction (16 bytes), the server's run id and replication id.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'head_txn', 'jumped', 'bytes')
if not meta[1] or meta[1] ~= ARGV[1] then return 0 end
local head, highest = tonumber(meta[2]), tonumber(ARGV[3])
if meta[4] == '1' and meta[3] == ARGV[6] and highest <= head then
  -- Nothing was committed since the last jump.
  redis.call('HSET', KEYS[1], 'run_id', ARGV[7], 'replid', ARGV[8])
  return 0
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local top = last and tonumber(string.match(last[1], '^%d+')) or 0
local past = math.max(head, highest, top, tonumber(ARGV[4])) + tonumber(ARGV[5])
local at = string.format('%.0f', math.min(past, 9007199254740991))
-- The one write that can fail comes first. It wakes who waits for changes.
redis.call('XADD', KEYS[2], at .. '-0', 'jump', ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', at .. '-0')
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'head', at, 'head_txn', ARGV[6], 'floor', at, 'floor_txn', ARGV[6],
  'floor_bytes', meta[5], 'jumped', '1', 'run_id', ARGV[7], 'replid', ARGV[8])
return 1
