#!lua
-- Says something in a room; keeps it, with its offset as postmark, if the room has a history.
-- Durable.
--
-- KEYS     as in part_room
-- ARGV[1]  the room's channel
-- ARGV[2…] sealed envelopes with what is said
-- Returns  {to how many connections it went, its offset or 0, … of each}; {}: there is no such room

-- include part_numbers.lua
-- include part_room.lua

local channel = ARGV[1]
local room = redis.call('HMGET', info, 'created', 'last', 'keep', 'keep_us')
if not room[1] then return {} end
local last, keep, keep_us = tonumber(room[2] or room[1]), tonumber(room[3]), tonumber(room[4])

local said = {}
for i = 2, #ARGV do
  local offset
  if keep > 0 then
    offset = math.max(last + 1, now_us)
    redis.call('XADD', history, 'MAXLEN', int(keep), int(offset) .. '-0', 'm', ARGV[i], 'p', int(last))
    last = offset
  end
  said[#said + 1] = tell(channel, ARGV[i], offset)
  said[#said + 1] = int(offset or 0)
end
if keep > 0 then
  redis.call('HSET', info, 'last', int(last))
  if keep_us > 0 then redis.call('XTRIM', history, 'MINID', int(math.max(now_us - keep_us, 0))) end
end
return said
