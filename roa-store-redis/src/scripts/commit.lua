-- One commit: all of it, or nothing. What can refuse it comes before the first write, and the write that can fail first.
-- KEYS: meta, objects, index, log.
-- ARGV: epoch, revision and transaction that the caller saw last, the slot of that revision, transaction, time,
-- replication id or empty, the number of guards, each a key and a revision or nothing; then writes, each P or D, a key,
-- a revision or nothing, and, for P, what follows the numbers of the entry.
local call, pack, sub = redis.call, struct.pack, string.sub
local meta = call('HMGET', KEYS[1], 'epoch', 'head', 'head_txn', 'bytes', ARGV[4])
local epoch, head, head_txn = meta[1], meta[2], meta[3]
if not epoch then return {'gone'} end
if epoch ~= ARGV[1] then return {'epoch', epoch} end

-- What the caller saw last must still be there. The slots have the newest transactions, the log all that it keeps.
local seen, newest = tonumber(ARGV[2]), tonumber(head)
if seen > newest then return {'broken', head} end
if seen == newest then
  if ARGV[3] ~= head_txn then return {'broken', head} end
elseif seen > 0 then
  local slot = meta[5]
  if slot and sub(slot, 17) == ARGV[2] then
    if sub(slot, 1, 16) ~= ARGV[3] then return {'broken', head} end
  else
    local at = ARGV[2] .. '-0'
    local found = call('XRANGE', KEYS[4], at, at)[1]
    if found then
      -- A jump's own entry has no transaction.
      if found[2][1] == 'batch' and sub(found[2][2], 1, 16) ~= ARGV[3] then return {'broken', head} end
    elseif seen > tonumber(call('HGET', KEYS[1], 'floor')) then
      return {'broken', head}
    end
  end
end
if ARGV[7] ~= '' then
  local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
  if replid ~= ARGV[7] then return {'broken', head} end
end
if newest >= 9007199254740991 then return {'exhausted'} end

local argument = 9
for guard = 1, tonumber(ARGV[8]) do
  local entry = call('HGET', KEYS[2], ARGV[argument])
  local revision = entry and sub(entry, 1, 8) or ''
  if revision ~= ARGV[argument + 1] then return {'guard', guard, revision} end
  argument = argument + 2
end

local revision = newest + 1
local number = pack('>I8', revision)
local objects, log = KEYS[2], {}
local puts, added, removed = {}, {}, {}
local size, writes = 0, 0
while ARGV[argument] do
  writes = writes + 1
  local kind, key = ARGV[argument], ARGV[argument + 1]
  local previous = call('HGET', objects, key)
  local current = previous and sub(previous, 1, 8) or ''
  if current ~= ARGV[argument + 2] then return {'conflict', writes, current} end
  previous = previous or ''
  local entry = ''
  if kind == 'P' then
    if current == '' then
      entry = number .. number .. '\0\0\0\0\0\0\0\1' .. ARGV[argument + 3]
      added[#added + 1] = 0
      added[#added + 1] = key
    else
      entry = number .. sub(previous, 9, 16) .. pack('>I8', struct.unpack('>I8', previous, 17) + 1)
        .. ARGV[argument + 3]
    end
    puts[#puts + 1] = key
    puts[#puts + 1] = entry
    argument = argument + 4
  else
    removed[#removed + 1] = key
    argument = argument + 3
  end
  local change = #log
  log[change + 1] = pack('>I2', #key) .. key .. pack('>I4', #entry)
  log[change + 2] = entry
  log[change + 3] = pack('>I4', #previous)
  log[change + 4] = previous
  size = size + 10 + #key + #entry + #previous
end
local total = tonumber(meta[4]) + size
local at = string.format('%.0f', revision)
local heading = ARGV[5] .. head_txn .. ARGV[6] .. pack('>I8', total)
local batch
if writes == 1 then
  batch = heading .. log[1] .. log[2] .. log[3] .. log[4]
else
  batch = heading .. table.concat(log)
end
call('XADD', KEYS[4], at .. '-0', 'batch', batch)
if puts[1] then call('HSET', objects, unpack(puts)) end
if added[1] then call('ZADD', KEYS[3], unpack(added)) end
if removed[1] then
  call('HDEL', objects, unpack(removed))
  call('ZREM', KEYS[3], unpack(removed))
end
call('HSET', KEYS[1], 'head', at, 'head_txn', ARGV[5], 'bytes', string.format('%.0f', total),
  't' .. revision % 1024, ARGV[5] .. at)
return at
