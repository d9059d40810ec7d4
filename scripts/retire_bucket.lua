-- Deletes moved clusters from the place they were moved from.
--
-- A cluster is deleted there only when all of this holds, and each reason why not is listed:
--   1 its config at the new place no longer refers to the old one
--   2 no file at the new place names the old one: `kops update cluster` has run
--   3 every object of the old place is at the new one with the same content, or is one that kOps
--     writes anew by itself
--   4 a person typed the cluster's name, or --yes was given
-- `config` goes first, so that kOps can't work with what is left when this is interrupted.
-- Running it again goes on.

local kstate = kstate
local config, store, log, task = kstate.config, kstate.store, kstate.log, kstate.task

-- At most this many names are listed for one reason.
local SHOWN = 20

local function listed(keys)
  local shown = table.move(keys, 1, math.min(#keys, SHOWN), 1, {})
  if #keys > SHOWN then
    shown[#shown + 1] = ("and %d more"):format(#keys - SHOWN)
  end
  return shown
end

-- 1 and 2: nothing at the new place leads to the old one
local function check_references(cluster, refuse)
  local text = cluster.new:read("config")
  if text == nil then
    return refuse("it is not in " .. cluster.to:url() .. ": move it first", {})
  end
  local manifest = config.parse(text, cluster.new:url() .. "/config")
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
    local files = {}
    for object in cluster.new:walk() do
      local key = object.key or ""
      if key ~= "config" and config.classify(key).may_name_store and config.names(cluster.new:read(key) or "", place) then
        files[#files + 1] = key
      end
    end
    if #files > 0 then
      refuse(("files at the new place still name %s: run `kops update cluster %s --yes` and roll its control plane"):format(place, cluster.name), files)
    end
  end
end

-- 3: nothing is lost with the old place
local function check_content(cluster, refuse)
  for _, old in ipairs(cluster.old) do
    local missing, changed = {}, {}
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
local function old_trees(from, tree)
  local places = { tree:url() }
  local trees = { tree }
  local text = tree:read("config")
  local base = text and config.parse(text, tree:url() .. "/config").config_base
  if base and config.below(base, tree:url()) ~= "" then
    places[#places + 1] = base
    if config.scheme(base) == config.scheme(from:url()) then
      trees[#trees + 1] = from:open(base)
    end
  end
  return trees, places
end

-- Deletes an object if it is still the version that was checked. Most S3 services but AWS can't
-- compare that as they delete; there it is compared just before.
local function delete_version(tree, object)
  local ok, done, err = pcall(tree.delete, tree, object.key, { if_match = object.tag })
  if ok then
    return done, err
  elseif done.kind ~= "unsupported" then
    error(done)
  end
  local now = tree:stat(object.key)
  if now ~= nil and now.tag ~= object.tag then
    return nil, { key = object.key }
  end
  return tree:delete(object.key)
end

local function delete_tree(tree, concurrency)
  local deleted, changed = 0, {}
  local function delete(object)
    local done, err = delete_version(tree, object)
    if done then
      deleted = deleted + 1
    else
      changed[#changed + 1] = err.key
    end
  end
  local first = tree:stat("config")
  if first ~= nil then
    delete(first)
  end
  if #changed == 0 then
    task.map(tree:walk():collect(), delete, { concurrency = concurrency })
  end
  if #changed > 0 then
    error(kstate.error({
      kind = "precondition_failed",
      message = ("somebody wrote to %s meanwhile: %s"):format(tree:url(), table.concat(listed(changed), ", ")),
      hint = "these were not deleted; find out who still uses the old place",
    }))
  end
  return deleted
end

local function main(ctx)
  local from = store.open(ctx.flags.from)
  local to = store.open(ctx.flags.to or "state")
  if from:relation(to) ~= "apart" then
    error(kstate.error({ kind = "refused", message = "the old place and the new one are not apart: nothing can be deleted safely" }))
  end
  local names = ctx.flags.all_clusters and config.clusters(from) or ctx.flags.cluster or {}
  if #names == 0 then
    error(kstate.error({ kind = "refused", message = "no cluster to retire", hint = "name them with --cluster NAME, or take --all-clusters" }))
  end

  local ready, refused = {}, {}
  for _, name in ipairs(names) do
    local tree = from:at(name)
    local trees, places = old_trees(from, tree)
    local cluster = { name = name, to = to, new = to:at(name), old = trees, places = places, verify = ctx.flags.verify }
    local reasons = kstate.array({})
    local function refuse(reason, files)
      reasons[#reasons + 1] = { reason = reason, files = kstate.array(files) }
    end
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
      deleted = deleted + delete_tree(tree, ctx.flags.concurrency)
    end
    retired[#retired + 1] = { cluster = cluster.name, deleted = deleted }
    log.info(("%s: %d objects deleted from the old place"):format(cluster.name, deleted))
  end
  if ctx.flags.json then
    print(kstate.json.encode({ retired = retired, refused = kstate.array(refused) }))
  end
  return #refused > 0 and 3 or 0
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
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
