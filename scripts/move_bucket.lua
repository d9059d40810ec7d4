-- Moves clusters from one state store to another.
--
-- For each cluster, in this order:
--   1 preflight   nothing is written before every cluster passes
--   2 copy        etcd-manager's markers first, `config` held back
--   3 agree       delta passes until source and copy are the same
--   4 verify      every object
--   5 config      rewritten to the new place, written last, and only if nobody else wrote it
--   6 next        what a person must do now
-- The source is never touched. Running it again finishes what was interrupted. Meanwhile the
-- destination is locked against other runs of kstate.

local kstate = kstate
local config, store, log = kstate.config, kstate.store, kstate.log

-- Without these two, etcd-manager at the new place believes that there is no cluster yet: it
-- stops etcd and starts an empty one. They are there before anything else is.
local MARKERS = { "**/control/etcd-cluster-created", "**/control/etcd-cluster-spec" }

-- A pending command would be carried out a second time at the new place.
local COMMANDS = "**/control/**/_command.json"

-- What kOps reads below the state store itself; everything else lies below `configBase`.
local REGISTRY = { "config", "instancegroup/**", "clusteraddons/**" }

local BACKUPS = { "**/_etcd_backup.meta", "**/etcd.backup.gz" }
local NOT_COPIED = { all = {}, control = BACKUPS, none = { "backups/**", MARKERS[1], MARKERS[2], BACKUPS[1], BACKUPS[2] } }

local function same(place, other)
  return config.below(place, other) == ""
end

local function join(...)
  local all = {}
  for _, list in ipairs({ ... }) do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

-- 1 preflight ---------------------------------------------------------------------------------

-- Whether the tree below the state store is all of a cluster, not only its registry part.
local function is_whole(tree)
  local keys, marker = false, false
  for object in tree:walk() do
    local key = object.key or ""
    keys = keys or key:match("^pki/private/.*/keyset%.yaml$") ~= nil
    marker = marker or key:match("/control/etcd%-cluster%-created$") ~= nil
  end
  return keys and marker and tree:exists("cluster-completed.spec")
end

-- Whether anything is at a place; nil and the error when that can't be told.
local function holds_anything(tree)
  local listed, found = pcall(function()
    for _ in tree:list() do
      return true
    end
    return false
  end)
  if listed then
    return found
  elseif found.kind == "not_found" then
    return false
  end
  return nil, found
end

-- Where the cluster's files are, with a note for the person: the tree below the store, or the one
-- that `configBase` names when that lies elsewhere. Gives nil and the reason when that part can't
-- be moved; a cluster is never moved half.
local function find_base(from, tree, manifest, choice)
  local base = manifest.config_base
  if choice == "here" or base == nil or same(base, tree:url()) then
    return tree
  end
  local copy = "moving the complete copy of it that lies here"
  local whole = choice == "auto" and is_whole(tree)
  if whole and config.scheme(base) ~= config.scheme(from:url()) then
    return tree, ("its config names %s; %s"):format(base, copy)
  end
  local opened, elsewhere = pcall(from.open, from, base)
  local found, why = nil, elsewhere
  if opened then
    found, why = holds_anything(elsewhere)
  end
  if found then
    return elsewhere, ("its configBase is %s: moving both trees"):format(base)
  elseif found == false and whole then
    return tree, ("nothing is left at %s, which its config names; %s"):format(base, copy)
  end
  return nil, ("its configBase is %s, and that part can't be moved: %s"):format(base, found == false and "nothing is there" or tostring(why))
end

-- What the destination has of the cluster: "nothing", a "part" of an interrupted move, all of it
-- ("moved": `config` is written last), or "other", which is somebody else's.
local function state_of_destination(base, target)
  local there = target:read("config")
  if there == nil and not holds_anything(target) then
    return "nothing"
  end
  for _, difference in ipairs(base:diff(target, { include = { "pki/private/**", "secrets/**", MARKERS[1] } })) do
    if difference.kind == "changed" or (there == nil and difference.kind == "added") then
      return "other"
    end
  end
  if there == nil then
    return "part"
  end
  local manifest = config.parse(there, target:url() .. "/config")
  return same(manifest.config_base or target:url(), target:url()) and "moved" or "other"
end

