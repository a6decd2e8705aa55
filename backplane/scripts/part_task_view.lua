-- Part of the scripts of tasks, after part_tasks: a task as it is shown.
--   {id, name, state, priority, attempts, most attempts, lost leases, token, enqueued µs, since µs, due µs or '', 1 if its end can be read, worker, outcome,
--   progress, input}; what there is none of is ''.
local function view(id, task, with_input)
  local due = ''
  if task[STATE] == SCHEDULED or task[STATE] == RETRYING then due = redis.call('ZSCORE', scheduled, id) or '' end
  if task[STATE] == ACTIVE then due = redis.call('ZSCORE', active, id) or '' end
  local parts = redis.call('HMGET', tasks, 'o:' .. id, 'p:' .. id, 'c:' .. id)
  return {id, task[NAME], int(task[STATE]), int(task[PRIORITY]), int(task[ATTEMPTS]), int(task[MAX_ATTEMPTS]), int(task[LOST]),
    int(task[TOKEN]), int(task[ENQUEUED]), int(task[SINCE]), due ~= '' and int(tonumber(due)) or '', task[RETAIN] > 0 and '1' or '0',
    task[WORKER], parts[1] or '', parts[2] or '', with_input and parts[3] or ''}
end
