-- Where the store stands; makes it if there is nothing.
-- KEYS: meta, objects, index, log. ARGV: schema, store, epoch, head, no transaction (16 bytes), whether it follows one
-- that was lost.
if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then
    -- Rests of a store that has lost its head are no base for a new one.
    redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
  end
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  redis.call('HSET', KEYS[1], 'format', 'roa-store', 'schema', ARGV[1], 'store', ARGV[2], 'epoch', ARGV[3],
    'head', ARGV[4], 'head_txn', ARGV[5], 'floor', ARGV[4], 'floor_txn', ARGV[5], 'bytes', '0', 'floor_bytes', '0',
    'jumped', ARGV[6], 'run_id', run_id, 'replid', replid)
  -- Wakes who waits for changes of the store that was here before.
  redis.call('XADD', KEYS[4], ARGV[4] .. '-0', 'jump', ARGV[3])
  return 1
end
return 0
