#!lua flags=allow-oom
-- Removes a queue with all that is in it.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  1: also if tasks run
-- Returns  'done'; 'missing': there is none; 'active': tasks run; and hints

-- include part_numbers.lua
-- include part_tasks.lua

local MOST = 10000  -- Revocations; who holds more hears of the rest when it renews.

local running = redis.call('ZRANGE', active, 0, MOST - 1)
if #running > 0 and ARGV[1] ~= '1' then return answer('active') end
for _, id in ipairs(running) do
  local task = load(id)
  if task then
    for _, part in ipairs({task[BOOT], id, int(task[TOKEN]), 0}) do revocations[#revocations + 1] = part end
  end
end
local removed = redis.call('UNLINK', unpack(KEYS))
return {removed > 0 and 'done' or 'missing', {{}, {}, revocations, '', 0}}
