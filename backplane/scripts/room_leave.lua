#!lua flags=allow-oom
-- Takes connections out of a room, those that a boot still holds there; and tells it: bit i of the postmark is set if the (i + 1)th was.
-- Durable.
--
-- KEYS     as in part_room
-- ARGV[1]  the boot
-- ARGV[2]  the room's channel
-- ARGV[3]  a sealed envelope that says so of all of them, or ''
-- ARGV[4…] their ids; at most 50
-- Returns  how many were taken out

-- include part_numbers.lua
-- include part_room.lua

local boot, channel, sealed = ARGV[1], ARGV[2], ARGV[3]
local left, bits = 0, 0
for i = 4, #ARGV do
  local member = redis.call('HGET', members, ARGV[i])
  if member and string.sub(member, 1, 16) == boot then
    redis.call('HDEL', members, ARGV[i])
    left = left + 1
    bits = bits + 2 ^ (i - 4)
  end
end
if left == 0 then return 0 end
count(boot, -left)
if sealed ~= '' then tell(channel, sealed, bits) end
return left
