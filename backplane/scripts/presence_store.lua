#!lua
-- Replaces what a resumed connection will have, if the claim still counts.
-- Durable.
--
-- KEYS[1]  the connection, as in presence_claim
-- ARGV[1]  the boot of the claim
-- ARGV[2]  the epoch of the claim
-- ARGV[3]  serialized ConnectionState
-- Returns  1 if it was stored, 0 if there is no such claim any more

local key, boot, epoch, state = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HMGET', key, 'boot', 'epoch')
if held[1] ~= boot or held[2] ~= epoch then return 0 end
redis.call('HSET', key, 'state', state)
return 1
