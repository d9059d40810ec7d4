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

-- A cluster by the text of its config: `tree` is its folder in the store, `base` the one that its
-- configBase names, and `leads_to` that place when it is another. `choice` says whether a folder
-- counts although its config names another place ("here"), or never ("there"). When it is left out,
-- a folder that kOps filled is taken as it is: it is a copy whose config still names the original.
function survey.of(name, tree, text, choice)
  local manifest = config.parse(text, tree:url() .. "/config")
  local place = manifest.config_base
  local leads_to = place and config.below(place, tree:url()) ~= "" and place or nil
  local is_here = choice == "here" or choice == nil and tree:exists("cluster-completed.spec")
  local base = leads_to and not is_here and tree:open(leads_to) or tree
  return { name = name, tree = tree, base = base, leads_to = leads_to, manifest = manifest, spec = spec_of(text) }
end

function survey.cluster(store, name, choice)
  local tree = store:at(name)
  local text = tree:read("config")
  if text == nil then
    args.refuse(("there is no cluster %s in %s"):format(name, store:url()))
  end
  return survey.of(name, tree, text, choice)
end

-- A place that the config names; what lies below its configBase lies below `base`.
local function open(cluster, place)
  local way = config.below(cluster.manifest.config_base or cluster.base:url(), place)
  return way and cluster.base:at(way) or cluster.base:open(place)
end

local function place_in(cluster, place, default)
  return type(place) == "string" and place ~= "" and open(cluster, place) or cluster.base:at(default)
end

-- Where its keys lie.
function survey.pki(cluster)
  return place_in(cluster, cluster.spec.keyStore or args.table_of(cluster.spec.configStore).keypairs, "pki")
end

-- Where its secrets lie.
function survey.secrets(cluster)
  return place_in(cluster, cluster.spec.secretStore or args.table_of(cluster.spec.configStore).secrets, "secrets")
end

-- The etcd clusters of a cluster, each with its `name` and the `tree` in which its backups are.
function survey.etcd(cluster)
  local found = {}
  for _, etcd in ipairs(args.table_of(cluster.spec.etcdClusters)) do
    local name = tostring(args.table_of(etcd).name)
    local place = args.table_of(args.table_of(etcd).backups).backupStore
    found[#found + 1] = { name = name, tree = place_in(cluster, place, "backups/etcd/" .. name) }
  end
  return found
end

-- The places of all of a cluster's files, each once: `folder` is what a backup calls it, `what` what
-- people do, and `exclude` what in it is another part.
function survey.parts(cluster)
  local parts = { { folder = "tree", what = "its folder", tree = cluster.tree } }
  if cluster.base ~= cluster.tree then
    parts[2] = { folder = "base", what = "its configBase", tree = cluster.base }
  end
  local function add_outside(folder, what, tree)
    for _, part in ipairs({ parts[1], parts[2] }) do
      if config.below(part.tree:url(), tree:url()) then
        return
      end
    end
    parts[#parts + 1] = { folder = folder, what = what, tree = tree }
  end
  add_outside("pki", "its keyStore", survey.pki(cluster))
  add_outside("secrets", "its secretStore", survey.secrets(cluster))
  for _, etcd in ipairs(survey.etcd(cluster)) do
    parts[#parts + 1] = { folder = "etcd/" .. etcd.name, what = "the backupStore of etcd " .. etcd.name, tree = etcd.tree, etcd = etcd }
  end
  for _, part in ipairs(parts) do
    part.exclude = {}
    for _, other in ipairs(parts) do
      local way = config.below(part.tree:url(), other.tree:url())
      part.exclude[#part.exclude + 1] = way and way ~= "" and way .. "/**" or nil
    end
  end
  return parts
end

-- The moment in the name of a backup: `2026-06-01T04:00:00Z-000012`.
local function moment(folder)
  local ok, at = pcall(time.parse, (folder:gsub("%-%d+$", "")))
  return ok and at or nil
end

-- The backups of an etcd cluster, the oldest first: the complete ones, those that were begun only, and
-- the keys of what is no backup, such as the markers below `control/`.
function survey.backups(etcd)
  local by_folder, others = {}, {}
  for object in etcd.tree:walk() do
    local folder, file = (object.key or ""):match("^([^/]+)/(.+)$")
    local at = folder and moment(folder)
    if at == nil then
      others[#others + 1] = object.key or object.foreign
    else
      local backup = by_folder[folder] or { folder = folder, time = at, bytes = 0, objects = {}, has = {} }
      by_folder[folder] = backup
      backup.bytes = backup.bytes + object.size
      backup.has[file] = object.size > 0
      backup.objects[#backup.objects + 1] = object
    end
  end
  local complete, incomplete = {}, {}
  for _, backup in pairs(by_folder) do
    local list = backup.has["_etcd_backup.meta"] and backup.has["etcd.backup.gz"] and complete or incomplete
    list[#list + 1] = backup
  end
  for _, list in ipairs({ complete, incomplete }) do
    table.sort(list, function(a, b)
      return a.time < b.time or a.time == b.time and a.folder < b.folder
    end)
  end
  return complete, incomplete, others
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
