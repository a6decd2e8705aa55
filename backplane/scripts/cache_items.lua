#!lua flags=no-writes
-- Reads items of a list: as many as are not too large together.
--
-- KEYS     list
-- ARGV[1]  how many items come before
-- ARGV[2]  how many to read at most
-- ARGV[3]  once they have so many bytes, no more
-- Returns  {how many items the list has, the items as they were pushed…}

local list, first, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local said, left = {redis.call('LLEN', list)}, tonumber(ARGV[3])
for _, item in ipairs(redis.call('LRANGE', list, first, first + most - 1)) do
  if left <= 0 then break end
  said[#said + 1] = item
  left = left - #item
end
return said
