-- Statements of ours in a policy that holds others.

local json = kstate.json

local merge = {}

-- A value of which the order and the form of lists is gone, as S3 changes them.
local function plain(value)
  if type(value) ~= "table" then
    return value
  elseif #value == 1 then
    return plain(value[1])
  end
  local copy, is_text = {}, #value > 0
  for name, one in pairs(value) do
    copy[name] = plain(one)
    is_text = is_text and type(one) == "string"
  end
  if is_text then
    table.sort(copy)
  end
  return copy
end

-- Whether two policies say the same.
function merge.same(one, other)
  return json.encode(plain(one)) == json.encode(plain(other))
end

-- What may be one or a list of them, as a list.
function merge.list(value)
  if type(value) == "table" and (#value > 0 or next(value) == nil) then
    return value
  end
  return { value }
end

-- The policy with our statements: each in the place of the one with its Sid, new ones at the end, and
-- gone those that are ours and not needed any more. All others stay. Gives those that gave way, too.
function merge.into(policy, ours, is_ours)
  local left, new, gone = {}, {}, {}
  for _, statement in ipairs(ours) do
    left[statement.Sid] = statement
  end
  for _, statement in ipairs(merge.list(policy.Statement)) do
    if not is_ours(statement) then
      new[#new + 1] = statement
    else
      gone[#gone + 1] = statement
      new[#new + 1] = left[statement.Sid]
      left[statement.Sid] = nil
    end
  end
  for _, statement in ipairs(ours) do
    new[#new + 1] = left[statement.Sid]
  end
  policy.Statement = kstate.array(new)
  return policy, gone
end

local function principals_of(statements)
  local found = {}
  for _, statement in ipairs(statements) do
    local principal = statement.Principal
    for _, arn in ipairs(merge.list(type(principal) == "table" and principal.AWS or principal)) do
      found[arn] = true
    end
  end
  return found
end

local function resources_of(statements)
  local found = {}
  for _, statement in ipairs(statements) do
    for _, arn in ipairs(merge.list(statement.Resource)) do
      found[arn] = true
    end
  end
  return found
end

-- Who and what was in the old statements and isn't in the new ones.
function merge.lost(old, new)
  local names = {}
  for _, of in ipairs({ principals_of, resources_of }) do
    local now = of(new)
    for name in pairs(of(old)) do
      names[#names + 1] = not now[name] and name or nil
    end
  end
  table.sort(names)
  return names
end

return merge
