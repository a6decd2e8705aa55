#!lua
-- Sets a schedule, or replaces it.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  its id
-- ARGV[2]  serialized RecurringRecord
-- ARGV[3]  when its slots are, as a text: the cursor stays if that is the same as before
-- ARGV[4]  its first slot, µs
-- Returns  {1 if it is new else 0, its next slot in µs}; or nil if the queue has as many as it may; and hints

-- include part_numbers.lua
-- include part_tasks.lua

local MOST = 10000

local id, record, timing, first = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local before = redis.call('HGET', recurring, id)
if not before and redis.call('HLEN', recurring) >= MOST then return answer(false) end
local slot = before and cmsgpack.unpack(before)[2] == timing and tonumber(redis.call('ZSCORE', cursors, id)) or first
redis.call('HSET', recurring, id, cmsgpack.pack({record, timing}))
redis.call('ZADD', cursors, int(slot), id)
soonest(slot)
return answer({before and 0 or 1, int(slot)})
