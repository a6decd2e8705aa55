#!lua flags=allow-oom
-- Looks after a queue: makes due tasks ready, takes back leases that have run out, and forgets what need not be kept any more; so much of each as does not hold
-- Redis up. Any node may do it at any time.
--
-- Runs also when Redis is full: it makes room.
--
-- KEYS     as in part_tasks
-- ARGV[1]  for how long leases are taken, µs
-- ARGV[2]  serialized Error: what a task is buried with whose leases are all lost
-- Returns  {now µs, slots before this are missed µs or '', 1 if there is more to do else 0,
--           {id, RecurringRecord, slot µs, …} of schedules that are due,
--           {key, queue, SPEC arguments} of tasks that other queues are to get, some of them}; and hints

-- include part_numbers.lua
-- include part_tasks.lua
-- include part_task_time.lua

local MOST = 200
local MOST_BYTES = 2 * 1024 * 1024

local lease = tonumber(ARGV[1])
local grace = touch(lease)
local more = 0

-- Members that are due, and how many there were.
local function due(key, till)
  local members = redis.call('ZRANGEBYSCORE', key, '-inf', int(till), 'LIMIT', 0, MOST)
  if #members == MOST then more = 1 end
  return members
end

local function first_of(key)
  return tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end

for _, id in ipairs(due(scheduled, now_us)) do
  redis.call('ZREM', scheduled, id)
  local task = load(id)
  if task then
    make_ready(id, task)
    changed(id, task)
  end
end

if now_us >= grace then
  for _, id in ipairs(due(active, now_us)) do
    local task = load(id)
    if task then lose(id, task, ARGV[2]) else redis.call('ZREM', active, id) end
  end
end

for _, id in ipairs(due(ended, now_us)) do
  redis.call('ZREM', ended, id)
  forget(id)
end

for _, id in ipairs(due(failed, now_us - (state.keep_failed_us or 604800000000))) do
  redis.call('ZREM', failed, id)
  forget(id)
end

for _, field in ipairs(due(expiries, now_us)) do
  redis.call('ZREM', expiries, field)
  redis.call('HDEL', memory, field)
end

local schedules, bytes = {}, 0
-- Where there are more than one sweep takes, now these and now those: some that no node understands must not hold up the rest.
local excess = redis.call('ZCOUNT', cursors, '-inf', int(now_us)) - MOST
local from = excess > 0 and now_us % (excess + 1) or 0
local slots = redis.call('ZRANGEBYSCORE', cursors, '-inf', int(now_us), 'WITHSCORES', 'LIMIT', from, MOST)
for i = 1, #slots, 2 do
  local kept = redis.call('HGET', recurring, slots[i])
  if kept and bytes < MOST_BYTES then
    bytes = bytes + #kept
    schedules[#schedules + 1] = slots[i]
    schedules[#schedules + 1] = cmsgpack.unpack(kept)[1]
    schedules[#schedules + 1] = int(tonumber(slots[i + 1]))
  elseif not kept then
    redis.call('ZREM', cursors, slots[i])
  end
end

-- Any of them: one that another queue does not take must not hold up the rest.
local outgoing = {}
bytes = 0
if redis.call('HLEN', outbox) > 0 then
  for _, key in ipairs(redis.call('HRANDFIELD', outbox, MOST)) do
    if bytes < MOST_BYTES then
      local packed = redis.call('HGET', outbox, key)
      bytes = bytes + #packed
      local entry = cmsgpack.unpack(packed)
      table.insert(entry, 1, key)
      outgoing[#outgoing + 1] = entry
    end
  end
end

soonest(first_of(scheduled))
soonest(first_of(cursors))
local lapse = first_of(active)
if lapse then
  soonest(math.max(lapse, grace))
  soonest(now_us + lease / 3)  -- While leases run somebody is here more often than they end: or it would look like an outage.
end
local missed = state.missed_until_us
return answer({int(now_us), missed and int(missed) or '', more, schedules, outgoing}, MOST)
