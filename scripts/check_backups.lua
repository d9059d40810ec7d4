-- Looks whether the backups that `backup` made are still good, without restoring them.
--
-- Every object is read and compared with the checksum in its backup's manifest: of each cluster the
-- newest backup, or with --all every one. Writes nothing. Exit code 1: something is damaged, missing,
-- or there is no complete backup of a cluster.

local kstate = kstate
local log, store, time = kstate.log, kstate.store, kstate.time
local args, copies, survey = require("lib.args"), require("lib.copies"), require("lib.survey")

-- The clusters of which there are backups: those that were named, else this run's share of all.
local function names_of(from, named)
  local names = {}
  for _, typed in ipairs(named) do
    names[#names + 1] = args.cluster(typed)
  end
  if #names > 0 then
    return names
  end
  for entry in from:list() do
    local folder = entry.prefix and entry.prefix:sub(1, -2)
    names[#names + 1] = folder and not folder:find("^%.") and folder or nil
  end
  return #names > 0 and kstate.shard(names) or args.refuse("there is no backup in " .. from:url(), "name the store that `backup --to` named with --from")
end

-- What is wrong with a backup; nil when nothing is.
local function flaw_of(backup)
  local damaged = backup.manifest and copies.damaged(backup) or {}
  return #damaged > 0 and "damaged:\n  " .. args.listed(damaged) or backup.flaw
end

-- The backups of a cluster that are looked at: the newest that was finished, or all of them. One that
-- was begun and never finished is passed over: it may be in the making.
local function those_of(ctx, from, name)
  local finished = {}
  for _, backup in ipairs(copies.list(from, name)) do
    finished[#finished + 1] = not backup.is_begun and backup or nil
  end
  return ctx.flags.all and finished or { finished[#finished] }
end

local function main(ctx)
  local from = store.open(ctx.flags.from)
  local results, bad = kstate.array({}), 0
  local function found(name, backup, flaw)
    results[#results + 1] = { cluster = name, backup = backup and backup.name, taken = backup and time.format(backup.time), flaw = flaw }
    bad = bad + (flaw and 1 or 0)
    local what = backup and ("%s %s"):format(name, backup.name) or name
    if flaw then
      log.error(what .. ": " .. flaw)
    else
      log.info(("%s: good, %s old"):format(what, survey.age(backup.time)))
    end
  end
  for _, name in ipairs(names_of(from, ctx.flags.cluster)) do
    local backups = those_of(ctx, from, name)
    for _, backup in ipairs(backups) do
      local read, flaw = pcall(flaw_of, backup)
      found(name, backup, read and flaw or not read and "it can't be read: " .. tostring(flaw) or nil)
    end
    if #backups == 0 then
      found(name, nil, "there is no complete backup")
    end
  end
  if ctx.flags.json then
    print(kstate.json.encode({ backups = results, bad = bad }))
  else
    print(("%d backups checked, %d are not good"):format(#results, bad))
  end
  return bad > 0 and 1 or 0
end

return {
  summary = "Look whether the backups of clusters are still good",
  flags = {
    { name = "from", type = "string", value = "STORE", required = true, doc = "where the backups are" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster; may be given again (default: all)" },
    { name = "all", type = "boolean", doc = "look at all backups, not only at the newest of each cluster" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
