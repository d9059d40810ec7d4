-- Copies clusters out of a state store, to a dated folder each, and deletes old copies.
--
-- All places that a cluster's config names are copied: its configBase, keyStore, secretStore and etcd's
-- backups. Every object is verified after it was copied, and the copy is read back for the checksums
-- in its manifest, which is written last: without it a copy is not complete. `restore` brings one back,
-- `check_backups` looks whether they are still good. To encrypt, let --to be a store of crypt://
-- (kstate's configuration, docs/backends.md).

local kstate = kstate
local config, log, store, time = kstate.config, kstate.log, kstate.store, kstate.time
local args, copies, survey = require("lib.args"), require("lib.copies"), require("lib.survey")

-- What is neither: a command that waits would be carried out again after a restore.
local COMMANDS, BACKUPS = "**/control/**/_command.json", { "**/_etcd_backup.meta", "**/etcd.backup.gz" }

-- A copy that has no manifest may be one that is being made.
local DAY = 86400

-- Which of etcd's own backups --etcd asks for, as globs.
local function etcd_globs(ctx, etcd)
  local globs = { none = {}, all = { "**" } }
  if ctx.flags.etcd == "newest" then
    local complete, incomplete = survey.backups(etcd)
    if #complete == 0 and #incomplete > 0 then
      log.warn(("%s has no complete backup of etcd %s"):format(etcd.tree:url(), etcd.name))
    end
    globs.newest = #complete > 0 and { complete[#complete].folder .. "/**" } or {}
  end
  return globs[ctx.flags.etcd]
end

-- What is copied of a cluster. What etcd-manager keeps may fail: keys and config are saved all the same.
local function parts_of(ctx, cluster)
  local parts = {}
  for _, part in ipairs(survey.parts(cluster)) do
    parts[#parts + 1] = part
    part.exclude[#part.exclude + 1] = COMMANDS
    if part.etcd then
      -- Without these etcd begins empty.
      part.include = { "control/etcd-cluster-*" }
      parts[#parts + 1] = {
        folder = "etcd-backups/" .. part.etcd.name, what = part.what, tree = part.tree, etcd = part.etcd,
        globs = etcd_globs, exclude = { COMMANDS, part.include[1] },
      }
    elseif ctx.flags.etcd ~= "all" then
      table.move(BACKUPS, 1, #BACKUPS, #part.exclude + 1, part.exclude)
    end
  end
  return parts
end

local function copy(ctx, part, backup)
  if part.globs then
    part.include = part.globs(ctx, part.etcd)
  end
  if part.include and #part.include == 0 then
    return kstate.object({}), 0
  end
  return copies.copy(part, backup, ctx.flags.verify)
end

-- The error of a part that can't be copied, with its place and what to do.
local function cant(part, err)
  local is_error = type(err) ~= "string"
  return kstate.error({
    kind = is_error and err.kind or "other",
    message = ("%s, %s, is not backed up: %s"):format(part.what, part.tree:url(), tostring(err)),
    hint = part.folder == "base" and "when its folder is a copy that is to be saved as it lies there: --base here" or is_error and err.hint or nil,
  })
end

local function back_up(ctx, from, to, name)
  local cluster = survey.cluster(from, name, ctx.flags.base)
  local backup, objects = copies.begin(to, name), 0
  local manifest = {
    cluster = name, taken = backup.name, kstate = kstate.version, etcd = ctx.flags.etcd, base = ctx.flags.base,
    parts = kstate.array({}), missing = kstate.array({}),
  }
  local failure
  for _, part in ipairs(parts_of(ctx, cluster)) do
    local ok, sums, count = pcall(copy, ctx, part, backup)
    if not ok then
      failure = cant(part, sums)
    elseif count == 0 and not part.globs and not config.below(cluster.tree:url(), part.tree:url()) then
      -- What was named and is empty is lost, or the name is wrong.
      ok, failure = false, cant(part, kstate.error({ kind = "not_found", message = "nothing is there" }))
    end
    if ok then
      manifest.parts[#manifest.parts + 1] = { folder = part.folder, url = part.tree:url(), sha256 = sums }
      objects = objects + count
    elseif part.etcd then
      manifest.missing[#manifest.missing + 1] = { folder = part.folder, url = part.tree:url(), message = tostring(failure) }
    else
      error(failure, 0)
    end
  end
  copies.finish(backup, manifest)
  log.info(("%s: %d objects backed up to %s"):format(name, objects, backup.tree:url()))
  return { cluster = name, backup = backup.name, objects = objects }, failure
end

-- Deletes what is older than --keep and has --keep-last newer ones in which nothing is missing; a copy
-- that was interrupted goes after a day.
local function retain(ctx, to, name)
  local deleted, good = kstate.array({}), 0
  local before = ctx.flags.keep and time.now() - ctx.flags.keep
  local backups = copies.list(to, name)
  for i = #backups, 1, -1 do
    local backup = backups[i]
    local is_old = before and backup.time < before and good >= ctx.flags.keep_last
    if is_old or (backup.is_begun and backup.time < time.now() - DAY and good > 0) then
      -- First what makes it one: half of a backup is never taken for a whole one.
      backup.tree:delete(copies.MANIFEST)
      for object in backup.tree:walk() do
        backup.tree:delete(object.key)
      end
      deleted[#deleted + 1] = backup.name
    end
    good = good + (backup.flaw and 0 or 1)
  end
  return deleted
end

-- Backs up each cluster, one after the other; gives what was done, and what failed.
local function back_up_all(ctx, from, to, names)
  local done, failed = kstate.array({}), kstate.array({})
  local function fail(name, step, err, backup)
    local is_error = type(err) ~= "string"
    log.error(("%s: %s"):format(name, tostring(err)))
    failed[#failed + 1] = {
      cluster = name, step = step, backup = backup, kind = is_error and err.kind or "other",
      message = tostring(err), hint = is_error and err.hint or nil,
    }
  end
  for _, name in ipairs(names) do
    local ok, result, missing = pcall(back_up, ctx, from, to, name)
    if not ok then
      fail(name, "copy", result)
    elseif missing then
      fail(name, "copy", missing, result.backup)
    else
      done[#done + 1] = result
      -- Only behind a new one: when backups fail, the old ones are what there is.
      local retained, deleted = pcall(retain, ctx, to, name)
      result.deleted = retained and deleted or kstate.array({})
      if not retained then
        fail(name, "delete", deleted, result.backup)
      end
    end
  end
  return done, failed
end

-- Does what a service didn't answer once more, when the others are done.
local function again(ctx, from, to, failed)
  local names, rest = {}, kstate.array({})
  for _, failure in ipairs(failed) do
    if failure.step == "copy" and (failure.kind == "unavailable" or failure.kind == "partial") then
      names[#names + 1] = failure.cluster
    else
      rest[#rest + 1] = failure
    end
  end
  if #names > 0 then
    log.info(("once more: %s"):format(table.concat(names, ", ")))
  end
  local done, still = back_up_all(ctx, from, to, names)
  table.move(still, 1, #still, #rest + 1, rest)
  return done, rest
end

-- The failure that the whole run ends with, when nothing was done: "unavailable", which is tried
-- again, when all are.
local function failure_of_all(done, failed)
  local worst
  for _, failure in ipairs(failed) do
    if #done > 0 or failure.backup then
      return nil
    end
    worst = (worst == nil or worst.kind == "unavailable") and failure or worst
  end
  return worst
end

local function check(ctx, from, to)
  if from:relation(to) ~= "apart" then
    args.refuse("the backups would lie in the state store: they would be lost with it, and kOps would take them for clusters", "name another store with --to")
  elseif ctx.flags.keep_last < 1 then
    args.refuse("--keep-last is at least 1")
  elseif #ctx.flags.cluster == 0 and not ctx.flags.allow_empty and #config.clusters(from) == 0 then
    error(kstate.error({ kind = "not_found", message = "there is no cluster in " .. from:url(), hint = "is that the state store? When it may be empty: --allow-empty" }), 0)
  end
end

local function main(ctx)
  local from, to = store.open(ctx.flags.from or "state"), store.open(ctx.flags.to)
  check(ctx, from, to)
  local done, failed = back_up_all(ctx, from, to, survey.names(from, ctx.flags.cluster))
  local more
  more, failed = again(ctx, from, to, failed)
  table.move(more, 1, #more, #done + 1, done)
  if ctx.flags.json then
    print(kstate.json.encode({ done = done, failed = failed }))
  else
    print(("%d clusters backed up to %s, %d failed"):format(#done, to:url(), #failed))
  end
  local failure = failure_of_all(done, failed)
  if failure then
    error(kstate.error({ kind = failure.kind, message = failure.message, hint = failure.hint }), 0)
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
    { name = "base", type = "string", choices = { "there", "here" }, default = "there", doc = "for a config whose configBase lies elsewhere: copy that place too, or only the folder as it is" },
    { name = "keep", type = "duration", doc = "how long backups stay, such as 30d (default: for ever)" },
    { name = "keep_last", type = "integer", default = 7, doc = "how many backups of each cluster stay, however old they are" },
    { name = "verify", type = "string", choices = { "checksum", "content" }, default = "checksum", doc = "how the copy is compared with its source" },
    { name = "allow_empty", type = "boolean", doc = "a store without clusters is no error" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
