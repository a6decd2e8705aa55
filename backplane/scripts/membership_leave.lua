#!lua flags=allow-oom
-- A boot gives its name and its lease back.
--
-- KEYS     as in part_membership
-- ARGV[1]  boot
-- Returns  {boot, last record, generation}; nil if the boot has no entry

-- include part_numbers.lua
-- include part_membership.lua

return remove(ARGV[1]) or false
