#!lua flags=allow-oom
-- Removes a connection's record if it is still the same claim.
--
-- KEYS[1]  the connection, as in presence_claim
-- ARGV[1]  the boot of the claim
-- ARGV[2]  the epoch of the claim
-- Returns  1 if it was removed, 0 if there is none or another

local key, boot, epoch = KEYS[1], ARGV[1], ARGV[2]
local held = redis.call('HMGET', key, 'boot', 'epoch')
if held[1] ~= boot or held[2] ~= epoch then return 0 end
return redis.call('DEL', key)
