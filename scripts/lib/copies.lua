-- Backups of clusters as `backup` makes them and `restore` reads them:
--
--   CLUSTER/TIME/tree/…              what lies in the cluster's folder of the state store
--   CLUSTER/TIME/base/…              what lies in its configBase, where that is another place
--   CLUSTER/TIME/pki/…, secrets/…    its keyStore and secretStore, where they lie in neither
--   CLUSTER/TIME/etcd/NAME/…         the markers of etcd-manager
--   CLUSTER/TIME/etcd-backups/NAME/… etcd's own backups
--   CLUSTER/TIME/claim               which run makes it; written first
--   CLUSTER/TIME/backup.json         its parts: the URL of each, and a checksum of each object;
--                                    written last: without it the backup isn't complete
--
-- TIME is in UTC, without colons, so that it may be a folder anywhere: 2026-06-01T040000Z.

local kstate = kstate
local json, task, time = kstate.json, kstate.task, kstate.time

local copies = {}

local MANIFEST, CLAIM = "backup.json", "claim"

copies.MANIFEST = MANIFEST

local function fail(kind, message, hint)
  error(kstate.error({ kind = kind, message = message, hint = hint }), 0)
end

-- The moment in the name of a backup; nil when it is none.
local function moment(name)
  local day, hour, minute, second = name:match("^(%d+%-%d+%-%d+)T(%d%d)(%d%d)(%d%d)Z$")
  local ok, at = pcall(time.parse, ("%sT%s:%s:%sZ"):format(day, hour, minute, second))
  return ok and at or nil
end

-- Makes a folder this run's own; false when it is another one's.
local function take(tree, claim)
  local asked, written = pcall(tree.write, tree, CLAIM, claim, { if_absent = true })
  if asked then
    return written ~= nil
  elseif written.kind ~= "unsupported" then
    error(written, 0)
  end
  return not tree:exists(CLAIM) and tree:write(CLAIM, claim) ~= nil
end

-- Begins a backup: its `name`, the `tree` that is its place, and the `claim` of this run to it.
function copies.begin(store, cluster)
  local claim = ("%016x"):format(math.random(0))
  while true do
    local name = time.format():gsub(":", "")
    local tree = store:at(cluster .. "/" .. name)
    if take(tree, claim) then
      return { name = name, tree = tree, claim = claim }
    end
    -- Two in one second would be one.
    task.sleep("0.2s")
  end
end

-- The checksum of each object below a folder, by key, as it is read back; and how many there are.
local function sums_of(tree)
  local objects = tree:walk():collect()
  local sums = task.map(objects, function(object)
    return tree:sha256(object.key) or ""
  end, { concurrency = 8 })
  local by_key = kstate.object({})
  for i, object in ipairs(objects) do
    by_key[object.key] = sums[i]
  end
  return by_key, #objects
end

-- Copies a part to its folder of a backup; gives the checksums of what is there then, and how many.
function copies.copy(part, backup, verify)
  local target = backup.tree:at(part.folder)
  local options = { include = part.include, exclude = part.exclude, verify = verify, until_stable = part.etcd == nil }
  local report = part.tree:sync(target, options)
  local sums, count = sums_of(target)
  if count < report.objects then
    fail("corrupt", ("%s has %d objects after %d were copied there"):format(target:url(), count, report.objects), "find out who deletes there, and run it again")
  end
  return sums, count
end

-- Completes a backup, if it is all there and nobody else's.
function copies.finish(backup, manifest)
  if backup.tree:read(CLAIM) ~= backup.claim then
    fail("precondition_failed", backup.tree:url() .. " was taken by another run meanwhile", "let one run at a time back up to a store: kstate run --lock backup")
  end
  local there = {}
  for object in backup.tree:walk() do
    there[object.key or object.foreign] = true
  end
  for _, part in ipairs(manifest.parts) do
    for key in pairs(part.sha256) do
      if not there[part.folder .. "/" .. key] then
        fail("precondition_failed", ("%s/%s/%s was deleted before the backup was complete"):format(backup.tree:url(), part.folder, key), "find out who deletes there, and run it again")
      end
    end
  end
  backup.tree:write(MANIFEST, json.encode(manifest, { pretty = true }), { content_type = "application/json" })
end

-- What a backup says of itself; nil and why when it isn't complete.
local function read(tree)
  local text = tree:read(MANIFEST)
  if text == nil then
    return nil, "it was begun and never finished"
  end
  local ok, manifest = pcall(json.decode, text)
  local parts = ok and type(manifest) == "table" and manifest.parts
  if type(parts) == "table" and parts[1] and parts[1].folder == "tree" and type(manifest.missing) == "table" then
    return manifest
  end
  return nil, ("its %s is damaged: %s"):format(MANIFEST, ok and "it names no parts" or tostring(manifest)), true
end

-- The backups of a cluster, the oldest first: `name`, `time`, its `tree`, its `manifest`, and `flaw`:
-- what is wrong with it. `is_begun` is one that has no manifest.
function copies.list(store, cluster)
  local found = {}
  for entry in store:list(cluster) do
    local name = entry.prefix and entry.prefix:match("([^/]+)/$")
    local at = name and moment(name)
    if at then
      local backup = { name = name, time = at, tree = store:at(cluster .. "/" .. name) }
      local manifest, flaw, is_damaged = read(backup.tree)
      local missing = manifest and manifest.missing[1]
      backup.manifest = manifest
      backup.flaw = missing and ("%s is missing in it: %s"):format(missing.folder, missing.message) or flaw
      backup.is_begun = manifest == nil and not is_damaged
      found[#found + 1] = backup
    end
  end
  return found
end

-- The keys of a backup that are not what they were when it was made.
function copies.damaged(backup)
  local damaged = {}
  for _, part in ipairs(backup.manifest.parts) do
    local tree, keys = backup.tree:at(part.folder), {}
    for key in pairs(part.sha256) do
      keys[#keys + 1] = key
    end
    task.map(keys, function(key)
      if tree:sha256(key) ~= part.sha256[key] then
        damaged[#damaged + 1] = part.folder .. "/" .. key
      end
    end, { concurrency = 8 })
  end
  table.sort(damaged)
  return damaged
end

return copies
