#!lua
-- Writes a part of a list as it was dumped: beside it, until the last part is there, which then takes the list's place. A part that is written again does nothing.
--
-- KEYS     list; its line, turns, boots; staged
-- ARGV[1]  how many items come before this part
-- ARGV[2]  1: it is the last
-- ARGV[3]  1: unless there is a list
-- ARGV[4…] the items: a byte that is the kind, then the content
-- Returns  {'staged', 'written', 'kept' or 'gap': parts before this one are not there, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local list, line, turns, boots, staged = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- include part_line.lua

local KEPT = 7 * 24 * 3600  -- A restore may be gone on with for so long, s.

local offset = tonumber(ARGV[1])
if ARGV[3] == '1' and redis.call('EXISTS', list) == 1 then
  redis.call('UNLINK', staged)
  return {'kept', told}
end
if offset == 0 then redis.call('UNLINK', staged) end
local there = redis.call('LLEN', staged)
if there < offset then return {'gap', told} end
for i = 4 + there - offset, #ARGV do redis.call('RPUSH', staged, ARGV[i]) end
if ARGV[2] ~= '1' then
  redis.call('EXPIRE', staged, KEPT)
  return {'staged', told}
end
if redis.call('EXISTS', staged) == 1 then
  redis.call('RENAME', staged, list)
  redis.call('PERSIST', list)
end
pass(redis.call('LLEN', list))
return {'written', told}
