-- A page of entries in key order, and where the store stands. KEYS: meta, objects, index.
-- ARGV: least and greatest key as ZRANGE takes them, how many, and after how many bytes to stop: whether it did is told
-- at the end.
local meta = redis.call('HMGET', KEYS[1], 'store', 'epoch', 'head', 'head_txn', 'floor')
local keys = redis.call('ZRANGE', KEYS[3], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
local values, bytes, most, step = {}, 0, tonumber(ARGV[4]), 16
for first = 1, #keys, step do
  local last = math.min(first + step - 1, #keys)
  for _, value in ipairs(redis.call('HMGET', KEYS[2], unpack(keys, first, last))) do
    values[#values + 1] = value
    bytes = bytes + #(value or '')
  end
  if bytes >= most and last < #keys then return {meta, {unpack(keys, 1, last)}, values, 1} end
end
return {meta, keys, values, 0}
