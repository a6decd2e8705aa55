-- Part of the scripts of tasks, after part_numbers: what a queue keeps, and the steps that all scripts are made of.
--
-- All have the same keys, of one queue:
--   KEYS[1]  tasks      hash: of each task, by its id:
--                         s:ID  its state: a packed array, see below
--                         c:ID  its input, a serialized Content
--                         o:ID  done: its result, a serialized Content; otherwise its last failure, a serialized Error
--                         p:ID  how far it is, a serialized Content
--                         a:ID  the boots that hear of its changes: a packed array
--   KEYS[2]  ready      zset: id → (9 - priority) * 2^49 + sequence
--   KEYS[3]  names      zset of the same tasks, all of score 0: the name (behind its length), then what orders them, then the id; so
--                       the next task of a name is found without a look at others
--   KEYS[4]  scheduled  zset: id → when it may run, µs. Scheduled and retrying tasks
--   KEYS[5]  active     zset: id → when its lease ends, µs
--   KEYS[6]  ended      zset: id → until when it is kept, µs. Done and cancelled tasks
--   KEYS[7]  failed     zset: id → when it failed for good, µs. Dead letters
--   KEYS[8]  meta       hash: settings, counters, clocks; see below
--   KEYS[9]  memory     hash: uKEY → the id that has a unique key; rID → what a request came to; tSESSION → a node's last turn;
--                       wMEMBER → the names that a group waits for, packed; '' is all
--   KEYS[10] expiries   zset: field of memory → until when it is kept, µs
--   KEYS[11] waiting    zset: `BOOT GROUP` → since when it waits, µs: groups of workers that have room. Later than now: it was woken
--   KEYS[12] recurring  hash: schedule id → packed {RecurringRecord, timing}
--   KEYS[13] cursors    zset: schedule id → its next slot, µs
--   KEYS[14] outbox     hash: key → packed {queue, …the arguments of a task}: follow-ups on their way to other queues
--
-- Those that change something return {what they say of themselves, hints}; hints are {{boot, group, …} to wake, {boot, id, …} to tell of a change, {boot, id, token,
-- cancelled, …} to tell of a revocation, when to sweep next in µs or '', 1 if the queue is new else 0}.
local tasks, ready, names, scheduled, active, ended, failed = unpack(KEYS, 1, 7)
local meta, memory, expiries, waiting, recurring, cursors, outbox = unpack(KEYS, 8, 14)

-- Fields of a task's state. `chosen`: its caller relies on its id. `windowed`: its unique key is kept for a time, not until its end.
local STATE, NAME, PRIORITY, SEQUENCE, ATTEMPTS, LOST, TOKEN, ENQUEUED, SINCE = 1, 2, 3, 4, 5, 6, 7, 8, 9
local MAX_ATTEMPTS, BACKOFF, MAX_BACKOFF, TIMEOUT, RETAIN = 10, 11, 12, 13, 14
local UNIQUE, WINDOWED, CHOSEN, BOOT, WORKER, WATCHED = 15, 16, 17, 18, 19, 20
local SCHEDULED, READY, ACTIVE, RETRYING, DONE, FAILED, CANCELLED = 1, 2, 3, 4, 5, 6, 7

local MOST_LOST = 10           -- So many lost leases make a dead letter.
local CHOSEN_KEPT = 60000000   -- An id that its caller chose is remembered so long after the end.
local WAKE_AGAIN = 1000000     -- Who was woken, and has not asked for so long, may be woken again.
local MISSED_AFTER = 30000000  -- Slots that passed while nobody looked for so long are missed.

-- meta: what steps need of it, read once.
local FIELDS = {'sequence', 'token', 'touched_us', 'grace_until_us', 'paused', 'max_length', 'drop_oldest', 'rate',
  'max_concurrency', 'max_failed', 'keep_failed_us', 'bucket', 'bucket_us', 'missed_until_us', 'created_us'}
local state = {}
do
  local values = redis.call('HMGET', meta, unpack(FIELDS))
  for i, field in ipairs(FIELDS) do state[field] = tonumber(values[i]) end
end
local appeared = false
state.sequence, state.token = state.sequence or 0, state.token or 0
local sequence, token = state.sequence, state.token
local counted = {enqueued = 0, completed = 0, failures = 0, lost_leases = 0}

local fresh = {}  -- Names of the tasks that became ready in this step.
local wakes, changes, revocations = {}, {}, {}
local next_us = nil

local function soonest(when)
  if when and (not next_us or when < next_us) then next_us = when end
end

local function load(id)
  local packed = redis.call('HGET', tasks, 's:' .. id)
  return packed and cmsgpack.unpack(packed)
end

local function save(id, task)
  redis.call('HSET', tasks, 's:' .. id, cmsgpack.pack(task))
end

