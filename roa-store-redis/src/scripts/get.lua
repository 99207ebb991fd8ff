-- One entry, and where the store stands. KEYS: meta, objects. ARGV: key.
local meta = redis.call('HMGET', KEYS[1], 'store', 'epoch', 'head', 'head_txn')
return {meta, redis.call('HGET', KEYS[2], ARGV[1])}
