#!lua
-- A connection lives on a boot from now on, whoever held it before.
--
-- KEYS[1]  the connection. hash: record  serialized ConnectionRecord
--                                boot    its boot
--                                epoch   its epoch
-- ARGV[1]  serialized ConnectionRecord; the epoch is appended here
-- ARGV[2]  its boot
-- Returns  the epoch of this claim. It grows even when the record was deleted in between.

-- include part_numbers.lua

local key, record, boot = KEYS[1], ARGV[1], ARGV[2]
local last = tonumber(redis.call('HGET', key, 'epoch')) or 0
local epoch = math.max(last + 1, now_us)
-- ConnectionRecord.epoch is field 3, a varint.
redis.call('HSET', key, 'record', record .. string.char(0x18) .. varint(epoch), 'boot', boot, 'epoch', int(epoch))
return int(epoch)
