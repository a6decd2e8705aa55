-- Part of scripts on what callers wait for in line: a lock, or the items of a list. Before it: the locals `line`, `turns` and
-- `boots`, keys:
--   line   zset: WAITER → its place
--   turns  zset: WAITER → until when it may take its turn, µs
--   boots  hash: boot → until when its node is believed to wait, µs
-- A WAITER is 'BOOT NUMBER'. All of it is gone when nobody has waited for some seconds.
local TURN = 1000000
local BELIEVED = 10000000

local told = {}  -- BOOT, NUMBER of each whose turn has come in this step.

local function boot_of(waiter)
  return string.match(waiter, '^%S+')
end

local function is_believed(waiter)
  local till = redis.call('HGET', boots, boot_of(waiter))
  return till and tonumber(till) > now_us
end

local function at_the_end(waiter)
  local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', line, int(math.max(now_us, (tonumber(last) or 0) + 1)), waiter)
end

local function believe(boot)
  redis.call('HSET', boots, boot, int(now_us + BELIEVED))
  for _, key in ipairs({line, turns, boots}) do redis.call('PEXPIRE', key, int(2 * BELIEVED / 1000)) end
end

-- Into the line, if it is not there.
local function line_up(waiter)
  if not redis.call('ZSCORE', line, waiter) and not redis.call('ZSCORE', turns, waiter) then at_the_end(waiter) end
  believe(boot_of(waiter))
end

-- Out of it.
local function step_out(waiter)
  return redis.call('ZREM', line, waiter) + redis.call('ZREM', turns, waiter)
end

-- There is something for `free` waiters: turns for those first in line that have none. Gives for how many there is something beyond all turns: less than 0 if there are
-- more turns than that.
local function pass(free)
  if redis.call('EXISTS', line, turns) == 0 then return free end
  for _, waiter in ipairs(redis.call('ZRANGEBYSCORE', turns, '-inf', int(now_us))) do
    redis.call('ZREM', turns, waiter)  -- It has let its turn lapse.
    if is_believed(waiter) then at_the_end(waiter) end
  end
  local spare = free - redis.call('ZCARD', turns)
  while spare > 0 do
    local first = redis.call('ZPOPMIN', line)[1]
    if not first then break end
    if is_believed(first) then
      redis.call('ZADD', turns, int(now_us + TURN), first)
      local boot, number = string.match(first, '^(%S+) (%S+)$')
      told[#told + 1] = boot
      told[#told + 1] = number
      spare = spare - 1
    end
  end
  redis.call('PEXPIRE', turns, int(2 * BELIEVED / 1000))
  return spare
end

-- True: its turn had come, and it takes it.
local function take(waiter)
  return redis.call('ZREM', turns, waiter) == 1
end

-- For how long nothing changes by itself: until the first turn lapses, or ''.
local function lapses_in()
  local first = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2]
  return first and int(math.max(tonumber(first) - now_us, 1000)) or ''
end
