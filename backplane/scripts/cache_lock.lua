#!lua
-- Takes a lock, or renews it for who has it.
-- Durable.
--
-- KEYS     lock; its line, turns, boots
-- ARGV[1]  holder
-- ARGV[2]  ends after, µs
-- ARGV[3]  the WAITER that lines up if it cannot be had, or ''
-- ARGV[4]  the largest token that the caller knows of any lock: the clock may have gone back
-- Returns  {{'acquired', token, when it ends, µs, 1 if the holder had it before} or {'held', holder ('': it is another's turn), changes in µs or ''}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local lock, line, turns, boots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- include part_line.lua

local holder, waiter = ARGV[1], ARGV[3]
local ends = math.max(now + 1, math.ceil((now_us + tonumber(ARGV[2])) / 1000)) * 1000

local function acquire(token, renewed)
  redis.call('SET', lock, struct.pack('>I8I8', token, ends) .. holder, 'PXAT', int(ends / 1000))
  return {{'acquired', int(token), int(ends), renewed}, told}
end

local record = redis.call('GET', lock)
if record then
  local token, till = struct.unpack('>I8I8', record)
  local held_by = string.sub(record, 17)
  if held_by == holder then
    if waiter ~= '' then step_out(waiter) end
    if ends == till then ends = ends + 1000 end  -- By its end a renewal is told from what was before.
    return acquire(token, 1)
  end
  if waiter ~= '' then line_up(waiter) end
  return {{'held', held_by, int(math.max(till - now_us, 1000))}, told}
end

local may
if waiter ~= '' then
  line_up(waiter)
  pass(1)
  may = take(waiter)
else
  may = pass(1) > 0
end
if not may then return {{'held', '', lapses_in()}, told} end
return acquire(math.max(now_us, tonumber(ARGV[4]) + 1), 0)
