#!lua flags=no-writes
-- All schedules of a queue.
--
-- KEYS     as in part_tasks
-- Returns  {id, RecurringRecord, next slot in µs or ''} of each

-- include part_numbers.lua
-- include part_tasks.lua

local schedules = {}
local kept = redis.call('HGETALL', recurring)
for i = 1, #kept, 2 do
  local slot = tonumber(redis.call('ZSCORE', cursors, kept[i]))
  schedules[#schedules + 1] = {kept[i], cmsgpack.unpack(kept[i + 1])[1], slot and int(slot) or ''}
end
return schedules
