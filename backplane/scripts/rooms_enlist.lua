#!lua
-- Puts the name of a room that is about to be made, or is made, into the list of all rooms.
-- Durable.
--
-- KEYS[1]  zset: the names of rooms, all of score 0; among them some of rooms that are gone
-- KEYS[2]  hash: name → when it was put there last, µs
-- ARGV[1]  the name
-- Returns  1

-- include part_numbers.lua

local names, stamps, name = KEYS[1], KEYS[2], ARGV[1]
redis.call('ZADD', names, 0, name)
redis.call('HSET', stamps, name, int(math.max((tonumber(redis.call('HGET', stamps, name)) or 0) + 1, now_us)))
return 1
