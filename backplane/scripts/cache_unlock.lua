#!lua flags=allow-oom
-- Gives a lock up, and the first in line its turn.
-- Durable.
--
-- KEYS     lock; its line, turns, boots
-- ARGV[1]  holder
-- ARGV[2]  token, or 0
-- ARGV[3]  only if it ends then, µs: it was not renewed since; 0: whenever it ends
-- Returns  {{'released', 1, or 0 if nobody had it}, {'locked', holder} or {'lost'}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local lock, line, turns, boots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- include part_line.lua

local record = redis.call('GET', lock)
if ARGV[2] ~= '0' then
  if not record or struct.unpack('>I8', record) ~= tonumber(ARGV[2]) then return {{'lost'}, told} end
elseif record and string.sub(record, 17) ~= ARGV[1] then
  return {{'locked', string.sub(record, 17)}, told}
end
if record and ARGV[3] ~= '0' and select(2, struct.unpack('>I8I8', record)) ~= tonumber(ARGV[3]) then
  return {{'lost'}, told}
end
local released = redis.call('DEL', lock)
pass(1)
return {{'released', released}, told}
