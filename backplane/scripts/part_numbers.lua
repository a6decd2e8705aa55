-- Part of other scripts: the time by Redis's clock, and numbers as they travel.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- In full: Lua's own conversion rounds after 14 digits. Exact up to 2^53, and never more than that, whatever stands in
-- Redis.
local function int(number)
  return string.format('%.0f', math.max(-2 ^ 53, math.min(number, 2 ^ 53)))
end

-- As Protocol Buffers write a number that is not negative. A field may be appended to a serialized message: the last
-- one counts.
local function varint(number)
  local bytes = ''
  while number >= 128 do
    bytes = bytes .. string.char(number % 128 + 128)
    number = math.floor(number / 128)
  end
  return bytes .. string.char(number)
end
