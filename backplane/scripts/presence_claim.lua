#!lua
-- A connection lives on a boot from now on, if it is new, or if its client shows its token.
-- Durable.
--
-- KEYS[1]  the connection. hash: record  serialized ConnectionRecord; none while no boot has it
--                                boot    its boot; likewise
--                                epoch   of its last claim
--                                token   SHA-256 of its resume token
--                                state   serialized ConnectionState: what it had when it was stored last
--          It expires once no boot has it.
-- ARGV[1]  serialized ConnectionRecord; the epoch is appended here
-- ARGV[2]  its boot
-- ARGV[3]  SHA-256 of the token that the client shows, or ''
-- ARGV[4]  SHA-256 of the token of a new connection
-- Returns  {1, 1, the epoch of this claim, the boot that had it until now or '', 1 if it was resumed else 0, its state}, or {0, 1 if it is this boot's already, else 0}.
--          The epoch grows even when the hash was deleted in between.

-- include part_numbers.lua

local key, record, boot, shown, fresh = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local before = redis.call('HMGET', key, 'epoch', 'token', 'boot', 'state')
local resumed = before[1] and shown ~= '' and before[2] == shown
if before[1] and not resumed then return {0, before[3] == boot and 1 or 0} end

local epoch = math.max((tonumber(before[1] or 0) or 0) + 1, now_us)
-- ConnectionRecord.epoch is field 3, a varint.
redis.call('HSET', key, 'record', record .. string.char(0x18) .. varint(epoch), 'boot', boot, 'epoch', int(epoch))
if resumed then
  redis.call('PERSIST', key)
else
  redis.call('HSET', key, 'token', fresh)
end
return {1, 1, int(epoch), before[3] or '', resumed and 1 or 0, resumed and before[4] or ''}
