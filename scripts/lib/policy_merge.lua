-- Statements of ours in a policy that holds others.

local kstate = kstate
local json = kstate.json
local list = require("lib.bucket_policy").list
local covers = require("lib.wildcards").covers
local refuse = require("lib.args").refuse

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

-- Refuses to replace what somebody else made: this script grants, and names whom and what.
local function check_replaceable(statement)
  local odd = statement.Effect ~= "Allow" and "Effect " .. statement.Effect
  for _, name in ipairs({ "NotPrincipal", "NotAction", "NotResource" }) do
    odd = odd or statement[name] ~= nil and name
  end
  if odd then
    refuse(("the bucket's policy has a statement %s that somebody else made (%s); it is not replaced"):format(statement.Sid, odd), "name ours otherwise, with --sid")
  end
end

-- The policy with our statements: each in the place of the one with its Sid, new ones at the end, and
-- gone those that are ours and not needed any more. All others stay. Gives those that gave way, too.
function merge.into(policy, ours, is_ours)
  local left, new, gone = {}, {}, {}
  for _, statement in ipairs(ours) do
    left[statement.Sid] = statement
  end
  for _, statement in ipairs(policy.Statement) do
    if not is_ours(statement) then
      new[#new + 1] = statement
    else
      check_replaceable(statement)
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

-- All that statements grant, one by one: `{ who, action, resource, condition }`.
local function grants_of(statements)
  local grants = {}
  for _, statement in ipairs(statements) do
    local principal = statement.Principal
    local condition = statement.Condition and json.encode(plain(statement.Condition))
    for _, names in pairs(type(principal) == "table" and principal or { AWS = principal }) do
      for _, who in ipairs(list(names)) do
        for _, action in ipairs(list(statement.Action)) do
          for _, resource in ipairs(list(statement.Resource)) do
            grants[#grants + 1] = { who = tostring(who), action = tostring(action), resource = tostring(resource), condition = condition }
          end
        end
      end
    end
  end
  return grants
end

-- Whether a grant is among others: "all" of it, or "sometimes", under another condition.
local function kept(old, grants)
  local found
  for _, new in ipairs(grants) do
    local is_same = (new.who == old.who or new.who == "*") and covers(new.resource, old.resource) and covers(new.action:lower(), old.action:lower())
    if is_same and (new.condition == nil or new.condition == old.condition) then
      return "all"
    end
    found = found or is_same and "sometimes"
  end
  return found
end

-- What the old statements grant and the new ones don't, in words.
function merge.lost(old, new)
  local grants, lost = grants_of(new), {}
  for _, grant in ipairs(grants_of(old)) do
    local how = kept(grant, grants)
    if how ~= "all" then
      lost[#lost + 1] = ("%s: %s on %s%s"):format(grant.who, grant.action, grant.resource, how and ", now under another condition" or "")
    end
  end
  table.sort(lost)
  return lost
end

return merge
