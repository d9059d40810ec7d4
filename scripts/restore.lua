-- Brings clusters back from a backup that `backup` made.
--
-- What is missing in the state store is made again; what is there as it was is left. What somebody
-- changed since the backup is newer: it stays, and is listed (exit code 4), unless its key is named
-- with --replace. The backup is checked against its checksums first. Show what would be done with
-- --dry-run, or save it: `kstate plan restore … -o plan`. `config` is written last, etcd's markers first.

local kstate = kstate
local config, log, store = kstate.config, kstate.log, kstate.store
local args, copies = require("lib.args"), require("lib.copies")

-- The backup to restore: the newest complete one, or the one that --backup names or begins.
local function chosen(ctx, from, name)
  local found
  for _, backup in ipairs(copies.list(from, name)) do
    local wanted = ctx.flags.backup == nil or backup.name:sub(1, #ctx.flags.backup) == ctx.flags.backup
    found = wanted and backup.is_complete and backup or found
  end
  return found or args.refuse(("there is no complete backup of %s in %s"):format(name, from:url()), "look at what there is: kstate ls " .. from:url() .. "/" .. name)
end

-- Markers, then all else, `config` last: without it the cluster is nothing to kOps.
local function rank(key)
  return key:find("^backups/etcd/[^/]+/control/") and 1 or key == "config" and 3 or 2
end

-- Where a part goes: to where it came from, or to the store that was named.
local function target_of(ctx, name, folder, part)
  local to = store.open(ctx.flags.to or "state")
  local place = to:open(part.url)
  if folder == "base" then
    return place
  end
  local target = to:at(name)
  if target:relation(place) ~= "same" then
    if ctx.flags.to == nil then
      args.refuse(("%s was backed up from %s, which is not in the state store %s"):format(name, part.url, to:url()), "say where to restore it with --to")
    end
    log.warn(("%s was backed up from %s; its config will name %s"):format(name, part.url, target:url()))
  end
  return target
end

-- The bytes of an object; the config names the place where it is restored to.
local function bytes_of(tree, key, part, target)
  local bytes = tree:read(key)
  if key == "config" and config.below(part.url, target:url()) ~= "" then
    return config.rewrite(bytes, { from = part.url, to = target:url(), label = "config" }).text
  end
  return bytes
end

-- What is there; nothing where not even the folder is.
local function find(target, key)
  local ok, there = pcall(target.stat, target, key)
  if not ok and there.kind ~= "not_found" then
    error(there, 0)
  end
  return ok and there or nil
end

-- What a part of a backup would change: the steps, and the keys of what is newer in the store.
local function look(ctx, backup, folder, part, target)
  local tree, steps, newer, same = backup.tree:at(folder), {}, {}, 0
  local replace = {}
  for _, key in ipairs(ctx.flags.replace) do
    replace[key] = true
  end
  for key in pairs(part.sha256) do
    local bytes, there = bytes_of(tree, key, part, target), find(target, key)
    local is_same = there and there.size == #bytes and target:read(key) == bytes
    if is_same then
      same = same + 1
    elseif there and not replace[key] then
      newer[#newer + 1] = key
    else
      steps[#steps + 1] = { key = key, tag = there and there.tag, bytes = bytes, target = target }
    end
  end
  return steps, newer, same
end

local function restore(step)
  local how = step.tag and { if_match = step.tag } or { if_absent = true }
  local written, err = step.target:write(step.key, step.bytes, how)
  if not written then
    error(err)
  end
end

-- Everything that is to be done for a cluster, and what stands against it.
local function plan(ctx, from, name)
  local backup = chosen(ctx, from, name)
  local manifest = copies.read(backup)
  local result = { cluster = name, backup = backup.name, restored = kstate.array({}), newer = kstate.array({}), unchanged = 0 }
  local steps = {}
  for _, folder in ipairs({ "tree", "base" }) do
    local part = manifest[folder]
    if part then
      if folder == "base" and ctx.flags.to then
        args.refuse(name .. " was backed up from two places: its folder and its configBase", "leave --to out")
      end
      local damaged = copies.damaged(backup, folder, part.sha256)
      if #damaged > 0 then
        error(kstate.error({ kind = "corrupt", message = ("the backup %s of %s is damaged:\n  %s"):format(backup.name, name, args.listed(damaged)), hint = "take another one with --backup" }), 0)
      end
      local more, newer, same = look(ctx, backup, folder, part, target_of(ctx, name, folder, part))
      table.move(more, 1, #more, #steps + 1, steps)
      table.move(newer, 1, #newer, #result.newer + 1, result.newer)
      result.unchanged = result.unchanged + same
    end
  end
  table.sort(steps, function(a, b)
    return rank(a.key) < rank(b.key) or rank(a.key) == rank(b.key) and a.key < b.key
  end)
  table.sort(result.newer)
  for i, step in ipairs(steps) do
    result.restored[i] = step.key
  end
  return steps, result
end

local function tell(result)
  log.info(("%s: %d objects to restore from %s, %d are there as they were"):format(result.cluster, #result.restored, result.backup, result.unchanged))
  if #result.newer > 0 then
    log.warn(("%s: changed since the backup, and left as they are:\n  %s"):format(result.cluster, args.listed(result.newer)))
  end
end

local function main(ctx)
  local from = store.open(ctx.flags.from)
  local results, code = kstate.array({}), 0
  for _, typed in ipairs(ctx.flags.cluster) do
    local name = args.cluster(typed)
    local steps, result = plan(ctx, from, name)
    tell(result)
    local question = ("Restore %d objects of %s?"):format(#steps, name)
    if #steps > 0 and not (ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })) then
      return 3
    end
    for _, step in ipairs(steps) do
      restore(step)
    end
    results[#results + 1] = result
    code = #result.newer > 0 and not ctx.dry_run and 4 or code
  end
  if #results == 0 then
    args.refuse("no cluster to restore", "name them with --cluster NAME")
  elseif ctx.flags.json then
    print(kstate.json.encode({ restored = results }))
  end
  return code
end

return {
  summary = "Bring clusters back from a backup, without overwriting what is newer",
  flags = {
    { name = "from", type = "string", value = "STORE", required = true, doc = "where the backups are" },
    { name = "to", type = "string", value = "STORE", doc = "the store to restore to (default: the state store, if it was backed up from there)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to restore; may be given again" },
    { name = "backup", type = "string", value = "TIME", doc = "which backup, by its name or the beginning of it (default: the newest)" },
    { name = "replace", type = "list", value = "KEY", doc = "overwrite this file of the cluster although it changed since, such as config; may be given again" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
