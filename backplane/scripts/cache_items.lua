#!lua flags=no-writes
-- Reads items of a list: as many as are not too large together. It looks at few at a time, so that no more than some are read in vain.
--
-- KEYS     list
-- ARGV[1]  how many items come before
-- ARGV[2]  how many to read at most
-- ARGV[3]  once they have so many bytes, no more
-- Returns  {how many items the list has, the items as they were pushed…}

local list, next, most, left = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local LARGE = 16384  -- Bytes of an item: such are looked at one by one.
local MOST_STEP = 16

local length = redis.call('LLEN', list)
local said, step = {length}, 1
local stop = math.min(length, next + most)
while next < stop and left > 0 do
  local items = redis.call('LRANGE', list, next, math.min(stop, next + step) - 1)
  step = math.min(2 * step, MOST_STEP)
  for _, item in ipairs(items) do
    if left <= 0 then break end
    said[#said + 1] = item
    left = left - #item
    if #item >= LARGE then step = 1 end
  end
  next = next + #items
end
return said
