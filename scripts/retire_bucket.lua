-- Deletes moved clusters from the place they were moved from.
--
-- A cluster is deleted there only when all of this holds, and each reason why not is listed:
--   1 its config at the new place says that the cluster lies there, is newer than the old one, and
--     no longer refers to the old place
--   2 no file at the new place names the old one, and what kOps wrote there last is of the new one:
--     `kops update cluster` has run
--   3 every object of the old place is at the new one with the same content, or is one that kOps
--     writes anew by itself
--   4 a person typed the cluster's name, or --yes was given
-- `config` goes first, so that kOps can't work with what is left when this is interrupted.
-- Running it again goes on. Meanwhile both places are locked against other runs of kstate.

local kstate = kstate
local config, store, log, task = kstate.config, kstate.store, kstate.log, kstate.task

-- At most this many names are listed for one reason.
local SHOWN = 20

-- The empty objects with which consoles of S3 show folders (`pki/`): they mean nothing, and stay.
local function is_folder_marker(object)
  return object.foreign and object.size == 0 and object.foreign:match("/$")
end

-- What people write, and what may name any place.
local BY_HAND = { instance_group = true, cluster_addons = true }

local function listed(keys)
  local shown = table.move(keys, 1, math.min(#keys, SHOWN), 1, {})
  if #keys > SHOWN then
    shown[#shown + 1] = ("and %d more"):format(#keys - SHOWN)
  end
  return shown
end

-- Whether a manifest says that its cluster lies in this store.
local function lies_in(tree, base)
  if base == nil or config.below(base, tree:url()) == "" then
    return base ~= nil
  end
  return config.scheme(base) == config.scheme(tree:url()) and tree:open(base):relation(tree) == "same"
end

-- Old and new exchanged look much the same, but for this.
local function check_direction(cluster, manifest, refuse)
  if not lies_in(cluster.new, manifest.config_base) then
    refuse(("its config at the new place doesn't say that it lies there: configBase is %s"):format(manifest.config_base or "not set"), {})
  end
  local before, after = cluster.tree:stat("config"), cluster.new:stat("config")
  if before and before.modified > after.modified then
    refuse("its config at the old place is newer than the one at the new place: either it was edited after the move, or --from and --to are exchanged", {})
  end
end

-- `kops update cluster` writes what it worked out of the config, with the place.
local function check_updated(cluster, refuse)
  local text = cluster.new:read("cluster-completed.spec")
  if text == nil then
    return
  end
  local parsed, completed = pcall(config.parse, text)
  local base = parsed and completed.config_base
  if not lies_in(cluster.new, base or nil) then
    refuse(("`kops update cluster %s` has not run at the new place: cluster-completed.spec there has configBase %s"):format(cluster.name, base or "not set"), {})
  end
end

-- 1 and 2: nothing at the new place leads to the old one
local function check_references(cluster, refuse)
  local text = cluster.new:read("config")
  if text == nil then
    return refuse("it is not in " .. cluster.to:url() .. ": move it first", {})
  end
  local manifest = config.parse(text, cluster.new:url() .. "/config")
  check_direction(cluster, manifest, refuse)
  check_updated(cluster, refuse)
  for _, place in ipairs(cluster.places) do
    local naming = {}
    for _, reference in ipairs(manifest.references) do
      if config.below(place, reference.value) then
        naming[#naming + 1] = reference.path .. ": " .. reference.value
      end
    end
    if #naming > 0 then
      refuse("its config at the new place still refers to " .. place, naming)
    end
    local files, own = {}, {}
    for object in cluster.new:walk() do
      local key = object.key or ""
      local kind = config.classify(key)
      local list = kind.regenerated and files or own
      if key ~= "config" and (kind.may_name_store or BY_HAND[kind.class]) and config.names(cluster.new:read(key) or "", place) then
        list[#list + 1] = key
      end
    end
    if #own > 0 then
      refuse(("files at the new place name %s, and `kops update cluster` doesn't write them: edit them"):format(place), own)
    end
    if #files > 0 then
      refuse(("files at the new place still name %s: run `kops update cluster %s --yes` and roll its control plane"):format(place, cluster.name), files)
    end
  end
end

-- 3: nothing is lost with the old place
local function check_content(cluster, refuse)
  for _, old in ipairs(cluster.old) do
    -- Listed first: what comes later was compared with nothing, and is not deleted.
    cluster.objects[old] = {}
    local missing, changed = {}, {}
    for object in old:walk() do
      local list = object.foreign and missing or cluster.objects[old]
      if not is_folder_marker(object) then
        list[#list + 1] = object.foreign or object
      end
    end
    for _, difference in ipairs(old:diff(cluster.new, { exclude = { "config" }, verify = cluster.verify })) do
      local list = difference.kind == "removed" and missing or changed
      if difference.kind ~= "added" and not config.classify(difference.key).regenerated then
        list[#list + 1] = difference.key
      end
    end
    if #missing > 0 then
      refuse(("objects are only in %s: copy what you want to keep (kstate sync %s/FOLDER %s/FOLDER), delete the rest by hand"):format(old:url(), old:url(), cluster.new:url()), missing)
    end
    if #changed > 0 then
      refuse("objects differ from those at the new place", changed)
    end
  end
end

-- The trees that belong to the cluster at the old place, and the places that nothing may name.
local function old_trees(from, tree, new, refuse)
  local places = { tree:url() }
  local trees = { tree }
  local text = tree:read("config")
  local base = text and config.parse(text, tree:url() .. "/config").config_base
  if base == nil or config.below(base, tree:url()) == "" or lies_in(new, base) then
    return trees, places
  end
  places[#places + 1] = base
  if config.scheme(base) == config.scheme(from:url()) then
    local elsewhere = from:open(base)
    if elsewhere:relation(new) ~= "apart" then
      refuse(("its configBase at the old place, %s, is not apart from the new place"):format(base), {})
    elseif elsewhere:relation(tree) ~= "same" then
      trees[#trees + 1] = elsewhere
    end
  end
  return trees, places
end

-- Deletes an object unless it changed. Where the service has no conditional delete, it is looked at
-- right before.
local function delete_unchanged(tree, object)
  local asked, done = pcall(tree.delete, tree, object.key, { if_match = object.tag })
  if asked then
    return done
  elseif done.kind ~= "unsupported" then
    error(done)
  end
  local now = tree:stat(object.key)
  return now == nil or (now.tag == object.tag and tree:delete(object.key))
end

-- Deletes the objects that were compared, as long as they are still the same.
local function delete_tree(tree, objects, concurrency)
  local deleted, changed, rest = 0, {}, {}
  local function delete(object)
    if delete_unchanged(tree, object) then
      deleted = deleted + 1
    else
      changed[#changed + 1] = object.key
    end
  end
  for _, object in ipairs(objects) do
    if object.key == "config" then
      delete(object)
    else
      rest[#rest + 1] = object
    end
  end
  if #changed == 0 then
    task.map(rest, delete, { concurrency = concurrency })
    for object in tree:walk() do
      if not is_folder_marker(object) then
        changed[#changed + 1] = object.key or object.foreign
      end
    end
  end
  if #changed > 0 then
    error(kstate.error({
      kind = "precondition_failed",
      message = ("somebody wrote to %s meanwhile: %s"):format(tree:url(), table.concat(listed(changed), ", ")),
      hint = "this was not deleted; find out who still uses the old place",
    }))
  end
  return deleted
end

local function retire(ctx, from, to, names)
  local ready, refused = {}, {}
  for _, name in ipairs(names) do
    local cluster = { name = name, to = to, tree = from:at(name), new = to:at(name), objects = {}, verify = ctx.flags.verify }
    local reasons = kstate.array({})
    local function refuse(reason, files)
      reasons[#reasons + 1] = { reason = reason, files = kstate.array(files) }
    end
    cluster.old, cluster.places = old_trees(from, cluster.tree, cluster.new, refuse)
    check_references(cluster, refuse)
    if #reasons == 0 then
      check_content(cluster, refuse)
    end
    if #reasons > 0 then
      refused[#refused + 1] = { cluster = name, reasons = reasons }
    else
      ready[#ready + 1] = cluster
    end
  end

  for _, refusal in ipairs(refused) do
    for _, reason in ipairs(refusal.reasons) do
      log.error(refusal.cluster .. ": " .. reason.reason)
      for _, file in ipairs(listed(reason.files)) do
        log.error("  " .. file)
      end
    end
  end

  local retired = kstate.array({})
  for _, cluster in ipairs(#refused == 0 and ready or {}) do
    local question = ("Delete %s from %s?"):format(cluster.name, table.concat(cluster.places, " and "))
    if not (ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question, expect = cluster.name })) then
      refused[#refused + 1] = { cluster = cluster.name, reasons = { { reason = "not confirmed", files = kstate.array({}) } } }
      break
    end
    local deleted = 0
    for _, tree in ipairs(cluster.old) do
      deleted = deleted + delete_tree(tree, cluster.objects[tree], ctx.flags.concurrency)
    end
    retired[#retired + 1] = { cluster = cluster.name, deleted = deleted }
    log.info(("%s: %d objects deleted from the old place"):format(cluster.name, deleted))
  end
  if ctx.flags.json then
    print(kstate.json.encode({ retired = retired, refused = kstate.array(refused) }))
  end
  return #refused > 0 and 3 or 0
end

local function main(ctx)
  local from = store.open(ctx.flags.from)
  local to = store.open(ctx.flags.to or "state")
  if from:relation(to) ~= "apart" then
    error(kstate.error({ kind = "refused", message = "the old place and the new one are not apart: nothing can be deleted safely" }))
  end
  if config.can_run_clusters(from:url()) and not config.can_run_clusters(to:url()) then
    error(kstate.error({
      kind = "refused",
      message = ("kOps can't run clusters from %s: those at %s would lose their state"):format(to:url(), from:url()),
      hint = "move them to a store that kOps reads first",
    }))
  end
  local current = config.state_store()
  if current.url and store.open("state"):relation(from) == "same" then
    error(kstate.error({
      kind = "refused",
      message = ("%s is the state store that kops works with (%s)"):format(from:url(), current.reason),
      hint = "make the new place the state store first, or exchange --from and --to",
    }))
  end

  -- Both are there, or this says which is not.
  local here = config.clusters(from), config.clusters(to)
  local names = ctx.flags.all_clusters and here or ctx.flags.cluster or {}
  if #names == 0 then
    error(kstate.error({ kind = "refused", message = "no cluster to retire", hint = "name them with --cluster NAME, or take --all-clusters" }))
  end
  local how = { ttl = "30s", wait = ctx.flags.lock_wait }
  return from:lock("store", how, function()
    return to:lock("store", how, function()
      return retire(ctx, from, to, names)
    end)
  end)
end

return {
  summary = "Delete moved clusters from the place they were moved from",
  flags = {
    { name = "from", type = "string", value = "STORE", required = true, doc = "the old place" },
    { name = "to", type = "string", value = "STORE", doc = "the new place (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to retire; may be given again" },
    { name = "all_clusters", type = "boolean", doc = "retire every cluster of the old place" },
    { name = "verify", type = "string", choices = { "checksum", "content" }, default = "checksum", doc = "how old and new objects are compared" },
    { name = "concurrency", type = "integer", default = 32, doc = "how many objects are deleted at once" },
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to one of the places" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
