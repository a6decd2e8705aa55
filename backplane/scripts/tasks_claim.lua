#!lua flags=allow-oom
-- Claims queues that nobody has swept for a while.
--
-- KEYS[1]  queues  zset: queue → when it was last claimed, µs; 0: never
-- ARGV[1]  for how long, µs
-- ARGV[2]  how many at most
-- Returns  their names

-- include part_numbers.lua

local queues, period, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local claimed = redis.call('ZRANGEBYSCORE', queues, '-inf', int(now_us - period), 'LIMIT', 0, most)
-- The clock may have been set back.
if #claimed == 0 then claimed = redis.call('ZRANGEBYSCORE', queues, '(' .. int(now_us + period), '+inf', 'LIMIT', 0, most) end
for _, queue in ipairs(claimed) do redis.call('ZADD', queues, int(now_us), queue) end
return claimed
