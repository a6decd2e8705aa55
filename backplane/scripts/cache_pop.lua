#!lua flags=allow-oom
-- Takes the first item of a list.
-- Durable.
--
-- KEYS     list; its line, turns, boots; what the request came to
-- ARGV[1]  the WAITER that lines up if there is none, or ''
-- ARGV[2]  for how long to remember what came of the request, ms; 0: it has no id
-- Returns  {{'item', the item as it was pushed} or {'none', changes in µs or ''}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local list, line, turns, boots, request = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- include part_line.lua

local waiter, remember = ARGV[1], ARGV[2]
if remember ~= '0' then
  local before = redis.call('GET', request)
  if before then
    if waiter ~= '' then
      step_out(waiter)
      pass(redis.call('LLEN', list))
    end
    return {{'item', before}, told}
  end
end

local length = redis.call('LLEN', list)
local may
if waiter ~= '' then
  line_up(waiter)
  pass(length)
  may = length > 0 and take(waiter)
else
  may = pass(length) > 0
end
if not may then return {{'none', lapses_in()}, told} end
local item = redis.call('LPOP', list)
if remember ~= '0' then redis.call('SET', request, item, 'PX', remember) end
return {{'item', item}, told}
