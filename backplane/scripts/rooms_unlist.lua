#!lua flags=allow-oom
-- Takes the name of a room that is gone off the list of all rooms, unless it was put there anew.
--
-- KEYS     as in rooms_enlist
-- ARGV[1]  the name
-- ARGV[2]  when it was put there, as it was read before the room was found gone
-- Returns  1 if it was taken off, else 0

local names, stamps, name, stamp = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
if redis.call('HGET', stamps, name) ~= stamp then return 0 end
redis.call('HDEL', stamps, name)
return redis.call('ZREM', names, name)
