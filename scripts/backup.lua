-- Copies clusters out of a state store, to a dated folder each, and deletes old copies.
--
-- Every object is verified after it was copied, and the copy is read back for the checksums in its
-- manifest, which is written last: without it a copy is not complete. `restore` brings one back. To
-- encrypt, let --to be a store of crypt:// (kstate's configuration, docs/backends.md).

local kstate = kstate
local log, store, time = kstate.log, kstate.store, kstate.time
local args, copies, survey = require("lib.args"), require("lib.copies"), require("lib.survey")

-- Of etcd's own backups: the markers without which etcd begins empty, and what --etcd asks for. A
-- command that waits would be carried out again after a restore.
local function etcd_globs(ctx, cluster)
  if ctx.flags.etcd == "all" then
    return { "backups/**" }
  end
  local globs = { "backups/etcd/*/control/etcd-cluster-*" }
  for _, etcd in ipairs(ctx.flags.etcd == "newest" and survey.etcd(cluster) or {}) do
    local backups = survey.backups(etcd)
    if #backups > 0 then
      globs[#globs + 1] = ("backups/etcd/%s/%s/**"):format(etcd.name, backups[#backups].folder)
    end
  end
  return globs
end

-- Copies a tree to a part of a backup; gives the checksums of what is there then.
local function copy(ctx, cluster, tree, target)
  local verify = ctx.flags.verify
  tree:sync(target, { exclude = { "backups/**" }, verify = verify, until_stable = true })
  tree:sync(target, { include = etcd_globs(ctx, cluster), exclude = { "**/_command.json" }, verify = verify })
  return copies.sums(target)
end

-- The folder of a new backup: its name and its place. Two in one second would be one.
local function new_folder(to, name)
  while true do
    local folder = copies.name()
    local target = to:at(name .. "/" .. folder)
    local asked, is_taken = pcall(target.exists, target, copies.MANIFEST)
    if not (asked and is_taken) then
      return folder, target
    end
    kstate.task.sleep("0.2s")
  end
end

local function back_up(ctx, from, to, name)
  local cluster = survey.cluster(from, name)
  local folder, target = new_folder(to, name)
  local manifest = {
    cluster = name,
    taken = folder,
    kstate = kstate.version,
    etcd = ctx.flags.etcd,
    tree = { url = cluster.tree:url(), sha256 = copy(ctx, cluster, cluster.tree, target:at("tree")) },
  }
  if cluster.base ~= cluster.tree then
    manifest.base = { url = cluster.base:url(), sha256 = copy(ctx, cluster, cluster.base, target:at("base")) }
  end
  target:write(copies.MANIFEST, kstate.json.encode(manifest, { pretty = true }), { content_type = "application/json" })
  local objects = 0
  for _, part in ipairs({ manifest.tree, manifest.base }) do
    for _ in pairs(part.sha256) do
      objects = objects + 1
    end
  end
  log.info(("%s: %d objects backed up to %s"):format(name, objects, target:url()))
  return { cluster = name, backup = folder, objects = objects }
end

-- Deletes what is older than --keep, but for the newest --keep-last that are complete; a copy that
-- was interrupted goes once there is a newer complete one.
local function retain(ctx, to, name)
  local deleted, complete = kstate.array({}), 0
  local before = ctx.flags.keep and time.now() - ctx.flags.keep
  local backups = copies.list(to, name)
  for i = #backups, 1, -1 do
    local backup = backups[i]
    complete = complete + (backup.is_complete and 1 or 0)
    local is_old = before and backup.time < before and complete > ctx.flags.keep_last
    if is_old or (not backup.is_complete and complete > 0) then
      -- First what makes it one: half of a backup is never taken for a whole one.
      backup.tree:delete(copies.MANIFEST)
      for object in backup.tree:walk() do
        backup.tree:delete(object.key)
      end
      deleted[#deleted + 1] = backup.name
    end
  end
  return deleted
end

local function main(ctx)
  local from, to = store.open(ctx.flags.from or "state"), store.open(ctx.flags.to)
  if from:relation(to) ~= "apart" then
    args.refuse("the backups would lie in the state store: they would be lost with it, and kOps would take them for clusters", "name another store with --to")
  elseif ctx.flags.keep_last < 1 then
    args.refuse("--keep-last is at least 1")
  end
  local done, failed = kstate.array({}), kstate.array({})
  for _, name in ipairs(survey.names(from, ctx.flags.cluster)) do
    local ok, result = pcall(back_up, ctx, from, to, name)
    if ok then
      -- Only behind a new one: when backups fail, the old ones are what there is.
      result.deleted = retain(ctx, to, name)
      done[#done + 1] = result
    else
      log.error(("%s: %s"):format(name, tostring(result)))
      failed[#failed + 1] = { cluster = name, kind = type(result) ~= "string" and result.kind or "other", message = tostring(result) }
    end
  end
  if ctx.flags.json then
    print(kstate.json.encode({ done = done, failed = failed }))
  else
    print(("%d clusters backed up to %s, %d failed"):format(#done, to:url(), #failed))
  end
  if #failed > 0 and #done == 0 then
    error(kstate.error({ kind = failed[1].kind, message = failed[1].message }), 0)
  end
  return #failed > 0 and 5 or 0
end

return {
  summary = "Make dated copies of clusters, verified, and delete old ones",
  flags = {
    { name = "to", type = "string", value = "STORE", required = true, doc = "where the backups are" },
    { name = "from", type = "string", value = "STORE", doc = "the store to back up (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to back up; may be given again (default: all)" },
    { name = "etcd", type = "string", choices = { "none", "newest", "all" }, default = "newest", doc = "which of etcd's own backups are copied" },
    { name = "keep", type = "duration", doc = "how long backups stay, such as 30d (default: for ever)" },
    { name = "keep_last", type = "integer", default = 7, doc = "how many backups of each cluster stay, however old they are" },
    { name = "verify", type = "string", choices = { "checksum", "content" }, default = "checksum", doc = "how the copy is compared with its source" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
