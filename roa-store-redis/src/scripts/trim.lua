-- Removes some of what lies below the floor. How many, and whether that was all. KEYS: meta, log. ARGV: how many at most.
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor'))
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not floor or not first then return 0 end
local oldest = tonumber(string.match(first[1], '^%d+'))
if oldest > floor then return 0 end
local to = math.min(oldest + tonumber(ARGV[1]), floor + 1)
return redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', to) .. '-0')
