-- Where the store stands, and what is there. KEYS: meta, objects, index, log.
local meta = redis.call('HMGET', KEYS[1], 'format', 'schema', 'store', 'epoch', 'head', 'head_txn', 'floor',
  'floor_txn', 'bytes', 'floor_bytes', 'run_id', 'replid')
return {meta, redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('XLEN', KEYS[4])}
