-- What must not come from git into a store: what git itself did to files, and what kOps could not
-- read or would refuse.

local kstate = kstate
local config, yaml = kstate.config, kstate.yaml
local tree = require("lib.git_tree")

local check = {}

local IS_MANIFEST = { config = true, instance_group = true }
local IS_TEXT = { config = true, instance_group = true, cluster_addons = true }

-- Whether a file was checked out with other line ends than the store's: each line has one of
-- Windows, and none in the store has.
local function has_windows_line_ends(bytes, before)
  if before == nil or before:find("\r\n", 1, true) or not bytes:find("\r\n", 1, true) then
    return false
  end
  return not bytes:gsub("\r\n", ""):find("\n", 1, true)
end

-- What is wrong with the bytes of a file, by itself; nil when nothing is.
function check.fault(key, file)
  local text = "\n" .. file.bytes
  if text:find("\n<<<<<<< ", 1, true) or text:find("\n>>>>>>> ", 1, true) then
    return key .. ": it has conflict markers of git: finish the merge first"
  elseif not file.is_as_exported and has_windows_line_ends(file.bytes, file.before) then
    return check.line_ends(key)
  elseif IS_TEXT[file.kind.class] and not utf8.len(file.bytes) then
    return key .. ": it is no text in UTF-8"
  elseif file.kind.class == "cluster_addons" then
    local parsed, fault = pcall(yaml.decode_all, file.bytes)
    return not parsed and ("%s: %s"):format(key, fault.message) or nil
  end
end

function check.line_ends(key)
  return key .. ": git changed its line ends (core.autocrlf); export again, whose .gitattributes forbids that, or: git config core.autocrlf false, and check the file out anew"
end

-- The manifests of a cluster as they are in the store, and as they would be.
local function manifests(to, cluster, writes, deletes)
  local now, new = {}, {}
  for _, listed in ipairs(tree.unless_missing(config.list, to, cluster) or {}) do
    if listed.kind ~= "Addons" then
      local text = to:read(listed.key)
      now[listed.key] = text
      new[listed.key] = text
    end
  end
  for _, file in ipairs(writes) do
    if file.cluster == cluster and IS_MANIFEST[file.kind.class] then
      local key = cluster .. "/" .. file.name
      new[key] = file.bytes
      -- What comes back as it was exported may be as wrong as it was.
      now[key] = now[key] or file.is_as_exported and file.bytes or nil
    end
  end
  for _, file in ipairs(deletes) do
    if file.cluster == cluster then
      new[cluster .. "/" .. file.name] = nil
    end
  end
  return now, new
end

local function entries(texts)
  local list = {}
  for key, text in pairs(texts) do
    list[#list + 1] = utf8.len(text) and { key = key, text = text } or nil
  end
  table.sort(list, function(a, b)
    return a.key < b.key
  end)
  return list
end

-- What would be wrong with a cluster by the fields and the rules of kOps; see `config.check`.
function check.cluster(to, cluster, writes, deletes, force_unknown)
  local now, new = manifests(to, cluster, writes, deletes)
  return config.check(entries(new), { before = entries(now), force_unknown = force_unknown })
end

return check
