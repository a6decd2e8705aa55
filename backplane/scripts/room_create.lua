#!lua
-- Makes a room.
-- Durable.
--
-- KEYS     as in part_room
-- ARGV[1]  serialized RoomRecord
-- ARGV[2]  how many messages its history keeps; 0: it has none
-- ARGV[3]  for how long, µs; 0: for ever
-- Returns  when it was made, µs; 0: it is there already

-- include part_numbers.lua
-- include part_room.lua

local record, keep, keep_us = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', info) == 1 then return 0 end
redis.call('UNLINK', members, boots, history)
redis.call('HSET', info, 'record', record, 'created', int(now_us), 'keep', keep, 'keep_us', keep_us)
return int(now_us)
