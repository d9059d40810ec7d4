-- A bucket's policy as the service gives it. AWS keeps none that is odd; other services may.

local kstate = kstate
local json = kstate.json
local refuse = require("lib.args").refuse

local bucket_policy = {}

-- What may be one or a list of them, as a list.
function bucket_policy.list(value)
  if type(value) == "table" and (#value > 0 or next(value) == nil) then
    return value
  end
  return { value }
end

local function is_object(value)
  return type(value) == "table" and #value == 0
end

-- Whether it is a text or a list of them; numbers and booleans are taken for texts.
local function is_texts(value)
  for _, one in ipairs(bucket_policy.list(value)) do
    if type(one) == "table" or one == kstate.null then
      return false
    end
  end
  return true
end

-- Whether it is an object whose fields are all as they should be.
local function is_object_of(value, is_right)
  if not is_object(value) then
    return false
  end
  for _, field in pairs(value) do
    if not is_right(field) then
      return false
    end
  end
  return true
end

local IS_RIGHT = {
  Sid = function(value)
    return type(value) == "string"
  end,
  Effect = function(value)
    return value == "Allow" or value == "Deny"
  end,
  Principal = function(value)
    return is_texts(value) or is_object_of(value, is_texts)
  end,
  Action = is_texts,
  Resource = is_texts,
  Condition = function(value)
    return is_object_of(value, function(lines)
      return is_object_of(lines, is_texts)
    end)
  end,
}

-- What is wrong with a statement, or nil.
local function fault_of(statement)
  if not is_object(statement) then
    return "is no object"
  elseif statement.Effect == nil then
    return "has no Effect"
  end
  for _, name in ipairs({ "Principal", "Action", "Resource" }) do
    if statement[name] == nil and statement["Not" .. name] == nil then
      return "has no " .. name
    end
  end
  for name, value in pairs(statement) do
    local is_right = IS_RIGHT[name:gsub("^Not", "")]
    if is_right and not is_right(value) then
      local found = json.encode(value)
      return ("can't have the %s %s"):format(name, #found > 80 and found:sub(1, 80) .. "…" or found)
    end
  end
end

-- The policy in a text that was read at `url`, with its statements as a list; an odd one is refused.
function bucket_policy.read(text, url)
  local function fail(fault)
    refuse(("%s: %s"):format(url, fault), ("see it with kstate cat %s, mend it and write it back with kstate cp"):format(url))
  end
  local ok, policy = pcall(json.decode, text)
  if not ok then
    fail(tostring(policy))
  elseif not is_object(policy) then
    fail("the policy is no object")
  elseif type(policy.Statement) ~= "table" then
    fail("the policy has no list of statements")
  end
  policy.Statement = kstate.array(bucket_policy.list(policy.Statement))
  for index, statement in ipairs(policy.Statement) do
    local fault = fault_of(statement)
    if fault then
      local sid = is_object(statement) and type(statement.Sid) == "string" and (" (%s)"):format(statement.Sid) or ""
      fail(("its statement %d%s %s"):format(index, sid, fault))
    end
  end
  return policy
end

return bucket_policy
