-- Ranges of IPv4 addresses, and how kOps gives them to subnets.

local refuse = require(".args").refuse

local function parse_range(text)
  local a, b, c, d, length = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)/(%d+)$")
  if a == nil then
    refuse(("'%s' is no range of IPv4 addresses"):format(text), "write it like 172.20.0.0/16")
  end
  local function int(part)
    return math.tointeger(tonumber(part))
  end
  return { start = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d), length = int(length) }
end

local function range_text(start, length)
  return ("%d.%d.%d.%d/%d"):format(start >> 24 & 255, start >> 16 & 255, start >> 8 & 255, start & 255, length)
end

local function overlaps(one, other)
  local shift = 32 - math.min(one.length, other.length)
  return one.start >> shift == other.start >> shift
end

-- The ranges of this length in a network that none of the others meets.
local function free_ranges(network, length, taken)
  local step, next_start = 1 << (32 - length), network.start
  return function()
    while next_start < network.start + (1 << (32 - network.length)) do
      local range = { start = next_start, length = length }
      next_start = next_start + step
      local is_free = true
      for _, other in ipairs(taken) do
        is_free = is_free and not overlaps(range, other)
      end
      if is_free then
        return range_text(range.start, length), range
      end
    end
  end
end

-- As kOps splits the network among new subnets: evenly, in powers of two, and with one part more
-- when there are utility subnets, which are eighths of it.
local function split_network(network, number, with_utility)
  local parts, bits = with_utility and number + 1 or number, 0
  while 1 << bits < parts do
    bits = bits + 1
  end
  local length, ranges, utility = network.length + bits, {}, {}
  if length + (with_utility and 3 or 0) > 28 or (with_utility and number > 8) then
    refuse(("there are too many zones for the network %s"):format(range_text(network.start, network.length)))
  end
  local free = free_ranges(network, length, {})
  if with_utility then
    local _, first = free()
    local eighths = free_ranges(first, length + 3, {})
    for i = 1, number do
      utility[i] = eighths()
    end
  end
  for i = 1, number do
    ranges[i] = free()
  end
  return ranges, utility
end

return { parse = parse_range, free = free_ranges, split = split_network }
