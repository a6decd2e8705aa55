#!lua
-- Enqueues what is due of a schedule, and moves its cursor on: both or none, and once.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  schedule id
-- ARGV[2]  the slot that its cursor must be at, µs
-- ARGV[3]  its next slot, µs; '': it has ended
-- ARGV[4…] tasks, SPEC arguments each
-- Returns  {1 if it was done, 0 if the cursor is elsewhere, what became of each as in tasks_enqueue}; and hints

-- include part_numbers.lua
-- include part_tasks.lua

local id, slot, following = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if tonumber(redis.call('ZSCORE', cursors, id)) ~= slot then return answer({0, {}}) end
if following == '' then
  redis.call('ZREM', cursors, id)
else
  redis.call('ZADD', cursors, following, id)
  soonest(tonumber(following))
end
local outcomes = {}
for at = 4, #ARGV, SPEC do outcomes[#outcomes + 1] = enqueue(spec_at(at), false) end
return answer({1, outcomes})
