-- Whether a bucket's policy allows something: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
--
-- Each look at a part of a statement ends in one of three: it is about all of what is needed, about
-- some of it or under a condition that isn't known here ("maybe"), or about none of it.

local list = require("lib.bucket_policy").list
local wildcards = require("lib.wildcards")

local check = {}

local ALL, MAYBE, NONE = "all", "maybe", "none"

-- How much of what is needed the patterns are about. What a variable (`${…}`) is isn't known here.
local function about(patterns, needed)
  local found = NONE
  for _, pattern in ipairs(patterns) do
    local open, variables = tostring(pattern):gsub("%${[^}]*}", "*")
    if variables == 0 and wildcards.covers(open, needed) then
      return ALL
    elseif wildcards.overlap(open, needed) then
      found = MAYBE
    end
  end
  return found
end

-- The account of an ARN, and of a role or a session of it the role's name; of a role also its path.
local function role_of(arn)
  local account, resource = arn:match("^arn:[^:]*:[^:]*::([^:]*):(.*)$")
  local path, name = (resource or ""):match("^role/(.-)([^/]*)$")
  return account, name or (resource or ""):match("^assumed%-role/([^/]+)/"), path
end

-- How much of the needed principal an ARN stands for.
local function about_arn(arn, needed)
  local root = needed.account and ("arn:%s:iam::%s:root"):format(needed.partition or "aws", needed.account)
  if arn == "*" or arn == needed.arn or arn == root or arn == needed.account then
    return ALL
  elseif arn:find("[*?]") or needed.arn == "*" then
    return wildcards.overlap(arn, needed.arn) and MAYBE or NONE
  end
  local account, role, path = role_of(arn)
  local _, needed_role, needed_path = role_of(needed.arn)
  if account ~= needed.account then
    return NONE
  elseif role and role == needed_role then
    -- A session is its role, whose path it doesn't tell, and not another session of it.
    local is_session = needed_path == nil
    return is_session and (path == "" and ALL or path and MAYBE or NONE) or MAYBE
  end
  local is_part = needed.arn == root or (needed.arn:find(":federated-user/", 1, true) and arn:find(":user/", 1, true))
  return is_part and MAYBE or NONE
end

local function about_principal(principal, needed)
  local found = NONE
  for kind, names in pairs(type(principal) == "table" and principal or { AWS = principal }) do
    for _, arn in ipairs(list(names)) do
      -- No service is let in here; who a canonical user or a federation is isn't known.
      local how = kind == "AWS" and about_arn(tostring(arn), needed) or (kind == "Service" and NONE or MAYBE)
      if how == ALL then
        return ALL
      end
      found = found == NONE and how or found
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

-- Whether one of the texts is this one; `others` is what all the others may be, without a doubt.
local function among(texts, this, others)
  local found = NONE
  for _, text in ipairs(texts) do
    text = tostring(text):lower()
    if text == this then
      return ALL
    end
    found = text:find(others) and found or MAYBE
  end
  return found
end

-- Whether one line of a condition holds.
local function holds(operator, name, values, need)
  local base, if_exists = operator:lower():gsub("ifexists$", "")
  name = name:lower()
  if name == "aws:securetransport" and base == "bool" then
    -- kOps talks TLS to S3.
    return among(values, "true", "^false$")
  elseif name == "aws:principalorgid" and base == "stringequals" and need.org then
    return among(values, need.org, "^o%-%w+$")
  elseif name == "s3:prefix" and (base == "stringlike" or base == "stringequals") then
    if need.prefix == nil then
      return if_exists > 0 and ALL or NONE
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
function check.verdict(statements, need)
  local found = { Allow = {}, Deny = {} }
  for index, statement in ipairs(statements) do
    local how = applies(statement, need)
    local effect = found[statement.Effect]
    if how == ALL then
      effect[ALL] = effect[ALL] or name_of(statement, index)
    elseif how == MAYBE then
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
