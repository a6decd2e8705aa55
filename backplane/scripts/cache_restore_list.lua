#!lua
-- Writes a part of a list as it was dumped: beside it, until the last part is there, which then takes the list's place. A list that this restore has written already is left alone.
-- Durable.
--
-- KEYS     list; its line, turns, boots; staged
-- ARGV[1]  how many items come before this part
-- ARGV[2]  1: it is the last
-- ARGV[3]  1: unless there is a list
-- ARGV[4]  names the call that restores
-- ARGV[5]  names the list in the run of the restore, whichever call restores it
-- ARGV[6]  until when the call may write, µs
-- ARGV[7…] the items: a byte that is the kind, then the content
-- Returns  {'staged', 'written', 'kept', 'late': it may not any more, or 'gap': the parts before this one are not there, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local list, line, turns, boots, staged = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- include part_line.lua

--   staged  list: ARGV[4], then the items so far; or, once the list is written, string: ARGV[5]
local KEPT = 7 * 24 * 3600  -- A restore may be gone on with for so long, s.

local offset, last, keep, call, name = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1', ARGV[4], ARGV[5]
if now_us >= tonumber(ARGV[6]) then return {'late', told} end
local kind = redis.call('TYPE', staged).ok
if kind == 'string' and redis.call('GET', staged) == name then return {last and 'written' or 'staged', told} end

local kept = keep and (offset == 0 or last) and redis.call('EXISTS', list) == 1
if offset == 0 or kept then redis.call('UNLINK', staged) end
if kept then return {'kept', told} end
if offset == 0 then
  redis.call('RPUSH', staged, call)
elseif kind ~= 'list' or redis.call('LINDEX', staged, 0) ~= call or redis.call('LLEN', staged) ~= offset + 1 then
  return {'gap', told}
end
-- What unpack gives has to fit Lua's stack.
for i = 7, #ARGV, 4000 do redis.call('RPUSH', staged, unpack(ARGV, i, math.min(i + 3999, #ARGV))) end
if not last then
  redis.call('EXPIRE', staged, KEPT)
  return {'staged', told}
end
redis.call('LPOP', staged)
redis.call('RENAME', staged, list)
redis.call('PERSIST', list)
redis.call('SET', staged, name, 'EX', KEPT)
pass(redis.call('LLEN', list))
return {'written', told}
