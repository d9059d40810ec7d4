-- Deletes old backups of etcd from a state store.
--
-- etcd-manager does so itself while it runs; what it left of clusters that were resized, renamed or
-- stopped stays. A backup is deleted when it is older than --older-than and there are --keep-last
-- newer complete ones of the same etcd cluster. The markers in `control/` are never touched: without them
-- etcd-manager begins with an empty etcd. Etcd backups hold every secret of a cluster.

local kstate = kstate
local log, store, time = kstate.log, kstate.store, kstate.time
local survey = require("lib.survey")

-- The backups of an etcd cluster that may go. Those that were never finished are none: they don't
-- count, and go when they are old and there is a newer one that is good.
local function old_ones(ctx, etcd)
  local complete, incomplete = survey.backups(etcd)
  local before, old = time.now() - ctx.flags.older_than, {}
  for i = 1, #complete - ctx.flags.keep_last do
    if complete[i].time < before then
      old[#old + 1] = complete[i]
    end
  end
  local newest = complete[#complete]
  for _, backup in ipairs(incomplete) do
    if backup.time < before and newest and backup.time < newest.time then
      old[#old + 1] = backup
    end
  end
  return old, #complete + #incomplete
end

-- What is to be deleted of all clusters.
local function look(ctx, from)
  local todo, result, bytes = {}, kstate.array({}), 0
  for _, name in ipairs(survey.names(from, ctx.flags.cluster)) do
    for _, etcd in ipairs(survey.etcd(survey.cluster(from, name))) do
      local old, all = old_ones(ctx, etcd)
      local folders = kstate.array({})
      for i, backup in ipairs(old) do
        folders[i], bytes = backup.folder, bytes + backup.bytes
        todo[#todo + 1] = { tree = etcd.tree, objects = backup.objects }
      end
      result[#result + 1] = { cluster = name, etcd = etcd.name, deleted = folders, kept = all - #old }
      log.info(("%s: %d of %d backups of etcd %s are old"):format(name, #old, all, etcd.name))
    end
  end
  return todo, result, bytes
end

local function delete(backup)
  for _, object in ipairs(backup.objects) do
    backup.tree:delete(object.key)
  end
end

local function main(ctx)
  if ctx.flags.keep_last < 1 then
    require("lib.args").refuse("--keep-last is at least 1", "to delete all that there is of a cluster: kops delete cluster")
  end
  local from = store.open(ctx.flags.store or "state")
  local todo, result, bytes = look(ctx, from)
  local question = ("Delete %d backups (%s) from %s?"):format(#todo, survey.size(bytes), from:url())
  if #todo > 0 and not (ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })) then
    return 3
  end
  kstate.task.map(todo, delete)
  if ctx.flags.json then
    print(kstate.json.encode({ backups = result, deleted = #todo, bytes = bytes }))
  else
    print(("%d backups %s, %s"):format(#todo, ctx.dry_run and "would be deleted" or "deleted", survey.size(bytes)))
  end
  return 0
end

return {
  summary = "Delete old backups of etcd",
  flags = {
    { name = "store", type = "string", value = "STORE", doc = "the state store to clear (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster; may be given again (default: all)" },
    { name = "older_than", type = "duration", default = "90d", doc = "how old a backup must be" },
    { name = "keep_last", type = "integer", default = 5, doc = "how many backups of each etcd cluster stay, however old they are" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
