#!lua
-- A task as it is; and, until it has ended, a boot hears of its changes.
--
-- KEYS     as in part_tasks
-- ARGV[1]  id
-- ARGV[2]  boot
-- Returns  a view, see part_task_view, without its input; nil if there is none; and hints

-- include part_numbers.lua
-- include part_tasks.lua
-- include part_task_view.lua

local MOST = 64  -- Boots that hear of one task: the last to ask.

local id, boot = ARGV[1], ARGV[2]
local task = load(id)
if not task then return answer(false) end
if task[STATE] < DONE then
  local packed = task[WATCHED] and redis.call('HGET', tasks, 'a:' .. id)
  local boots = {boot}
  for _, other in ipairs(packed and cmsgpack.unpack(packed) or {}) do
    if other ~= boot and #boots < MOST then boots[#boots + 1] = other end
  end
  redis.call('HSET', tasks, 'a:' .. id, cmsgpack.pack(boots))
  if not task[WATCHED] then
    task[WATCHED] = true
    save(id, task)
  end
end
return answer(view(id, task, false))
