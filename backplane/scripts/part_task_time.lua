-- Part of the scripts of tasks, after part_tasks: whether somebody has been here all the time.

-- The queue is being looked after. If nobody has done so for longer than a lease, then Redis was away from all nodes, and each gets one lease in which to come back
-- and renew; slots of schedules that passed meanwhile are missed if it was long. Gives when the grace ends, µs; in the past if there is none.
local function touch(lease_us)
  local touched = state.touched_us
  local grace = math.min(state.grace_until_us or 0, now_us + lease_us)
  if touched and now_us - touched > lease_us and redis.call('ZCARD', active) > 0 then grace = now_us + lease_us end
  if touched and now_us - touched > MISSED_AFTER then
    state.missed_until_us = now_us
    redis.call('HSET', meta, 'missed_until_us', int(now_us))
  end
  if not touched or math.abs(now_us - touched) > 100000 then
    redis.call('HSET', meta, 'touched_us', int(now_us), 'grace_until_us', int(grace))
  end
  return grace
end
