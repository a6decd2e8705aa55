#!lua flags=allow-oom
-- A node says that some of its callers still wait in a line, and which do not. Whose turn has come hears so.
--
-- KEYS     lock or list; its line, turns, boots
-- ARGV[1]  'lock' or 'list'
-- ARGV[2]  boot
-- ARGV[3]  1: others of its callers still wait
-- ARGV[4…] NUMBER of those that do not any more
-- Returns  {{1 if the node was believed to wait, changes in µs or '', NUMBER of each of its callers whose turn it is}, {BOOT, NUMBER of each whose turn has come}}

-- include part_numbers.lua
local resource, line, turns, boots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- include part_line.lua

local boot = ARGV[2]
for i = 4, #ARGV do step_out(boot .. ' ' .. ARGV[i]) end
-- One that was not heard for too long may have been passed over.
local till = redis.call('HGET', boots, boot)
local believed = till and tonumber(till) > now_us and 1 or 0
if ARGV[3] == '1' then
  believe(boot)
else
  redis.call('HDEL', boots, boot)
end

local free, changes = 0, ''
if ARGV[1] == 'list' then
  free = redis.call('LLEN', resource)
else
  local left = redis.call('PTTL', resource)
  if left == -2 then
    free = 1
  else
    changes = int((left + 1) * 1000)
  end
end
pass(free)
if changes == '' then changes = lapses_in() end

local said = {believed, changes}
for _, waiter in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
  if boot_of(waiter) == boot then said[#said + 1] = string.match(waiter, '%S+$') end
end
return {said, told}
