#!lua
-- Reads a value, as a plain MGET of value and lock does not: notes the read, sets the expiry anew, or waits in line while another has the lock.
--
-- KEYS     value, lock; the lock's line, turns, boots
-- ARGV[1]  holder
-- ARGV[2]  expires after, µs; 0: as it is
-- ARGV[3]  1: note the read
-- ARGV[4]  the WAITER that lines up if it is locked, or ''
-- Returns  {{'found', the record before the read is noted}, {'missing'} or {'locked', holder, ends in µs}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local value, lock, line, turns, boots = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- include part_cache.lua
-- include part_line.lua

local waiter = ARGV[4]
local held = redis.call('GET', lock)
if held and string.sub(held, 17) ~= ARGV[1] then
  if waiter ~= '' then line_up(waiter) end
  local _, ends = struct.unpack('>I8I8', held)
  return {{'locked', string.sub(held, 17), int(math.max(ends - now_us, 1000))}, told}
end
if waiter ~= '' then
  step_out(waiter)
  pass(held and 0 or 1)
end

local record = redis.call('GET', value)
if not record then return {{'missing'}, told} end
if ARGV[3] == '1' then redis.call('SETRANGE', value, 16, struct.pack('>I8', now_us)) end
if ARGV[2] ~= '0' then
  local expires = moment_in(tonumber(ARGV[2]))
  redis.call('SETRANGE', value, 8, struct.pack('>I8', expires))
  redis.call('PEXPIREAT', value, int(expires / 1000))
  record = string.sub(record, 1, 8) .. struct.pack('>I8', expires) .. string.sub(record, 17)
end
return {{'found', record}, told}
