#!lua
-- Enqueues tasks: each by itself, in one step.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  names this request, or ''. One that was carried out before is not again
-- ARGV[2]  for how long to remember it from now on, µs
-- ARGV[3…] the tasks, SPEC arguments each
-- Returns  {'created' | 'exists' | 'full', id or ''} of each; and hints

-- include part_numbers.lua
-- include part_tasks.lua

local request, remember = ARGV[1], tonumber(ARGV[2])
if request ~= '' then
  local before = redis.call('HGET', memory, 'r' .. request)
  if before then
    redis.call('ZADD', expiries, 'XX', int(now_us + remember), 'r' .. request)
    return answer(cmsgpack.unpack(before))
  end
end

local outcomes, refused = {}, false
for at = 3, #ARGV, SPEC do
  local outcome = enqueue(spec_at(at), false)
  refused = refused or outcome[1] == 'full'
  outcomes[#outcomes + 1] = outcome
end

-- Of what was refused another try may come to more.
if request ~= '' and not refused then
  redis.call('HSET', memory, 'r' .. request, cmsgpack.pack(outcomes))
  redis.call('ZADD', expiries, int(now_us + remember), 'r' .. request)
end
return answer(outcomes)
