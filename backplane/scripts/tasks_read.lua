#!lua flags=no-writes
-- Tasks as they are.
--
-- KEYS     as in part_tasks
-- ARGV[1]  1 if their inputs are wanted
-- ARGV[2…] ids
-- Returns  a view, see part_task_view, of each; nil where there is none

-- include part_numbers.lua
-- include part_tasks.lua
-- include part_task_view.lua

local views = {}
for i = 2, #ARGV do
  local task = load(ARGV[i])
  views[i - 1] = task and view(ARGV[i], task, ARGV[1] == '1') or false
end
return views
