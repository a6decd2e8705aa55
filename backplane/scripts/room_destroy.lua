#!lua flags=allow-oom
-- Ends a room, and tells it.
-- Durable.
--
-- KEYS     as in part_room
-- ARGV[1]  the room's channel
-- ARGV[2]  a sealed envelope that says so
-- Returns  how many members were in it; -1: there is no such room

-- include part_numbers.lua
-- include part_room.lua

local channel, sealed = ARGV[1], ARGV[2]
if redis.call('EXISTS', info) == 0 then return -1 end
local left = redis.call('HLEN', members)
redis.call('UNLINK', info, members, boots, history)
tell(channel, sealed)
return left
