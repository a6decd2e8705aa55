-- Part of the membership scripts, after part_numbers: what they keep, and how an entry ends.
--
-- All have the same keys:
--   KEYS[1] leases   zset: boot → when its lease ends, ms
--   KEYS[2] records  hash: boot → serialized NodeRecord
--   KEYS[3] stats    hash: boot → serialized NodeStats
--   KEYS[4] names    hash: node id → boot
--   KEYS[5] state    hash: generation      grows by one with each change of the entries or records
--                          fingerprint     tells the server token of the cluster's nodes from another
--                          touched_ms      when a node last joined or renewed its lease
--                          grace_until_ms  before that nobody is reclaimed
local leases, records, stats, names, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- When the grace ends; in the past if there is none. If nobody has renewed for longer than a lease, then Redis was away
-- from all of them, and each gets one lease in which to come back. A clock that was set back does not prolong it.
local function grace_until(lease)
  local touched = tonumber(redis.call('HGET', state, 'touched_ms'))
  if touched and now - touched > lease and redis.call('ZCARD', leases) > 0 then return now + lease end
  return math.min(tonumber(redis.call('HGET', state, 'grace_until_ms')) or 0, now + lease)
end

-- Counts a change. Begins with the clock where there is no generation, so that it grows even when Redis has lost its
-- data.
local function next_generation()
  if redis.call('HSETNX', state, 'generation', int(now_us)) == 0 then
    redis.call('HINCRBY', state, 'generation', 1)
  end
  return redis.call('HGET', state, 'generation')
end

local function generation()
  return redis.call('HGET', state, 'generation') or next_generation()
end

local name_of = nil  -- boot → node id; read when first needed.

-- Ends a boot. Gives {boot, its last record, the generation of this change}; nil if it is not there.
local function remove(boot)
  if redis.call('ZREM', leases, boot) == 0 then return nil end
  if not name_of then
    name_of = {}
    local pairs_of = redis.call('HGETALL', names)
    for i = 1, #pairs_of, 2 do name_of[pairs_of[i + 1]] = pairs_of[i] end
  end
  if name_of[boot] then redis.call('HDEL', names, name_of[boot]) end
  local record = redis.call('HGET', records, boot) or ''
  redis.call('HDEL', records, boot)
  redis.call('HDEL', stats, boot)
  return {boot, record, next_generation()}
end

-- Ends every boot whose lease has run out, unless in the grace. Gives what remove gave for each, in order, and when the
-- grace ends.
local function reclaim(lease)
  local grace = grace_until(lease)
  redis.call('HSET', state, 'touched_ms', int(now), 'grace_until_ms', int(grace))
  local gone = {}
  if now < grace then return gone, grace end
  for _, boot in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. int(now))) do
    gone[#gone + 1] = remove(boot)
  end
  return gone, grace
end