-- The places that a file of the cluster may name: where it lies, where its config says that it
-- lies, and where it lay when kOps last updated it.
local function old_places(tree, base, manifest)
  local places = { tree:url() }
  local function add(place)
    for _, known in ipairs(places) do
      if place == nil or same(known, place) then
        return
      end
    end
    places[#places + 1] = place
  end
  add(manifest.config_base)
  local completed = base:read("cluster-completed.spec")
  local parsed, spec = pcall(config.parse, completed or "")
  add(parsed and spec.config_base or nil)
  return places
end

-- The trees that are copied, and what of each; `config` comes on its own.
local function parts_of(ctx, tree, base)
  local held_back = join({ COMMANDS }, NOT_COPIED[ctx.flags.backups])
  if base == tree then
    return { { from = tree, exclude = held_back } }
  end
  return {
    { from = base, exclude = join(held_back, REGISTRY) },
    { from = tree, include = REGISTRY, exclude = {} },
  }
end

-- What the target can't hold of the parts, or nil; and how many bytes they have.
local function unfit(parts, target)
  local names, bytes = {}, 0
  for _, part in ipairs(parts) do
    local ahead = part.from:precheck(target, { include = part.include, exclude = part.exclude })
    bytes = bytes + ahead.bytes
    for _, refused in ipairs(ahead.refused.first) do
      names[#names + 1] = ("%s (%s)"):format(refused.key, refused.reason)
    end
  end
  return #names > 0 and table.concat(names, ", ") or nil, bytes
end

-- All that the move of one cluster needs to know; nil when it can't be moved.
local function preflight(ctx, from, to, name, refuse)
  local tree, target = from:at(name), to:at(name)
  local label = tree:url() .. "/config"
  local text = tree:read("config")
  if text == nil then
    return refuse(name, "there is no cluster of that name in " .. from:url())
  end
  local parsed, manifest = pcall(config.parse, text, label)
  if not parsed then
    return refuse(name, tostring(manifest))
  end
  if manifest.name ~= name then
    return refuse(name, ("its config says that its name is '%s'; kOps would not find it"):format(manifest.name))
  end
  local base, note = find_base(from, tree, manifest, ctx.flags.base)
  if base == nil then
    return refuse(name, note)
  end
  local lies_at = manifest.config_base or tree:url()
  local rewritten = config.rewrite(text, { from = lies_at, to = target:url(), label = label })
  local there = state_of_destination(base, target)
  if there == "other" then
    return refuse(name, to:url() .. " already holds another cluster of that name: its keys or its config are not this one's")
  elseif there ~= "moved" and base:relation(target) ~= "apart" then
    return refuse(name, ("its files lie at %s, which is not apart from the destination %s"):format(base:url(), target:url()))
  end
  local parts = parts_of(ctx, tree, base)
  local odd, bytes = nil, 0
  if there ~= "moved" then
    odd, bytes = unfit(parts, target)
  end
  if odd then
    return refuse(name, ("%s can't hold what must be renamed, made smaller or taken away first: %s"):format(to:url(), odd))
  end
  return {
    name = name,
    tree = tree,
    base = base,
    note = note,
    target = target,
    parts = parts,
    bytes = bytes,
    there = there,
    text = text,
    rewritten = rewritten,
    old = old_places(tree, base, manifest),
  }
end

-- Whether two manifests say the same; kOps writes its own without comments and in its own order.
local function says_the_same(a, b)
  local read, patch = pcall(function()
    return kstate.merge.diff(kstate.yaml.decode(a), kstate.yaml.decode(b))
  end)
  return read and next(patch) == nil
end

-- What the old place has and the new one, which is in use, has not or has otherwise: only a person can
-- tell which of the two is right.
local function warn_of_left_behind(ctx, cluster)
  local which = { exclude = join({ "config", COMMANDS }, NOT_COPIED[ctx.flags.backups]) }
  local left, other = {}, {}
  if not says_the_same(cluster.rewritten.text, cluster.target:read("config")) then
    other[1] = "config"
  end
  for _, difference in ipairs(cluster.base:diff(cluster.target, which)) do
    if config.classify(difference.key).regenerated then
      -- Each place has its own.
    elseif difference.kind == "removed" then
      left[#left + 1] = difference.key
    elseif difference.kind == "changed" then
      other[#other + 1] = difference.key
    end
  end
  if #other > 0 then
    log.warn(("%d objects of %s are others in %s, such as %s, and stay as they are there; see `kstate diff %s %s`"):format(#other, cluster.base:url(), cluster.target:url(), other[1], cluster.base:url(), cluster.target:url()))
  end
  if #left > 0 then
    log.warn(("%d objects of %s are not in %s, such as %s; copy what belongs there with `kstate sync`"):format(#left, cluster.base:url(), cluster.target:url(), left[1]))
  end
end

local function check_stores(from, to)
  local relation = from:relation(to)
  if relation ~= "apart" then
    local how = relation == "same" and "are the same place" or "lie one inside the other"
    error(kstate.error({
      kind = "refused",
      message = ("%s and %s %s"):format(from:url(), to:url(), how),
      hint = "name a destination outside the source",
    }))
  end
  local honours = to:probe()
  if not honours.if_absent then
    log.warn(to:url() .. " doesn't honour conditional writes: don't let anybody else write to it during the move")
  end
  return honours
end

-- What lies beside the bytes at the old place and doesn't come along.
local function not_carried(from, to)
  local can = from:capabilities()
  local lost = can.beside
  if can.metadata and not to:capabilities().metadata then
    lost[#lost + 1] = "content types and user metadata"
  end
  return kstate.array(lost)
end

local function warn_of_change(from, to)
  local old, new = config.scheme(from:url()), config.scheme(to:url())
  if not config.can_run_clusters(to:url()) then
    log.warn(("kOps can't run a cluster from %s: the copy is one to keep, to test with, or to move on"):format(to:url()))
  end
  local lost = not_carried(from, to)
  if #lost > 0 then
    local say = old == new and log.info or log.warn
    say(("not carried from %s: %s; %s has its own rules for such things"):format(from:url(), table.concat(lost, ", "), to:url()))
  end
  return lost
end

-- 2 to 4: copy, agree, verify -----------------------------------------------------------------

-- Compares a copy with its source. Gives the first object that is not the same, if there is one.
local function verify(cluster, source, options)
  for _, difference in ipairs(source:diff(cluster.target, options)) do
    if difference.kind ~= "added" then
      return difference.key
    elseif config.classify(difference.key).class == "instance_group" then
      local stale = cluster.target:url() .. "/" .. difference.key
      error(kstate.error({
        kind = "refused",
        message = ("%s is not in the source (any more): kOps would create its machines again"):format(stale),
        hint = ("delete it (kstate rm %s) and run it again; the config was not written"):format(stale),
      }))
    end
  end
end

-- Copies one tree until it is the same at both places, object by object; gives the reports.
local function copy_tree(ctx, cluster, part, reports)
  local differs
  local exclude = join({ "config" }, part.exclude)
  -- etcd-manager may write a backup between the last pass and the comparison.
  for _ = 1, 5 do
    local options = { include = part.include, exclude = exclude, concurrency = ctx.flags.concurrency, verify = ctx.flags.verify }
    options.first, options.until_stable = MARKERS, true
    reports[#reports + 1] = part.from:sync(cluster.target, options)
    options.first, options.until_stable = nil, nil
    differs = verify(cluster, part.from, options)
    if differs == nil then
      return
    end
  end
  error(kstate.error({
    kind = "corrupt",
    message = ("the copy of %s differs from its source in %s, time and again"):format(cluster.name, differs),
    hint = "its config was not written, so nothing uses the copy; find out who writes there, and run it again",
  }))
end

local function copy(ctx, cluster)
  local reports = kstate.array({})
  for _, part in ipairs(cluster.parts) do
    copy_tree(ctx, cluster, part, reports)
  end
  return reports
end

-- 5 config ------------------------------------------------------------------------------------

local function write_config(cluster, honours)
  if cluster.tree:read("config") ~= cluster.text then
    error(kstate.error({
      kind = "precondition_failed",
      message = cluster.tree:url() .. "/config changed during the move",
      hint = "run it again: it goes on from here with the new config",
    }))
  end
  if not honours.if_absent and cluster.target:exists("config") then
    error(kstate.error({ kind = "already_exists", message = cluster.target:url() .. "/config came up during the move" }))
  end
  local written, err = cluster.target:write("config", cluster.rewritten.text, { if_absent = honours.if_absent })
  if written == nil then
    error(err)
  end
end

-- 6 next --------------------------------------------------------------------------------------

local function files_that_name(cluster)
  local files = kstate.array({})
  for object in cluster.target:walk() do
    if object.key ~= "config" and config.classify(object.key or "").may_name_store then
      local text = cluster.target:read(object.key)
      for _, place in ipairs(cluster.old) do
        if config.names(text or "", place) then
          files[#files + 1] = object.key
          break
        end
      end
    end
  end
  return files
end

local function pending_commands(cluster)
  local pending = kstate.array({})
  for object in cluster.base:walk() do
    if (object.key or ""):match("control/.*_command%.json$") then
      pending[#pending + 1] = object.key
    end
  end
  return pending
end

-- A store as the person named it, for a command line; it may carry options.
local function as_typed(text)
  return text:match("^[%w%-_./:@+]+$") and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

local function say_commands(ctx, from, to, moved, file)
  print(ctx.dry_run and "\nWhat would come next:" or "\nWhat comes next:")
  if file then
    print("  " .. file .. " now names " .. to:url())
  else
    print("  export KOPS_STATE_STORE=" .. to:url())
  end
  for _, cluster in ipairs(moved) do
    print("  kops update cluster " .. cluster.name .. " --yes")
    print("  kops rolling-update cluster " .. cluster.name .. " --instance-group-roles control-plane --yes")
  end
  print("  and only when every control plane is rolled:")
  print(("  kstate run retire_bucket --from %s --to %s --all-clusters"):format(as_typed(ctx.flags.from or from:url()), as_typed(ctx.flags.to)))
end

local function say_next(ctx, from, to, moved, file)
  local is_for_kops = config.can_run_clusters(to:url())
  if is_for_kops then
    say_commands(ctx, from, to, moved, file)
  else
    print(("\nNothing comes next: kOps can't run clusters from %s; they go on as they are."):format(to:url()))
    if file then
      print(file .. " now names " .. to:url())
    end
  end
  for _, cluster in ipairs(moved) do
    if is_for_kops and #cluster.stale > 0 then
      print(("\nUntil `kops update cluster` has run, these files of %s name the old place:"):format(cluster.name))
      for _, key in ipairs(cluster.stale) do
        print("  " .. key)
      end
    end
    for _, reference in ipairs(cluster.rewritten.kept) do
      print(("\nLeft as it is: %s of %s is %s"):format(reference.path, cluster.name, reference.value))
    end
    for _, key in ipairs(cluster.pending) do
      print(("\nNot copied, or etcd-manager would carry it out again: %s/%s"):format(cluster.base:url(), key))
    end
  end
end

-- Rewrites the file that named the old store, and gives its name.
local function update_config_file(ctx, from, to)
  local resolved = config.state_store()
  if not ctx.flags.update_config then
    return nil
  elseif resolved.file == nil or not same(store.open(resolved.url):url(), from:url()) then
    log.warn("no file names " .. from:url() .. " as the state store: nothing to update")
    return nil
  end
  return config.set_state_store(to:url())
end

-- The run -------------------------------------------------------------------------------------

local function names_of(ctx, from)
  local there = ctx.flags.all_clusters and config.clusters(from)
  local names = there and kstate.shard(there) or ctx.flags.cluster or {}
  if #(there or names) == 0 then
    error(kstate.error({
      kind = "refused",
      message = "no cluster to move in " .. from:url(),
      hint = "name them with --cluster NAME, or take --all-clusters",
    }))
  end
  local once, seen = {}, {}
  for _, name in ipairs(names) do
    once[#once + 1] = not seen[name] and name or nil
    seen[name] = true
  end
  return once
end

local function state_store()
  local resolved = config.state_store()
  if resolved.url == nil then
    local odd = resolved.warnings[#resolved.warnings]
    local hint = odd and odd.message .. "; " .. odd.fix or "name it with --from, --state or KOPS_STATE_STORE"
    error(kstate.error({ kind = "invalid", message = "no state store is set: " .. resolved.reason, hint = hint }))
  end
  return "state"
end

-- All of them together must fit, where a store says how much it takes.
local function check_room(to, todo, refuse)
  local bytes, room = 0, to:capabilities().capacity
  for _, cluster in ipairs(todo) do
    bytes = bytes + cluster.bytes
  end
  if room and bytes > room then
    refuse(to:url(), ("it can't hold %.1f MiB: %.1f MiB are the most that it takes in all"):format(bytes / 2 ^ 20, room / 2 ^ 20))
  end
end

-- Looks at every cluster: what is to be moved, and what stands against it.
local function look(ctx, from, to)
  local todo, refused = {}, kstate.array({})
  local function refuse(name, reason)
    log.error(name .. ": " .. reason)
    refused[#refused + 1] = { cluster = name, reason = reason }
  end
  for _, name in ipairs(names_of(ctx, from)) do
    local cluster = preflight(ctx, from, to, name, refuse)
    if cluster and cluster.there == "moved" then
      log.info(name .. " is in " .. to:url() .. " already")
      warn_of_left_behind(ctx, cluster)
    elseif cluster then
      todo[#todo + 1] = cluster
      log.info(("%s: %s -> %s%s"):format(name, cluster.tree:url(), cluster.target:url(), cluster.there == "part" and " (going on)" or ""))
      if cluster.note then
        log.warn(name .. ": " .. cluster.note)
      end
    end
  end
  check_room(to, todo, refuse)
  return todo, refused
end

local function confirmed(ctx, todo, from, to)
  if #todo > 0 and ctx.flags.backups == "none" then
    log.warn("without etcd-manager's markers (--backups none) a control plane that starts at the new place begins with an EMPTY etcd")
  end
  local question = ("Move %d cluster%s from %s to %s?"):format(#todo, #todo == 1 and "" or "s", from:url(), to:url())
  return #todo == 0 or ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })
end

local function move(ctx, cluster, honours)
  cluster.reports = copy(ctx, cluster)
  write_config(cluster, honours)
  cluster.stale = files_that_name(cluster)
  cluster.pending = pending_commands(cluster)
  local copied, objects = 0, 0
  for _, report in ipairs(cluster.reports) do
    copied, objects = copied + report.copied, objects + report.objects
  end
  local done = ctx.dry_run and "%s: %d objects would be copied, %d verified, and the config written" or "%s: %d objects copied, %d verified, config written"
  log.info(done:format(cluster.name, copied, objects))
end

local function result_of(cluster)
  return {
    cluster = cluster.name,
    config_base = cluster.target:url(),
    reports = cluster.reports,
    stale = cluster.stale,
    not_copied = cluster.pending,
    kept = cluster.rewritten.kept,
  }
end

local function run(ctx, from, to, honours)
  local lost = warn_of_change(from, to)
  local todo, refused = look(ctx, from, to)
  local moved, results, failure = {}, kstate.array({}), nil
  if #refused == 0 then
    if not confirmed(ctx, todo, from, to) then
      return 3
    end
    for _, cluster in ipairs(todo) do
      local done, err = pcall(move, ctx, cluster, honours)
      if not done then
        failure = err
        break
      end
      moved[#moved + 1], results[#results + 1] = cluster, result_of(cluster)
    end
  end

  local all, file = #refused == 0 and failure == nil, nil
  if all then
    local updated, result = pcall(update_config_file, ctx, from, to)
    file, failure = updated and result or nil, not updated and result or nil
  end
  if ctx.flags.json then
    print(kstate.json.encode({ moved = results, refused = refused, not_carried = lost, updated_file = file }))
  elseif #moved > 0 then
    say_next(ctx, from, to, moved, file)
  elseif all then
    print("Nothing to do: every cluster is in " .. to:url() .. " already.")
  end
  if failure then
    error(failure)
  end
  return #refused > 0 and 3 or 0
end

local function main(ctx)
  local from, to = store.open(ctx.flags.from or state_store()), store.open(ctx.flags.to)
  local honours = check_stores(from, to)
  return to:lock("store", { ttl = "30s", wait = ctx.flags.lock_wait }, function()
    return run(ctx, from, to, honours)
  end)
end

return {
  summary = "Move clusters from one state store to another",
  flags = {
    { name = "from", type = "string", value = "STORE", doc = "the store to move from (default: the state store)" },
    { name = "to", type = "string", value = "STORE", required = true, doc = "the store to move to" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to move; may be given again" },
    { name = "all_clusters", type = "boolean", doc = "move every cluster of the store" },
    { name = "concurrency", type = "integer", default = 32, doc = "how many objects are copied at once" },
    { name = "backups", type = "string", choices = { "all", "control", "none" }, default = "all", doc = "how much of the etcd backups is copied" },
    { name = "verify", type = "string", choices = { "checksum", "content" }, default = "checksum", doc = "how the copy is compared with its source" },
    { name = "base", type = "string", choices = { "auto", "here", "there" }, default = "auto", doc = "for a config whose configBase lies elsewhere: take the tree below --from, or the one it names" },
    { name = "update_config", type = "boolean", doc = "rewrite kops_state_store in the file that it came from" },
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to the destination" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
