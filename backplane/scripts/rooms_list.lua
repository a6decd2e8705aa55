#!lua flags=no-writes
-- Gives names of rooms, in order.
--
-- KEYS     as in rooms_enlist
-- ARGV[1]  from where and
-- ARGV[2]  till where, as ZRANGEBYLEX takes it
-- ARGV[3]  how many at most
-- Returns  {name, when it was put there, …}

local names, stamps, from, till, limit = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local listed = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', names, from, till, 'LIMIT', 0, limit)) do
  listed[#listed + 1] = name
  listed[#listed + 1] = redis.call('HGET', stamps, name) or ''
end
return listed
