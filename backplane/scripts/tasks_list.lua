#!lua flags=no-writes
-- A page of the tasks in one state, in the order in which they come next; dead letters from the newest on.
--
-- KEYS     as in part_tasks
-- ARGV[1]  the state
-- ARGV[2]  the score of the last task that the page before has looked at, or ''
-- ARGV[3]  its id. If it has left meanwhile, others of the same score may come twice
-- ARGV[4]  how many to look at
-- Returns  {score, id of the last that was looked at; '' and '' if that was the end, the views, see part_task_view}

-- include part_numbers.lua
-- include part_tasks.lua
-- include part_task_view.lua

local MOST_BYTES = 2 * 1024 * 1024

local wanted, after, last_id, size = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local orders = {[SCHEDULED] = scheduled, [READY] = ready, [ACTIVE] = active, [RETRYING] = scheduled, [DONE] = ended,
  [FAILED] = failed, [CANCELLED] = ended}
local key = orders[wanted]
local newest_first = wanted == FAILED

local from = 0
if after ~= '' then
  local rank = redis.call(newest_first and 'ZREVRANK' or 'ZRANK', key, last_id)
  if rank then
    from = rank + 1
  elseif newest_first then
    from = redis.call('ZCOUNT', key, '(' .. after, '+inf')
  else
    from = redis.call('ZCOUNT', key, '-inf', '(' .. after)
  end
end

local found = redis.call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, from, from + size - 1, 'WITHSCORES')
local views, bytes, looked = {}, 0, 0
for i = 1, #found, 2 do
  if bytes > MOST_BYTES then break end
  local id = found[i]
  local task = load(id)
  if task and task[STATE] == wanted then
    local shown = view(id, task, true)
    bytes = bytes + #shown[14] + #shown[15] + #shown[16]
    views[#views + 1] = shown
  end
  looked = i
end
if looked == 0 or (looked + 1 == #found and #found < 2 * size) then return {'', '', views} end
return {int(tonumber(found[looked + 1])), found[looked], views}
