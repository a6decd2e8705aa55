#!lua flags=allow-oom
-- A node's turn at a queue: it hands in what its workers have said, renews their leases, and takes what there is for those with room.
-- Durable.
--
-- Runs also when Redis is full: what has ended must be let go.
--
-- KEYS     as in part_tasks
-- ARGV[1]  boot of the node
-- ARGV[2]  its id
-- ARGV[3]  its session
-- ARGV[4]  the number of the turn in the session. That of the last turn: it was carried out, and its answer lost
-- ARGV[5]  for how long a lease is taken or renewed, µs
-- ARGV[6]  how many outcomes follow, each as
--            'done' | 'failed' | 'returned' | 'unused' | 'progress', id, token, worker,
--            done: result, how many tasks follow, and each of them: its queue ('' this one) and its SPEC arguments
--            failed: error, 1 if it may be tried again, by what to multiply the wait, in thousandths
--            returned: the error that a task is buried with whose leases are all lost
--            progress: how far it is
-- then     how many renewals follow: id, token
-- then     how many groups follow: group, room, how many names, the names; no names: all
-- Returns  {{1 if it was recorded else 0, the state after it} of each outcome,
--           {id, token, …} of the renewals that are not,
--           {id, token, attempt, lost leases, timeout in µs, name, input, …} for each group,
--           when to try again in µs if the rate is all that holds tasks back, else ''}; and hints

-- include part_numbers.lua
-- include part_tasks.lua
-- include part_task_time.lua

local boot, node, session, number, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local at = 5

local MOST_BYTES = 2 * 1024 * 1024  -- Of inputs in one answer.
local WAITS_FOR = 60000000          -- A group that is not heard of for so long waits no more.
local SESSION_KEPT = 600000000

local function argument()
  at = at + 1
  return ARGV[at]
end
local function count() return tonumber(argument()) end

touch(lease)

local settle = {}

function settle.done(id, task)
  local result = argument()
  local following = {}
  for i = 1, count() do
    local queue = argument()
    following[i] = {queue, spec_at(at + 1)}
    at = at + SPEC
  end
  if not task then return end
  local held = int(task[TOKEN])
  redis.call('ZREM', active, id)
  counted.completed = counted.completed + 1
  finish_task(id, task, DONE, result)
  -- After its end: what follows may have its unique key.
  for i, follow in ipairs(following) do
    local queue, spec = unpack(follow)
    if queue == '' then
      enqueue(spec, true)
    else
      redis.call('HSET', outbox, id .. ' ' .. held .. ' ' .. i, cmsgpack.pack({queue, unpack(spec)}))
      soonest(now_us)
    end
  end
  return DONE
end

function settle.failed(id, task)
  local err, again, factor = argument(), argument() == '1', count()
  if not task then return end
  redis.call('ZREM', active, id)
  counted.failures = counted.failures + 1
  if not again or task[ATTEMPTS] >= task[MAX_ATTEMPTS] then
    bury(id, task, err)
    return FAILED
  end
  local wait = math.min(task[BACKOFF] * 2 ^ (task[ATTEMPTS] - 1), task[MAX_BACKOFF]) * factor / 1000
  local due = math.floor(now_us + wait)
  task[STATE], task[SINCE], task[TOKEN], task[SEQUENCE] = RETRYING, now_us, 0, 0
  redis.call('ZADD', scheduled, int(due), id)
  redis.call('HSET', tasks, 'o:' .. id, err)
  save(id, task)
  changed(id, task)
  soonest(due)
  return RETRYING
end

function settle.returned(id, task)
  local err = argument()
  if not task then return end
  lose(id, task, err)
  return task[STATE]
end

function settle.unused(id, task)
  if not task then return end
  redis.call('ZREM', active, id)
  task[ATTEMPTS] = task[ATTEMPTS] - 1
  make_ready(id, task)
  return READY
end

function settle.progress(id, task)
  local content = argument()
  if not task then return end
  redis.call('HSET', tasks, 'p:' .. id, content)
  changed(id, task)
  return ACTIVE
end

local function holds(id, held)
  local task = load(id)
  return task and task[STATE] == ACTIVE and task[TOKEN] == tonumber(held) and task or nil
end

local function settle_all()
  local settled = {}
  for i = 1, count() do
    local kind, id, held, worker = argument(), argument(), argument(), argument()
    local task = holds(id, held)
    if task and worker ~= '' then task[WORKER] = worker end
    local state_after = settle[kind](id, task)
    settled[i] = {task and 1 or 0, state_after or 0}
  end
  return settled
end

