-- One entry, and where the store stands. KEYS: meta, objects. ARGV: key.
local meta = redis.call('HMGET', KEYS[1], 'store', 'epoch', 'head')
return {meta[1], meta[2], meta[3], redis.call('HGET', KEYS[2], ARGV[1])}
