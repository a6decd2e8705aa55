#!lua flags=no-writes
-- All that is known of the nodes. Boots whose leases have run out are among them until they are reclaimed: the
-- generation counts entries, and one may still be renewed.
--
-- KEYS     as in part_membership
-- ARGV[1]  lease of the asker, ms
-- Returns  {generation or '0', now in µs, when the grace ends in ms,
--          {{record, stats, when the lease ends in ms} of each}}

-- include part_numbers.lua
-- include part_membership.lua

local lease = tonumber(ARGV[1])
local nodes = {}
local boots = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
for i = 1, #boots, 2 do
  local record = redis.call('HGET', records, boots[i])
  if record then
    nodes[#nodes + 1] = {record, redis.call('HGET', stats, boots[i]) or '', int(tonumber(boots[i + 1]))}
  end
end
return {redis.call('HGET', state, 'generation') or '0', int(now_us), int(grace_until(lease)), nodes}
