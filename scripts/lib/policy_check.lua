-- Whether a bucket's policy allows something: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
--
-- Each look at a part of a statement ends in one of three: it is about all of what is needed, about
-- some of it or under a condition that isn't known here ("maybe"), or about none of it.

local list = require("lib.policy_merge").list

local check = {}

local ALL, MAYBE, NONE = "all", "maybe", "none"

-- Whether everything that `inner` stands for is what `outer` stands for; both may have `*` and `?`.
local function covers(outer, inner)
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
local function overlap(one, other)
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

-- How much of what is needed the patterns are about.
local function about(patterns, needed)
  local found = NONE
  for _, pattern in ipairs(patterns) do
    pattern = tostring(pattern)
    if covers(pattern, needed) then
      return ALL
    elseif overlap(pattern, needed) then
      found = MAYBE
    end
  end
  return found
end

local function about_principal(principal, needed)
  local found = NONE
  -- Services, federations and canonical users are none of those who are let in here.
  for _, arn in ipairs(list(type(principal) == "table" and (principal.AWS or {}) or principal)) do
    arn = tostring(arn)
    local root = needed.account and ("arn:%s:iam::%s:root"):format(needed.partition or "aws", needed.account)
    if arn == "*" or arn == needed.arn or arn == root or arn == needed.account then
      return ALL
    end
    local account, role = arn:match("^arn:[^:]*:[^:]*::([^:]*):(.*)$")
    role = role and role:match("^assumed%-role/([^/]+)/")
    local is_part = needed.arn == "*" or (needed.arn == root and account == needed.account)
    if is_part or (role and account == needed.account and needed.arn:match("role/[^:]*$") and needed.arn:match("[^/]+$") == role) then
      found = MAYBE
    end
  end
  return found
end

local function lower_all(patterns)
  local all = {}
  for index, pattern in ipairs(patterns) do
    all[index] = tostring(pattern):lower()
  end
  return all
end

-- Whether one line of a condition holds.
local function holds(operator, name, values, need)
  local base = operator:lower():gsub("ifexists$", "")
  local if_exists = base ~= operator:lower()
  name = name:lower()
  if name == "aws:securetransport" and base == "bool" then
    -- kOps talks TLS to S3.
    return tostring(values[1]) == "true" and ALL or NONE
  elseif name == "aws:principalorgid" and base == "stringequals" and need.org then
    return about(values, need.org) == ALL and ALL or NONE
  elseif name == "s3:prefix" and (base == "stringlike" or base == "stringequals") then
    if need.prefix == nil then
      return if_exists and ALL or NONE
    end
    local found = about(values, need.prefix)
    return (found == ALL and base == "stringequals") and MAYBE or found
  end
  return MAYBE
end

local function least(results)
  local found = ALL
  for _, result in ipairs(results) do
    if result == NONE then
      return NONE
    elseif result == MAYBE then
      found = MAYBE
    end
  end
  return found
end

-- How much of a need a statement is about, and what isn't known of it.
local function applies(statement, need)
  local function part(name, how)
    if statement["Not" .. name] ~= nil then
      return MAYBE
    end
    return how(statement[name])
  end
  local parts = {
    part("Principal", function(principal)
      return about_principal(principal, need.principal)
    end),
    part("Action", function(actions)
      return about(lower_all(list(actions)), need.action:lower())
    end),
    part("Resource", function(resources)
      return about(list(resources), need.resource)
    end),
  }
  for operator, lines in pairs(statement.Condition or {}) do
    for name, values in pairs(lines) do
      parts[#parts + 1] = holds(operator, name, list(values), need)
    end
  end
  return least(parts)
end

local function name_of(statement, index)
  return statement.Sid or ("statement %d"):format(index)
end

-- Why a statement can't be judged.
local function doubt_of(statement)
  for _, name in ipairs({ "NotPrincipal", "NotAction", "NotResource" }) do
    if statement[name] ~= nil then
      return " (" .. name .. ")"
    end
  end
  return statement.Condition and " (its condition)" or " (a part)"
end

-- What a policy says to a need: `allowed`, `denied`, `not allowed` or `unsure`, and which statement.
-- A need has `principal`, `action`, `resource`, and may have `prefix` and `org`.
function check.verdict(policy, need)
  local found = { Allow = {}, Deny = {} }
  for index, statement in ipairs(list(policy.Statement)) do
    local how = applies(statement, need)
    local effect = found[statement.Effect]
    if effect and how == ALL then
      effect[ALL] = effect[ALL] or name_of(statement, index)
    elseif effect and how == MAYBE then
      effect[MAYBE] = effect[MAYBE] or name_of(statement, index) .. doubt_of(statement)
    end
  end
  if found.Deny[ALL] then
    return "denied", found.Deny[ALL]
  elseif found.Allow[ALL] and found.Deny[MAYBE] then
    return "unsure", found.Deny[MAYBE] .. " may deny it"
  elseif found.Allow[ALL] then
    return "allowed", found.Allow[ALL]
  elseif found.Allow[MAYBE] then
    return "unsure", found.Allow[MAYBE] .. " may allow it"
  end
  return "not allowed", "no statement allows it"
end

return check
