-- Where the store stands, and what is there. KEYS: meta, objects, index, log. ARGV: whether to tell of the server, too:
-- its run id, role, replication id, and the one before. In one step with the rest, since a proxy may swap servers.
local meta = redis.call('HMGET', KEYS[1], 'format', 'schema', 'store', 'epoch', 'head', 'head_txn', 'floor',
  'floor_txn', 'bytes', 'floor_bytes', 'run_id', 'replid')
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
local counts = {redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('XLEN', KEYS[4])}
local server = {}
if ARGV[1] == '1' then
  local replication = redis.call('INFO', 'replication')
  server = {string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), string.match(replication, 'role:(%a+)'),
    string.match(replication, 'master_replid:(%x+)'), string.match(replication, 'master_replid2:(%x+)')}
end
return {meta, counts[1], counts[2], counts[3], last and last[1] or '', server}
