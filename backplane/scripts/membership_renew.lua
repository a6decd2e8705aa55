#!lua flags=allow-oom
-- A boot renews its lease, though it may have run out, as long as nobody has reclaimed it; and reclaims those of others
-- that have run out.
--
-- Runs also when Redis is full: what it writes is there already, and a full cache must not end the cluster.
--
-- KEYS     as in part_membership
-- ARGV[1]  boot
-- ARGV[2]  lease, ms
-- ARGV[3]  serialized NodeStats
-- Returns  {'lost'} if the boot has no entry; otherwise
--          {'renewed', generation, ms until the first lease of another may be reclaimed or '-1',
--          {{boot, last record, generation} of each that is gone}}

-- include part_numbers.lua
-- include part_membership.lua

local boot, lease = ARGV[1], tonumber(ARGV[2])

if not redis.call('ZSCORE', leases, boot) or redis.call('HEXISTS', records, boot) == 0 then
  return {'lost'}
end
redis.call('ZADD', leases, int(now + lease), boot)
redis.call('HSET', stats, boot, ARGV[3])
local gone, grace = reclaim(lease)

-- Ours ends late, so one of the first two is another's, if there is one.
local first = redis.call('ZRANGE', leases, 0, 1, 'WITHSCORES')
local wait = -1
for i = #first - 1, 1, -2 do
  if first[i] ~= boot then wait = math.max(tonumber(first[i + 1]), grace) - now end
end
return {'renewed', generation(), int(wait), gone}
