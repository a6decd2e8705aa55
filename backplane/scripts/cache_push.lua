#!lua
-- Appends an item to a list, and gives the first in line its turn.
-- Durable.
--
-- KEYS     list; its line, turns, boots; what the request came to
-- ARGV[1]  the item: a byte that is its kind, then its content
-- ARGV[2]  how many items the list may have
-- ARGV[3]  for how long to remember what came of the request, ms; 0: it has no id
-- ARGV[4]  'back', or 'front': an item that was taken is given back
-- Returns  {{'pushed', length} or {'full'}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local list, line, turns, boots, request = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- include part_line.lua

local remember = ARGV[3]
if remember ~= '0' then
  local before = redis.call('GET', request)
  if before then return {{'pushed', before}, told} end
end
if redis.call('LLEN', list) >= tonumber(ARGV[2]) then return {{'full'}, told} end
local length = redis.call(ARGV[4] == 'front' and 'LPUSH' or 'RPUSH', list, ARGV[1])
pass(length)
if remember ~= '0' then redis.call('SET', request, length, 'PX', remember) end
return {{'pushed', length}, told}
