#!lua flags=no-writes
-- A queue as it is.
--
-- KEYS     as in part_tasks
-- Returns  {ready, scheduled, active, ended, failed: how many, since when the next is ready in µs or '',
--           then of meta or '' each: enqueued, completed, failures, lost_leases, paused, max_length, drop_oldest, rate, max_concurrency,
--           max_failed, keep_failed_us}

-- include part_numbers.lua
-- include part_tasks.lua

local view = {}
for i, key in ipairs({ready, scheduled, active, ended, failed}) do view[i] = int(redis.call('ZCARD', key)) end
local head = redis.call('ZRANGE', ready, 0, 0)[1]
local task = head and load(head)
view[6] = task and int(task[SINCE]) or ''
local settings = redis.call('HMGET', meta, 'enqueued', 'completed', 'failures', 'lost_leases', 'paused', 'max_length', 'drop_oldest',
  'rate', 'max_concurrency', 'max_failed', 'keep_failed_us')
for i = 1, 11 do view[6 + i] = settings[i] or '' end
return view
