#!lua flags=allow-oom
-- Ends a schedule.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  its id
-- Returns  1 if there was one, else 0; and hints

-- include part_numbers.lua
-- include part_tasks.lua

redis.call('ZREM', cursors, ARGV[1])
return answer(redis.call('HDEL', recurring, ARGV[1]))
