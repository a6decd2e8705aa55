#!lua
-- Changes a queue's settings, at once for those who wait.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV     fields of meta and their values
-- Returns  nothing but hints

-- include part_numbers.lua
-- include part_tasks.lua

redis.call('HSET', meta, unpack(ARGV))
for i = 1, #ARGV, 2 do state[ARGV[i]] = tonumber(ARGV[i + 1]) end
return answer(false, 1000)
