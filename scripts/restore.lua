-- Brings clusters back from a backup that `backup` made.
--
-- What is missing in the state store is made again; what is there as it was is left. What somebody
-- changed since the backup is newer: it stays, and is listed (exit code 4), unless its key is named
-- with --replace. The backup is checked against its checksums first, and nothing is written before
-- this is done for all clusters. Show what would be done with --dry-run, or save it:
-- `kstate plan restore … -o plan`. `config` is written last, etcd's markers first.

local kstate = kstate
local config, log, store, task = kstate.config, kstate.log, kstate.store, kstate.task
local args, copies, survey = require("lib.args"), require("lib.copies"), require("lib.survey")

-- The backup to restore: the newest in which nothing is missing, or the one that --backup names or
-- begins.
local function chosen(ctx, from, name)
  local found, flawed
  for _, backup in ipairs(copies.list(from, name)) do
    local is_wanted = ctx.flags.backup == nil or backup.name:sub(1, #ctx.flags.backup) == ctx.flags.backup
    if is_wanted and (ctx.flags.backup and backup.manifest or backup.flaw == nil) then
      found, flawed = backup, nil
    elseif is_wanted then
      flawed = backup
    end
  end
  local why = flawed and ("the backup %s of %s: %s"):format(flawed.name, name, flawed.flaw)
  if found == nil then
    local hint = flawed and flawed.manifest and "restore what it has all the same: --backup " .. flawed.name
    args.refuse(("there is no complete backup of %s in %s%s"):format(name, from:url(), why and "; " .. why or ""), hint or ("look at what there is: kstate ls %s/%s"):format(from:url(), name))
  elseif why or found.flaw then
    log.warn(why and ("%s; taking %s"):format(why, found.name) or ("the backup %s of %s: %s"):format(found.name, name, found.flaw))
  end
  return found
end

-- Where the folder of the cluster goes: to where it came from, or to the store that was named.
local function target_of(ctx, name, manifest)
  local to, was_at = store.open(ctx.flags.to or "state"), manifest.parts[1].url
  local target = to:at(name)
  if target:relation(to:open(was_at)) ~= "same" then
    if ctx.flags.to == nil then
      args.refuse(("%s was backed up from %s, which is not in the state store %s"):format(name, was_at, to:url()), "say where to restore it with --to")
    end
    log.warn(("%s was backed up from %s; its config will name %s"):format(name, was_at, target:url()))
  end
  return target
end

-- The parts of a backup, each with the `place` that it goes to: where the backed up config says that it
-- lies. The manifest alone is not believed.
local function parts_of(ctx, name, backup)
  local manifest = backup.manifest
  local was_at, target = manifest.parts[1].url, target_of(ctx, name, manifest)
  local text = backup.tree:read("tree/config")
  local base = config.parse(text, backup.tree:url() .. "/tree/config").config_base
  local is_here = manifest.base == "here" or base == nil or config.below(was_at, base) == ""
  local places = {}
  for _, part in ipairs(survey.parts(survey.of(name, target, text, is_here and "here" or "there"))) do
    places[part.folder] = part.tree
  end
  for _, part in ipairs(manifest.parts) do
    local folder, way = part.folder:gsub("^etcd%-backups/", "etcd/"), config.below(was_at, part.url)
    part.place = places[folder]
    if part.place == nil or config.below(part.place:url(), way and target:at(way):url() or part.url) ~= "" then
      args.refuse(("the backup %s of %s says that %s lay at %s, and its config says %s"):format(backup.name, name, part.folder, part.url, part.place and part.place:url() or "nothing of it"), "see who changed backup.json, and take another one with --backup")
    elseif way == nil and ctx.flags.to then
      args.refuse(("%s was backed up from several places, also from %s"):format(name, part.url), "leave --to out")
    end
    -- What a person calls a key of it.
    part.prefix = way and (way == "" and "" or way .. "/") or part.folder .. "/"
  end
  -- Where its config says that it lies: not where it lay, for a copy that was backed up as it is.
  manifest.parts[1].lies_at = is_here and base or was_at
  return manifest.parts
end

-- The text of the config as it is to be: it names the place where it is restored to.
local function config_of(tree, part)
  local text, to = tree:read("config"), part.place:url()
  if config.below(part.url, to) ~= "" then
    return config.rewrite(text, { from = part.lies_at, to = to, label = "config" }).text
  end
  return text
end

-- What is there; nothing where not even the folder is.
local function find(target, key)
  local ok, there = pcall(target.stat, target, key)
  if not ok and there.kind ~= "not_found" then
    error(there, 0)
  end
  return ok and there or nil
end

-- Markers, then all else, `config` last: without it the cluster is nothing to kOps.
local function rank(step)
  return step.key:find("control/etcd%-cluster%-") and 1 or step.name == "config" and 3 or 2
end

-- What is to be done for one part, a step for each object; `state` says how it is there.
local function look(backup, part)
  local tree, keys = backup.tree:at(part.folder), {}
  for key in pairs(part.sha256) do
    keys[#keys + 1] = key
  end
  return task.map(keys, function(key)
    local step = { from = tree, key = key, name = part.prefix .. key, target = part.place, sum = part.sha256[key] }
    if step.name == "config" then
      step.text = config_of(tree, part)
      step.sum = kstate.hash.sha256(step.text)
    end
    local there = find(step.target, key)
    step.tag = there and there.tag
    step.state = there == nil and "missing" or step.target:sha256(key) == step.sum and "same" or "newer"
    return step
  end, { concurrency = 8 })
end

local function restore(step)
  local how = step.tag and { if_match = step.tag } or { if_absent = true }
  local done, err
  if step.text then
    done, err = step.target:write(step.key, step.text, how)
  else
    done, err = step.from:copy(step.key, step.target, step.key, how)
  end
  if not done then
    error(err)
  end
end

-- Everything that is to be done for a cluster, and what stands against it. What is replaced is struck
-- from `unused`.
local function plan(ctx, from, name, unused)
  local backup = chosen(ctx, from, name)
  local damaged = copies.damaged(backup)
  if #damaged > 0 then
    error(kstate.error({ kind = "corrupt", message = ("the backup %s of %s is damaged:\n  %s"):format(backup.name, name, args.listed(damaged)), hint = "take another one with --backup" }), 0)
  end
  local result = { cluster = name, backup = backup.name, restored = kstate.array({}), newer = kstate.array({}), unchanged = 0 }
  local replace, steps, places = {}, {}, {}
  for _, key in ipairs(ctx.flags.replace) do
    replace[key] = true
  end
  for _, part in ipairs(parts_of(ctx, name, backup)) do
    for _, step in ipairs(look(backup, part)) do
      if replace[step.name] then
        unused[step.name] = nil
      end
      if step.state == "same" then
        result.unchanged = result.unchanged + 1
      elseif step.state == "newer" and not replace[step.name] then
        result.newer[#result.newer + 1] = step.name
      else
        steps[#steps + 1] = step
        places[step.target:url()] = true
      end
    end
  end
  table.sort(steps, function(a, b)
    return rank(a) < rank(b) or rank(a) == rank(b) and a.name < b.name
  end)
  table.sort(result.newer)
  for i, step in ipairs(steps) do
    result.restored[i] = step.name
  end
  return { name = name, steps = steps, result = result, places = places }
end

local function tell(result)
  log.info(("%s: %d objects to restore from %s, %d are there as they were"):format(result.cluster, #result.restored, result.backup, result.unchanged))
  if #result.newer > 0 then
    log.warn(("%s: changed since the backup, and left as they are:\n  %s"):format(result.cluster, args.listed(result.newer)))
  end
end

-- The places that are written to; what lies in another one is not named twice.
local function listed_places(places)
  local names = {}
  for place in pairs(places) do
    local is_inside = false
    for other in pairs(places) do
      is_inside = is_inside or (config.below(other, place) or "") ~= ""
    end
    names[#names + 1] = not is_inside and place or nil
  end
  table.sort(names)
  return table.concat(names, ", ")
end

local function plan_all(ctx, from)
  if #ctx.flags.cluster == 0 then
    args.refuse("no cluster to restore", "name them with --cluster NAME")
  end
  local plans, unused = {}, {}
  for _, key in ipairs(ctx.flags.replace) do
    unused[key] = true
  end
  for i, typed in ipairs(ctx.flags.cluster) do
    plans[i] = plan(ctx, from, args.cluster(typed), unused)
  end
  local key = next(unused)
  if key then
    args.refuse("nothing in the backup is called " .. key, "the keys for --replace are listed without it")
  end
  return plans
end

local function main(ctx)
  local plans = plan_all(ctx, store.open(ctx.flags.from))
  local results, code = kstate.array({}), 0
  for _, todo in ipairs(plans) do
    tell(todo.result)
    local question = ("Restore %d objects of %s to %s?"):format(#todo.steps, todo.name, listed_places(todo.places))
    if #todo.steps > 0 and not (ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })) then
      return 3
    end
    for _, step in ipairs(todo.steps) do
      restore(step)
    end
    results[#results + 1] = todo.result
    code = #todo.result.newer > 0 and not ctx.dry_run and 4 or code
  end
  if ctx.flags.json then
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
    { name = "backup", type = "string", value = "TIME", doc = "which backup, by its name or the beginning of it (default: the newest in which nothing is missing)" },
    { name = "replace", type = "list", value = "KEY", doc = "overwrite this file of the cluster although it changed since, such as config; may be given again" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
