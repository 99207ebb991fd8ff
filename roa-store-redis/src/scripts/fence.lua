-- Breaks the history, once: who comes second finds another epoch. Puts back what a commit that did not end has left.
-- KEYS: meta, objects, index, log.
-- ARGV: epoch that the caller knows, next epoch, highest revision that the caller knows, the time line, how far to
-- jump, no transaction (16 bytes), how far past the head the time line may lead.
local call, sub, unpack_number = redis.call, string.sub, struct.unpack
local meta = call('HMGET', KEYS[1], 'epoch', 'head', 'head_txn', 'jumped', 'bytes', 'run_id', 'replid')
if not meta[1] or meta[1] ~= ARGV[1] then return 0 end
local head, highest = tonumber(meta[2]), tonumber(ARGV[3])
local last = call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
local top = last and tonumber(string.match(last[1], '^%d+')) or 0
local run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)')
local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local agree = call('HLEN', KEYS[2]) == call('ZCARD', KEYS[3])
-- A server that has started anew may remember no commit since the last jump because it has lost them.
local same_server = meta[6] == run_id and meta[7] == replid
if same_server and meta[4] == '1' and meta[3] == ARGV[6] and highest <= head and top <= head and agree then
  return 0
end

-- What lies past the head is of commits that did not end: what each key was before, the earliest of them last.
local before = {}
if top > head then
  local pending = call('XREVRANGE', KEYS[4], '+', '(' .. string.format('%.0f', head) .. '-0')
  for _, entry in ipairs(pending) do
    local batch = entry[2][1] == 'batch' and entry[2][2] or ''
    local number = struct.pack('>I8', tonumber(string.match(entry[1], '^%d+')))
    local at = 49
    while at + 1 <= #batch do
      local key_size = unpack_number('>I2', batch, at)
      local key = sub(batch, at + 2, at + 1 + key_size)
      at = at + 2 + key_size
      if at + 3 > #batch then break end
      local size = unpack_number('>I4', batch, at)
      at = at + 4 + size
      if at + 3 > #batch then break end
      local previous_size = unpack_number('>I4', batch, at)
      local previous = sub(batch, at + 4, at + 3 + previous_size)
      at = at + 4 + previous_size
      if #previous ~= previous_size then break end
      local now = call('HGET', KEYS[2], key)
      -- Written by it, or removed by it; else it did not get so far, or is no commit at all.
      local written = now and size > 0 and sub(now, 1, 8) == number
      local removed = not now and size == 0 and previous_size > 0
      if written or removed or before[key] then before[key] = {previous} end
    end
  end
end

local time_line = math.min(tonumber(ARGV[4]), head + tonumber(ARGV[7]))
local past = math.max(head, highest, top, time_line) + tonumber(ARGV[5])
local at = string.format('%.0f', math.min(past, 9007199254740991))
-- The one write that can fail comes first. It wakes who waits for changes.
call('XADD', KEYS[4], at .. '-0', 'jump', ARGV[2])
for key, entry in pairs(before) do
  if entry[1] == '' then
    call('HDEL', KEYS[2], key)
    call('ZREM', KEYS[3], key)
  else
    call('HSET', KEYS[2], key, entry[1])
    call('ZADD', KEYS[3], 0, key)
  end
end
if call('HLEN', KEYS[2]) ~= call('ZCARD', KEYS[3]) then
  -- One of the two has lost keys: what is listed is what is there.
  call('UNLINK', KEYS[3])
  for _, key in ipairs(call('HKEYS', KEYS[2])) do call('ZADD', KEYS[3], 0, key) end
end
call('HSET', KEYS[1], 'epoch', ARGV[2], 'head', at, 'head_txn', ARGV[6], 'floor', at, 'floor_txn', ARGV[6],
  'floor_bytes', meta[5], 'jumped', '1', 'run_id', run_id, 'replid', replid)
call('XTRIM', KEYS[4], 'MINID', at .. '-0')
return 1
