#!lua
-- Puts a connection into a room, or moves it to another boot there; and tells it, with the time as postmark.
-- Durable.
--
-- KEYS     as in part_room
-- ARGV[1]  the connection's id
-- ARGV[2]  the boot that holds it
-- ARGV[3]  serialized RoomMemberRecord; when it came in is appended here
-- ARGV[4]  when it came in, µs; 0: now
-- ARGV[5]  the room's channel
-- ARGV[6]  a sealed envelope that says so
-- Returns  {when it came in, µs, the room's serialized RoomRecord}; {}: there is no such room

-- include part_numbers.lua
-- include part_room.lua

local id, boot, record, joined, channel, sealed = unpack(ARGV)
local room = redis.call('HMGET', info, 'record', 'last', 'created', 'keep')
if not room[1] then return {} end

-- Not before what has been said already.
joined = tonumber(joined)
if joined == 0 then
  joined = math.max(now_us, tonumber(room[2] or 0))
  -- Whatever is said from now on has a later offset, whatever the clock does.
  if tonumber(room[4] or 0) > 0 then redis.call('HSET', info, 'last', int(joined)) end
elseif joined < tonumber(room[3] or 0) then
  -- It was in another room, which had this name before.
  return {}
end
local before = redis.call('HGET', members, id)
if before then count(string.sub(before, 1, 16), -1) end
count(boot, 1)
-- RoomMemberRecord.joined_at_us is field 6, a varint.
redis.call('HSET', members, id, boot .. record .. string.char(0x30) .. varint(joined))
tell(channel, sealed, joined)
return {int(joined), room[1]}
