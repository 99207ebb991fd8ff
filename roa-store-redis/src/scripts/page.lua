-- A page of entries in key order, and where the store stands. KEYS: meta, objects, index.
-- ARGV: least and greatest key as ZRANGE takes them, how many.
local meta = redis.call('HMGET', KEYS[1], 'store', 'epoch', 'head', 'head_txn', 'floor')
local keys = redis.call('ZRANGE', KEYS[3], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
if #keys == 0 then return {meta, keys, {}} end
return {meta, keys, redis.call('HMGET', KEYS[2], unpack(keys))}
