-- The fields of manifests that hold whatever a person put there: scripts, units, whole files. A
-- credential in them has no name and no form by which it could be told.

local kstate = kstate

-- By the field above them, in a Cluster, an InstanceGroup, or what nodeup gets of both.
local CONTAINERD = { configAdditions = true, configOverride = true }
local FREE = {
  additionalUserData = { content = true },
  containerd = CONTAINERD,
  containerdConfig = CONTAINERD,
  fileAssets = { content = true },
  hooks = { execContainer = true, manifest = true },
}

local function collect(value, path, above, found)
  for key, inner in pairs(type(value) == "table" and value or {}) do
    local is_element = type(key) == "number"
    local at = is_element and ("%s[%d]"):format(path, key - 1) or path == "" and key or path .. "." .. key
    local is_free = not is_element and FREE[above] and FREE[above][key]
    if is_free and (type(inner) == "table" and next(inner) ~= nil or type(inner) == "string" and inner ~= "") then
      found[#found + 1] = at
    else
      collect(inner, at, is_element and above or key, found)
    end
  end
end

-- The paths of such fields that hold something; nil when a text is no YAML.
return function(text)
  local parsed, documents = pcall(kstate.yaml.decode_all, text)
  if not parsed then
    return nil
  end
  local found = {}
  for _, document in ipairs(documents) do
    collect(document, "", "", found)
  end
  table.sort(found)
  return found
end
