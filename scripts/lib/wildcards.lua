-- The patterns of policies: `*` is anything, `?` any one character.

local wildcards = {}

-- Whether everything that `inner` stands for is what `outer` stands for; both may have `*` and `?`.
function wildcards.covers(outer, inner)
  local i, j, star, from = 1, 1, nil, nil
  while j <= #inner do
    local o, n = outer:sub(i, i), inner:sub(j, j)
    if o == "*" then
      star, from, i = i, j, i + 1
    elseif o == n or (o == "?" and n ~= "*") then
      i, j = i + 1, j + 1
    elseif star then
      from = from + 1
      i, j = star + 1, from
    else
      return false
    end
  end
  return outer:find("^%**$", i) ~= nil
end

-- Whether there is anything that both stand for.
function wildcards.overlap(one, other)
  -- Whether what was read of `one` can be the first so many of `other`.
  local can = { [0] = true }
  for j = 1, #other do
    can[j] = can[j - 1] and other:sub(j, j) == "*"
  end
  for i = 1, #one do
    local x, before = one:sub(i, i), can[0]
    can[0] = can[0] and x == "*"
    for j = 1, #other do
      local y, here = other:sub(j, j), nil
      if x == "*" or y == "*" then
        here = can[j] or can[j - 1]
      else
        here = before and (x == y or x == "?" or y == "?")
      end
      before, can[j] = can[j], here
    end
  end
  return can[#other]
end

return wildcards