local function renew_all()
  local lost = {}
  for _ = 1, count() do
    local id, held = argument(), argument()
    local task = holds(id, held)
    if task then
      redis.call('ZADD', active, int(now_us + lease), id)
      if task[BOOT] ~= boot then  -- The node has rejoined: revocations go to where it listens now.
        task[BOOT] = boot
        save(id, task)
      end
    else
      lost[#lost + 1] = id
      lost[#lost + 1] = held
    end
  end
  return lost
end

-- How many may begin now, by the queue's own limits; and when the next may if the rate is what holds them back.
local function allowance()
  if (state.rate or 0) == 0 then state.bucket = nil end
  if state.paused == 1 then return 0 end
  local most = math.huge
  if (state.max_concurrency or 0) > 0 then most = state.max_concurrency - redis.call('ZCARD', active) end
  if not state.rate or state.rate == 0 or most <= 0 then return most end
  local burst = math.max(1, state.rate)
  local passed = math.max(0, now_us - (state.bucket_us or 0))
  state.bucket = math.min(burst, (state.bucket or burst) + passed * state.rate / 1000000)
  state.bucket_us = now_us
  return math.min(most, math.floor(state.bucket + 0.000001))
end

local bytes = 0
local taken = {}  -- By id.

-- Leases a task that is ready.
local function take(id, task, leased)
  leave(id, task)
  token = math.max(token + 1, now_us)
  task[STATE], task[SINCE], task[ATTEMPTS], task[TOKEN] = ACTIVE, now_us, task[ATTEMPTS] + 1, token
  task[BOOT], task[WORKER] = boot, node
  redis.call('ZADD', active, int(now_us + lease), id)
  save(id, task)
  changed(id, task)
  if state.bucket then state.bucket = state.bucket - 1 end
  leased[#leased + 1] = id
  taken[id] = task
end

local function describe(id)
  local task = taken[id] or load(id)
  if not task or task[STATE] ~= ACTIVE or task[BOOT] ~= boot then return nil end
  local input = redis.call('HGET', tasks, 'c:' .. id) or ''
  return id, int(task[TOKEN]), int(task[ATTEMPTS]), int(task[LOST]), int(task[TIMEOUT]), task[NAME], input
end

-- The next for a group that takes these names, and its place among them.
local function next_of(takes, heads)
  local best
  for _, name in ipairs(takes) do
    if heads[name] == nil then heads[name] = head_of(name) or false end
    if heads[name] and (not best or heads[name] < heads[best]) then best = name end
  end
  if not best then return nil end
  local place = heads[best]
  heads[best] = nil
  return string.sub(place, 15), prefix_of(best) .. place
end

local function lease_group(takes, room)
  local leased = {}
  local heads = {}
  while #leased < room and bytes < MOST_BYTES do
    local id, place
    if #takes == 0 then
      id = redis.call('ZRANGE', ready, 0, 0)[1]
    else
      id, place = next_of(takes, heads)
    end
    if not id then break end
    local task = load(id)
    if task then
      take(id, task, leased)
      bytes = bytes + redis.call('HSTRLEN', tasks, 'c:' .. id)
    else  -- Somebody has removed a key: what is left of a task must not hold up the others.
      redis.call('ZREM', ready, id)
      if place then redis.call('ZREM', names, place) end
    end
  end
  return leased
end

local function wait_or_not(group, takes, waits)
  local member = boot .. ' ' .. group
  if waits then
    -- It keeps its place, unless it was woken and found nothing.
    local since = tonumber(redis.call('ZSCORE', waiting, member))
    if not since or since > now_us then redis.call('ZADD', waiting, int(now_us), member) end
    redis.call('HSET', memory, 'w' .. member, #takes > 0 and cmsgpack.pack(takes) or '')
    redis.call('ZADD', expiries, int(now_us + WAITS_FOR), 'w' .. member)
  elseif redis.call('ZREM', waiting, member) == 1 then
    redis.call('HDEL', memory, 'w' .. member)
    redis.call('ZREM', expiries, 'w' .. member)
  end
end

local function lease_all()
  local allowed = allowance()
  local groups, held_back = {}, false
  for i = 1, count() do
    local group, room = argument(), count()
    local takes = {}
    for n = 1, count() do takes[n] = argument() end
    local leased = lease_group(takes, math.min(room, allowed))
    allowed = allowed - #leased
    held_back = held_back or (#leased < room and allowed <= 0)
    groups[i] = leased
    if #leased > 0 then soonest(now_us + lease / 3) end  -- As in tasks_sweep.
    wait_or_not(group, takes, #leased < room)
  end
  local retry_at = ''
  if held_back and state.bucket and state.bucket < 1 and redis.call('ZCARD', ready) > 0 and is_open() then
    retry_at = int(math.ceil(now_us + (1 - state.bucket) * 1000000 / state.rate))
  end
  if state.bucket then redis.call('HSET', meta, 'bucket', tostring(state.bucket), 'bucket_us', int(state.bucket_us)) end
  return groups, retry_at
end

local function described(groups)
  local tasks_of = {}
  for i, leased in ipairs(groups) do
    local flat = {}
    for _, id in ipairs(leased) do
      local fields = {describe(id)}
      for _, field in ipairs(fields) do flat[#flat + 1] = field end
    end
    tasks_of[i] = flat
  end
  return tasks_of
end

local last = redis.call('HGET', memory, 't' .. session)
if last then
  local kept = cmsgpack.unpack(last)
  if kept[1] == number then return answer({kept[2], kept[3], described(kept[4]), ''}) end
  -- A copy that was under way on a connection since lost: its sender has the answer.
  if tonumber(kept[1]) > tonumber(number) then return answer({{}, {}, {}, ''}) end
end

local settled = settle_all()
local lost = renew_all()
local groups, retry_at = lease_all()
redis.call('HSET', memory, 't' .. session, cmsgpack.pack({number, settled, lost, groups}))
redis.call('ZADD', expiries, int(now_us + SESSION_KEPT), 't' .. session)
return answer({settled, lost, described(groups), retry_at}, retry_at == '' and 1 or nil)
