#!lua
-- A boot joins: it claims a name and a lease. Boots whose leases have run out are reclaimed, and the boot that it
-- succeeds is removed.
--
-- KEYS     as in part_membership
-- ARGV[1]  boot
-- ARGV[2]  lease, ms
-- ARGV[3]  fingerprint of the server token's key
-- ARGV[4]  name prefix: the lowest free number behind it is claimed
-- ARGV[5]  the name it would rather have, if that is free; or ''
-- ARGV[6]  the boot that it succeeds, known to be dead; or ''
-- ARGV[7]  serialized NodeRecord; id and started_at_us are appended here
-- Returns  {'token'} if the nodes that are there have another token; nothing is claimed then. Otherwise
--          {'joined', the complete record, generation, {{boot, last record, generation} of each that is gone}}
-- The same boot may ask again, when it has not seen the answer: it joins anew.

-- include part_numbers.lua
-- include part_membership.lua

local boot, lease, fingerprint = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local prefix, preferred, superseded, record = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

-- One that asks again has not seen the answer, nor announced anything; what it offers may have changed since. So it
-- joins anew: its record and its generation are those of this step, and peers who missed the former one find a gap.
remove(boot)

-- Before the grace is decided: one who waits for nobody but the one it succeeds need not wait.
local removed = remove(superseded)
local gone = reclaim(lease)
if removed then table.insert(gone, 1, removed) end

if redis.call('ZCARD', leases) > 0 and redis.call('HGET', state, 'fingerprint') ~= fingerprint then
  return {'token'}
end

local function free(name)
  local holder = redis.call('HGET', names, name)
  return not holder or not redis.call('ZSCORE', leases, holder)
end

local name = preferred
if name == '' or not free(name) then
  local number = 1
  while not free(prefix .. number) do number = number + 1 end
  name = prefix .. number
end

-- NodeRecord.id is field 1, of bytes; started_at_us is field 6, a varint.
record = record .. string.char(0x0A) .. varint(#name) .. name .. string.char(0x30) .. varint(now_us)
redis.call('ZADD', leases, int(now + lease), boot)
redis.call('HSET', records, boot, record)
redis.call('HSET', names, name, boot)
redis.call('HSET', state, 'fingerprint', fingerprint)
return {'joined', record, next_generation(), gone}
