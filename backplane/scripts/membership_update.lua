#!lua flags=allow-oom
-- Replaces a boot's record.
--
-- KEYS     as in part_membership
-- ARGV[1]  boot
-- ARGV[2]  serialized NodeRecord, complete
-- Returns  the generation; nil if the boot has no entry

-- include part_numbers.lua
-- include part_membership.lua

local boot = ARGV[1]
if not redis.call('ZSCORE', leases, boot) then return false end
redis.call('HSET', records, boot, ARGV[2])
return next_generation()