local function prefix_of(name)
  return string.format('%04x', #name) .. name
end

local function place_of(id, task)
  return prefix_of(task[NAME]) .. string.format('%d%013x', 9 - task[PRIORITY], task[SEQUENCE]) .. id
end

-- Those who watch it are told that it has changed.
local function changed(id, task)
  if not task[WATCHED] then return end
  local boots = redis.call('HGET', tasks, 'a:' .. id)
  for _, boot in ipairs(boots and cmsgpack.unpack(boots) or {}) do
    changes[#changes + 1] = boot
    changes[#changes + 1] = id
  end
end

-- It is ready from now on. One that was ready before has its place again.
local function make_ready(id, task)
  if task[SEQUENCE] == 0 then
    sequence = sequence + 1
    task[SEQUENCE] = sequence
  end
  task[STATE], task[SINCE], task[TOKEN] = READY, now_us, 0
  redis.call('ZADD', ready, int((9 - task[PRIORITY]) * 2 ^ 49 + task[SEQUENCE]), id)
  redis.call('ZADD', names, 0, place_of(id, task))
  save(id, task)
  fresh[#fresh + 1] = task[NAME]
end

-- Takes it out of the order of its state.
local function leave(id, task)
  local at = task[STATE]
  if at == READY then
    redis.call('ZREM', ready, id)
    redis.call('ZREM', names, place_of(id, task))
  elseif at == SCHEDULED or at == RETRYING then
    redis.call('ZREM', scheduled, id)
  elseif at == ACTIVE then
    redis.call('ZREM', active, id)
  elseif at == FAILED then
    redis.call('ZREM', failed, id)
  else
    redis.call('ZREM', ended, id)
  end
end

local function release_key(id, task)
  if task[UNIQUE] == '' or task[WINDOWED] then return end
  local field = 'u' .. task[UNIQUE]
  if redis.call('HGET', memory, field) == id then redis.call('HDEL', memory, field) end
end

-- Forgets it. It has left its order.
local function forget(id)
  redis.call('HDEL', tasks, 's:' .. id, 'c:' .. id, 'o:' .. id, 'p:' .. id, 'a:' .. id)
end

-- DONE or CANCELLED. It has left its order. `outcome`: nil if there is none.
local function finish_task(id, task, at, outcome)
  release_key(id, task)
  changed(id, task)
  local keep = task[RETAIN]
  if task[CHOSEN] then keep = math.max(keep, CHOSEN_KEPT) end
  if keep == 0 then return forget(id) end
  task[STATE], task[SINCE], task[TOKEN], task[WATCHED] = at, now_us, 0, false
  if outcome then
    redis.call('HSET', tasks, 'o:' .. id, outcome)
  else
    redis.call('HDEL', tasks, 'o:' .. id)
  end
  redis.call('HDEL', tasks, 'a:' .. id)
  redis.call('ZADD', ended, int(now_us + keep), id)
  save(id, task)
end

-- FAILED: a dead letter. It has left its order. Past the limit the oldest go.
local function bury(id, task, err)
  release_key(id, task)
  changed(id, task)
  task[STATE], task[SINCE], task[TOKEN], task[WATCHED] = FAILED, now_us, 0, false
  redis.call('HSET', tasks, 'o:' .. id, err)
  redis.call('HDEL', tasks, 'a:' .. id)
  redis.call('ZADD', failed, int(now_us), id)
  save(id, task)
  local excess = redis.call('ZCARD', failed) - (state.max_failed or 10000)
  if excess > 0 then
    for _, old in ipairs(redis.call('ZRANGE', failed, 0, excess - 1)) do
      redis.call('ZREM', failed, old)
      forget(old)
    end
  end
end

-- A lease is lost. `err`: what the dead letter says that it may become.
local function lose(id, task, err)
  redis.call('ZREM', active, id)
  counted.lost_leases = counted.lost_leases + 1
  task[LOST], task[ATTEMPTS] = task[LOST] + 1, task[ATTEMPTS] - 1
  if task[LOST] >= MOST_LOST then return bury(id, task, err) end
  make_ready(id, task)
  changed(id, task)
end

-- The arguments of a task, from ARGV[at] on: SPEC of them.
--   id, 1 if it was chosen, name, input, priority, run at in µs (0: at once), delay in µs, unique key, its window in µs (0: until the end), most attempts,
--   backoff in µs, most backoff in µs, timeout in µs, for how long to retain in µs
local SPEC = 14

local length = nil  -- Of those that wait; read when first needed.

local function is_full()
  length = length or redis.call('ZCARD', ready) + redis.call('ZCARD', scheduled)
  if length < (state.max_length or 1000000) then return false end
  if state.drop_oldest ~= 1 then return true end
  -- The last has the lowest priority that there is.
  local last = redis.call('ZRANGE', ready, -1, -1, 'WITHSCORES')
  if not last[1] then return true end
  local band = math.floor(tonumber(last[2]) / 2 ^ 49) * 2 ^ 49
  local oldest = redis.call('ZRANGEBYSCORE', ready, int(band), '+inf', 'LIMIT', 0, 1)[1]
  local task = load(oldest)
  if not task then
    redis.call('ZREM', ready, oldest)  -- Somebody has removed a key.
    length = length - 1
    return false
  end
  leave(oldest, task)
  release_key(oldest, task)
  changed(oldest, task)
  forget(oldest)
  length = length - 1
  return false
end

-- Enqueues a task. Gives {'created' | 'exists' | 'full', id}. `anyway`: whatever the queue's length.
local function enqueue(spec, anyway)
  local id, unique, window = spec[1], spec[8], tonumber(spec[9])
  if redis.call('HEXISTS', tasks, 's:' .. id) == 1 then return {'exists', id} end
  if unique ~= '' then
    local holder = redis.call('HGET', memory, 'u' .. unique)
    local till = holder and tonumber(redis.call('ZSCORE', expiries, 'u' .. unique))
    if holder and not (till and till <= now_us) then return {'exists', holder} end
  end
  if not anyway and is_full() then return {'full', ''} end
  if length then length = length + 1 end
  if unique ~= '' then
    redis.call('HSET', memory, 'u' .. unique, id)
    if window > 0 then
      redis.call('ZADD', expiries, int(now_us + window), 'u' .. unique)
    else
      redis.call('ZREM', expiries, 'u' .. unique)
    end
  end
  counted.enqueued = counted.enqueued + 1
  if not state.created_us then
    appeared, state.created_us = true, now_us
    redis.call('HSET', meta, 'created_us', int(now_us))
  end
  local task = {SCHEDULED, spec[3], tonumber(spec[5]), 0, 0, 0, 0, now_us, now_us, tonumber(spec[10]), tonumber(spec[11]),
    tonumber(spec[12]), tonumber(spec[13]), tonumber(spec[14]), unique, window > 0, spec[2] == '1', '', '', false}
  redis.call('HSET', tasks, 'c:' .. id, spec[4])
  local delay, due = tonumber(spec[7]), tonumber(spec[6])
  if delay > 0 then due = now_us + delay end
  if due > now_us then
    redis.call('ZADD', scheduled, int(due), id)
    save(id, task)
    soonest(due)
  else
    make_ready(id, task)
  end
  return {'created', id}
end

local function spec_at(at)
  local spec = {}
  for i = 1, SPEC do spec[i] = ARGV[at + i - 1] end
  return spec
end

-- Whether a task may be given to a worker at all.
local function is_open()
  if state.paused == 1 then return false end
  local most = state.max_concurrency or 0
  return most == 0 or redis.call('ZCARD', active) < most
end

local function head_of(name)
  local prefix = prefix_of(name)
  local place = redis.call('ZRANGEBYLEX', names, '[' .. prefix, '+', 'LIMIT', 0, 1)[1]
  if place and string.sub(place, 1, #prefix) == prefix then return string.sub(place, #prefix + 1) end
end

-- Wakes up to `most` of those that wait and that `wanted` says there is something for, those that wait longest first. Whoever is woken, and has not asked a second later,
-- may be woken again: the wake may be lost with the node that should have sent it.
local function wake(most, wanted)
  if most == 0 then return end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', int(now_us))) do
    local packed = redis.call('HGET', memory, 'w' .. member)
    if not packed then
      redis.call('ZREM', waiting, member)  -- It has not been heard of for long.
    elseif wanted(packed ~= '' and cmsgpack.unpack(packed) or nil) then
      redis.call('ZADD', waiting, int(now_us + WAKE_AGAIN), member)
      local boot, group = string.match(member, '^(%S+) (%S+)$')
      wakes[#wakes + 1] = boot
      wakes[#wakes + 1] = group
      most = most - 1
      if most == 0 then return end
    end
  end
end

-- For what became ready in this step: one group for each task.
local function wake_for_fresh()
  if #fresh == 0 or redis.call('ZCARD', waiting) == 0 or not is_open() then return end
  local left = {}
  for _, name in ipairs(fresh) do left[name] = (left[name] or 0) + 1 end
  wake(#fresh, function(takes)
    for name, count in pairs(left) do
      local fits = not takes
      for _, taken in ipairs(takes or {}) do fits = fits or taken == name end
      if fits then
        left[name] = count > 1 and count - 1 or nil
        return true
      end
    end
    return false
  end)
end

-- For whatever is ready: after something else than a new task may have made room for it.
local function wake_for_any(most)
  if redis.call('ZCARD', waiting) == 0 or not is_open() then return end
  wake(math.min(most, redis.call('ZCARD', ready)), function(takes)
    if not takes then return true end
    for _, name in ipairs(takes) do
      if head_of(name) then return true end
    end
    return false
  end)
end

-- Writes what was counted, and makes the answer. `others`: how many may be woken for what was ready before; none if it is not said.
local function answer(said, others)
  wake_for_fresh()
  if others then wake_for_any(others) end
  if sequence ~= state.sequence then redis.call('HSET', meta, 'sequence', int(sequence)) end
  if token ~= state.token then redis.call('HSET', meta, 'token', int(token)) end
  for field, count in pairs(counted) do
    if count > 0 then redis.call('HINCRBY', meta, field, count) end
  end
  return {said, {wakes, changes, revocations, next_us and int(next_us) or '', appeared and 1 or 0}}
end
