#!lua flags=allow-oom
-- A connection lives on a boot no longer, if it is still the same claim; its client may come back for a while.
--
-- KEYS[1]  the connection, as in presence_claim
-- ARGV[1]  the boot of the claim
-- ARGV[2]  the epoch of the claim; '': any of the boot's
-- ARGV[3]  for how long it is kept for its client, ms; 0: not at all
-- Returns  {1 if it was released, 0 if there is no such claim any more, 1 if the boot has it now by another claim, else 0}

local key, boot, epoch, window = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HMGET', key, 'boot', 'epoch')
if held[1] ~= boot then return {0, 0} end
if epoch ~= '' and held[2] ~= epoch then return {0, 1} end
if window == '0' then
  redis.call('UNLINK', key)
else
  redis.call('HDEL', key, 'record', 'boot')
  redis.call('PEXPIRE', key, window)
end
return {1, 0}
