-- Backups of clusters as `backup` makes them and `restore` reads them:
--
--   CLUSTER/TIME/tree/…      what lies in the cluster's folder of the state store
--   CLUSTER/TIME/base/…      what lies in its configBase, where that is another place
--   CLUSTER/TIME/backup.json what they are, with a checksum of each; written last
--
-- TIME is in UTC, without colons, so that it may be a folder anywhere: 2026-06-01T040000Z.

local kstate = kstate
local json, hash, task, time = kstate.json, kstate.hash, kstate.task, kstate.time

local copies = {}

copies.MANIFEST = "backup.json"

-- The name of a backup that is made now.
function copies.name()
  return (time.format():gsub(":", ""))
end

-- The moment in the name of a backup; nil when it is none.
local function moment(name)
  local day, hour, minute, second = name:match("^(%d+%-%d+%-%d+)T(%d%d)(%d%d)(%d%d)Z$")
  local ok, at = pcall(time.parse, ("%sT%s:%s:%sZ"):format(day, hour, minute, second))
  return ok and at or nil
end

-- The backups of a cluster, the oldest first: `name`, `time`, its `tree`, and whether it is complete.
function copies.list(store, cluster)
  local found = {}
  for entry in store:list(cluster) do
    local name = entry.prefix and entry.prefix:match("([^/]+)/$")
    local at = name and moment(name)
    if at then
      local tree = store:at(cluster .. "/" .. name)
      found[#found + 1] = { name = name, time = at, tree = tree, is_complete = tree:exists(copies.MANIFEST) }
    end
  end
  return found
end

-- The checksum of each object below a folder, by key, as it is read back.
function copies.sums(tree)
  local objects = tree:walk():collect()
  local sums = task.map(objects, function(object)
    return hash.sha256(tree:read(object.key))
  end, { concurrency = 8 })
  local by_key = kstate.object({})
  for i, object in ipairs(objects) do
    by_key[object.key] = sums[i]
  end
  return by_key
end

-- What a backup says of itself.
function copies.read(backup)
  return json.decode(backup.tree:read(copies.MANIFEST))
end

-- The keys of a backup's part that are not what they were when it was made.
function copies.damaged(backup, part, sums)
  local now, damaged = copies.sums(backup.tree:at(part)), {}
  for key, sum in pairs(sums) do
    if now[key] ~= sum then
      damaged[#damaged + 1] = part .. "/" .. key
    end
  end
  table.sort(damaged)
  return damaged
end

return copies
