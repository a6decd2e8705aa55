-- Part of the scripts on rooms, after part_numbers: what a room keeps, and what is told of it.
--
-- All have the same keys, of one room:
--   KEYS[1]  info     hash: record   serialized RoomRecord
--                           created  when it was made, µs
--                           keep     how many messages its history keeps; 0: it has none
--                           keep_us  for how long it keeps them, µs; 0: for ever
--                           last     the last offset that was given
--                     There is a room if and only if there is this.
--   KEYS[2]  members  hash: connection id → the boot that holds it, 16 characters; then its serialized RoomMemberRecord
--   KEYS[3]  boots    hash: boot → how many of the members are its
--   KEYS[4]  history  stream: OFFSET-0 → m  a sealed envelope with a RoomMessage
--                                        p  the offset given before this one; of the first: when the room was made, µs
-- Offsets grow, not by one, also over restarts, lost data and rooms that are made again: they are times where these have grown. Those of messages that the history has dropped are
-- known by the `p` of the oldest that it has.
local info, members, boots, history = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- To all nodes that listen; gives to how many connections. `postmark`: a number that they find in the envelope, or nil.
local function tell(channel, sealed, postmark)
  return redis.call('PUBLISH', channel, postmark and '\2' .. int(postmark) .. ':' .. sealed or sealed)
end

-- Some members more (or fewer) are the boot's.
local function count(boot, change)
  if redis.call('HINCRBY', boots, boot, change) <= 0 then redis.call('HDEL', boots, boot) end
end
