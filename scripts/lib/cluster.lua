-- The files of a cluster that people write: as they are, and as they are to be.

local kstate = kstate
local config, yaml = kstate.config, kstate.yaml
local args = require(".args")
local refuse = args.refuse

local Cluster = {}
Cluster.__index = Cluster

local KEYS = { Cluster = "%s/config", InstanceGroup = "%s/instancegroup/%s", Addons = "%s/clusteraddons/%s" }

local function no_group(label, why)
  refuse(("%s is no instance group: %s"):format(label, why), "kOps can list no instance group while it is there: move it away, or delete it (kstate rm)")
end

-- A file of the cluster, of which `config.load` gave this.
local function file_of(label, kind, name, ok, entry)
  if ok then
    return { kind = kind, name = name, entry = entry, text = entry.text, paths = kstate.array({}), derived = {} }
  elseif entry.kind ~= "invalid" then
    error(entry, 0)
  elseif kind == "InstanceGroup" then
    no_group(label, entry.message)
  end
  refuse(label .. ": " .. entry.message)
end

-- Reads a cluster's manifest and its instance groups, as far as they are there.
function Cluster.read(store, name, force_unknown)
  local is_listed, listed = pcall(config.list, store, name)
  if not is_listed then
    if listed.kind == "not_found" then
      refuse(tostring(listed), listed.hint)
    end
    error(listed, 0)
  end
  local wanted = {}
  for _, file in ipairs(listed) do
    wanted[#wanted + 1] = file.kind ~= "Addons" and file or nil
  end
  local self = setmetatable({ name = name, store = store, force_unknown = force_unknown }, Cluster)
  local loaded = kstate.task.map(wanted, function(file)
    return { pcall(config.load, store, file.key) }
  end)
  self.files = {}
  for i, file in ipairs(wanted) do
    self.files[i] = file_of(self:label(file.key), file.kind, file.name, table.unpack(loaded[i]))
  end
  self.is_new = self:find("Cluster") == nil
  self:groups(function() return true end)
  return self
end

function Cluster:label(key)
  return self.store:url():gsub("/$", "") .. "/" .. key
end

function Cluster:find(kind, name)
  for _, file in ipairs(self.files) do
    if file.kind == kind and (name == nil or file.name == name) then
      return file
    end
  end
end

-- Has a file among the cluster's, with a text unless it is in the store already.
function Cluster:add(kind, name, text)
  local file = self:find(kind, name)
  if file == nil then
    local key = KEYS[kind]:format(self.name, name)
    file = file_of(self:label(key), kind, name, pcall(config.load, self.store, key))
    file.text = file.entry.tag and file.text or text
    self.files[#self.files + 1] = file
  end
  return file
end

local function read_spec(file)
  local ok, documents = pcall(yaml.decode_all, file.text)
  for _, document in ipairs(ok and documents or {}) do
    if type(document) == "table" and document.kind == file.kind then
      return args.table_of(document.spec)
    end
  end
  local why = ok and "there is no " .. file.kind .. " in it" or documents.message
  if file.kind == "InstanceGroup" then
    no_group(file.entry.label, why)
  end
  refuse(file.entry.label .. ": " .. why)
end

-- The `spec` of the object in a file; read again only when the text is another.
function Cluster:spec(file)
  if file.spec_is_of ~= file.text then
    file.spec, file.spec_is_of = read_spec(file), file.text
  end
  return file.spec
end

-- The instance groups for which a function of their role and spec is true.
function Cluster:groups(is_wanted)
  local found = {}
  for _, file in ipairs(self.files) do
    local spec = file.kind == "InstanceGroup" and self:spec(file)
    if spec and is_wanted(tostring(spec.role), spec) then
      found[#found + 1] = file
    end
  end
  return found
end

-- Gives a file another text, in which these paths changed.
function Cluster:put(file, text, paths)
  file.text = text
  table.move(paths, 1, #paths, #file.paths + 1, file.paths)
end

-- Changes fields of a file, as a person types it: `set`, `unset` and `set_string`. Gives what was to
-- be taken away and isn't there, each as a sentence.
function Cluster:change(file, changes)
  if not (next(changes.unset or {}) or next(changes.set or {}) or next(changes.set_string or {})) then
    return {}
  end
  changes.kind, changes.force_unknown = file.kind, self.force_unknown
  local text, paths, missed = args.asked(config.change, file.text, changes)
  self:put(file, text, paths)
  return missed
end

-- The entries as they are to be, and those that are in the store.
function Cluster:entries()
  local new, old = {}, {}
  for i, file in ipairs(self.files) do
    new[i] = { label = file.entry.label, text = file.text }
    old[#old + 1] = file.entry.tag and file.entry or nil
  end
  return new, old
end

local ORDER_OF_NEW = { InstanceGroup = 1, Cluster = 2, Addons = 3 }

-- The files that are to be written, in order. The manifest of a new cluster comes behind its groups:
-- without it they are nothing, and a run that was interrupted is done again.
function Cluster:changed()
  local changed = {}
  for _, file in ipairs(self.files) do
    if file.entry.tag == nil or file.text ~= file.entry.text then
      changed[#changed + 1] = file
    end
  end
  if self.is_new then
    table.sort(changed, function(a, b)
      local first, second = ORDER_OF_NEW[a.kind], ORDER_OF_NEW[b.kind]
      return first < second or first == second and a.name < b.name
    end)
  end
  return changed
end

return Cluster
