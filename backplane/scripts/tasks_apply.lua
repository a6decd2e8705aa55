#!lua flags=allow-oom
-- Does one thing to some tasks.
-- Durable.
--
-- KEYS     as in part_tasks
-- ARGV[1]  'cancel', 'delete', 'delete_waiting', 'retry' or 'remove'. The last two are of dead letters
-- ARGV[2…] ids
-- Returns  {'done' | 'missing' | 'active' | 'ended', 1 if it was running else 0} of each; and hints

-- include part_numbers.lua
-- include part_tasks.lua

local apply = {}

function apply.cancel(id, task)
  local at = task[STATE]
  if at == DONE or at == FAILED or at == CANCELLED then return 'ended' end
  if at == ACTIVE then
    revocations[#revocations + 1] = task[BOOT]
    revocations[#revocations + 1] = id
    revocations[#revocations + 1] = int(task[TOKEN])
    revocations[#revocations + 1] = 1
  end
  leave(id, task)
  finish_task(id, task, CANCELLED, nil)
  return 'done'
end

function apply.delete(id, task)
  if task[STATE] == ACTIVE then return 'active' end
  leave(id, task)
  release_key(id, task)
  changed(id, task)
  forget(id)
  return 'done'
end

-- Who has seen it wait may come too late: what has ended meanwhile stays.
function apply.delete_waiting(id, task)
  if task[STATE] >= DONE then return 'ended' end
  return apply.delete(id, task)
end

function apply.retry(id, task)
  if task[STATE] ~= FAILED then return 'missing' end
  leave(id, task)
  task[ATTEMPTS], task[LOST], task[SEQUENCE] = 0, 0, 0
  make_ready(id, task)
  return 'done'
end

function apply.remove(id, task)
  if task[STATE] ~= FAILED then return 'missing' end
  leave(id, task)
  forget(id)
  return 'done'
end

local said = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local task = load(id)
  local running = task and task[STATE] == ACTIVE
  said[#said + 1] = {task and apply[ARGV[1]](id, task) or 'missing', running and 1 or 0}
end
return answer(said, 1)
