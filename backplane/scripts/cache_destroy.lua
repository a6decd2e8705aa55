#!lua flags=allow-oom
-- Removes a value.
-- Durable.
--
-- KEYS     value, lock
-- ARGV[1]  holder
-- ARGV[2]  token, or 0
-- Returns  {'destroyed', 1 if it was there}, {'locked', holder} or {'lost'}

-- include part_numbers.lua
local value, lock = KEYS[1], KEYS[2]
-- include part_cache.lua

return refused(ARGV[1], ARGV[2]) or {'destroyed', redis.call('UNLINK', value)}
