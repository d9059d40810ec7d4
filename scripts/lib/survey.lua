-- What there is of a cluster in a state store: its manifest, the tree below its configBase, and what
-- etcd-manager keeps.

local kstate = kstate
local config, time, yaml = kstate.config, kstate.time, kstate.yaml
local args = require(".args")

local survey = {}

-- The clusters that a person asked for: those that were named, else this run's share of all.
function survey.names(store, named)
  local names = {}
  for _, typed in ipairs(named) do
    names[#names + 1] = args.cluster(typed)
  end
  return #names > 0 and names or kstate.shard(config.clusters(store))
end

-- The `spec` of the cluster in the text of a `config`.
local function spec_of(text)
  for _, document in ipairs(yaml.decode_all(text)) do
    if type(document) == "table" and document.kind == "Cluster" then
      return args.table_of(document.spec)
    end
  end
  return {}
end

-- A cluster: `tree` is its folder in the store, `base` the one that its configBase names, and
-- `leads_to` that place when it is another. A folder that has all of the cluster is taken as it is:
-- it is a copy whose config still names the original.
function survey.cluster(store, name)
  local tree = store:at(name)
  local text = tree:read("config")
  if text == nil then
    args.refuse(("there is no cluster %s in %s"):format(name, store:url()))
  end
  local manifest = config.parse(text, tree:url() .. "/config")
  local place = manifest.config_base
  local leads_to = place and config.below(place, tree:url()) ~= "" and place or nil
  local base = leads_to and not tree:exists("cluster-completed.spec") and tree:open(leads_to) or tree
  return { name = name, tree = tree, base = base, leads_to = leads_to, manifest = manifest, spec = spec_of(text) }
end

-- The etcd clusters of a cluster, each with its `name` and the `tree` in which its backups are.
function survey.etcd(cluster)
  local found = {}
  for _, etcd in ipairs(args.table_of(cluster.spec.etcdClusters)) do
    local place = args.table_of(args.table_of(etcd).backups).backupStore
    local name = tostring(args.table_of(etcd).name)
    local tree = type(place) == "string" and cluster.base:open(place) or cluster.base:at("backups/etcd/" .. name)
    found[#found + 1] = { name = name, tree = tree }
  end
  return found
end

-- The moment in the name of a backup: `2026-06-01T04:00:00Z-000012`.
local function moment(folder)
  local ok, at = pcall(time.parse, (folder:gsub("%-%d+$", "")))
  return ok and at or nil
end

-- The backups of an etcd cluster, the oldest first, and the keys of what is no backup: the markers
-- below `control/`, and what nobody knows.
function survey.backups(etcd)
  local backups, by_folder, others = {}, {}, {}
  for object in etcd.tree:walk() do
    local folder = object.key and object.key:match("^([^/]+)/")
    local at = folder and moment(folder)
    if at == nil then
      others[#others + 1] = object.key or object.foreign
    else
      local backup = by_folder[folder]
      if backup == nil then
        backup = { folder = folder, time = at, bytes = 0, objects = {} }
        by_folder[folder] = backup
        backups[#backups + 1] = backup
      end
      backup.bytes = backup.bytes + object.size
      backup.objects[#backup.objects + 1] = object
    end
  end
  table.sort(backups, function(a, b)
    return a.time < b.time or a.time == b.time and a.folder < b.folder
  end)
  return backups, others
end

-- How long ago something was, for people: `3d 4h`.
function survey.age(at)
  local seconds = math.floor(math.max(0, time.now() - at))
  local days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
  if days > 0 then
    return ("%dd %dh"):format(days, hours)
  end
  return hours > 0 and ("%dh %dm"):format(hours, minutes) or ("%dm"):format(minutes)
end

-- A number of bytes for people.
function survey.size(bytes)
  local units, unit = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  while bytes >= 1024 and unit < #units do
    bytes, unit = bytes / 1024, unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, units[unit])
end

return survey
