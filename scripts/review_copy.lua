-- Makes a local copy of a cluster for a dry review, from which nothing leads to production.
--
-- The copy's configBase, and the stores of keys, secrets, backups and issuer documents that were
-- explicit, are in the copy: kOps reads and writes them there. A cluster for which that can't be had
-- is refused before anything is copied. Keys, tokens and files with credentials are left out unless
-- they are asked for, backups always. The cluster itself is only read. `config` is written last.

local kstate = kstate
local config, store, log, yaml = kstate.config, kstate.store, kstate.log, kstate.yaml
local args = require("lib.args")
local refuse = args.refuse

-- What kOps reads below the state store itself; everything else lies below `configBase`.
local REGISTRY = { "instancegroup/**", "clusteraddons/**" }

local function same(place, other)
  return config.below(place, other) == ""
end

-- Where the files below `configBase` are read from.
local function base_of(tree, manifest)
  local base = manifest.config_base
  if base == nil or same(base, tree:url()) then
    return tree
  elseif tree:exists("cluster-completed.spec") then
    log.info(("its configBase is %s; copying what lies in %s"):format(base, tree:url()))
    return tree
  end
  return tree:open(base)
end

-- Where kOps publishes the issuer's documents. A move never changes it; a copy must not write there.
local DISCOVERY = "spec.serviceAccountIssuerDiscovery.discoveryStore"

-- Which document of a config is the cluster.
local function part_of(document)
  for part = 1, document:documents() do
    if document:get("kind", { document = part }) == "Cluster" then
      return { document = part }
    end
  end
end

-- Leads into the copy what a move leaves alone: what lies in the cluster's folders, and the discovery
-- store. Gives the text, and the references that still lead elsewhere.
local function redirected(ctx, text, kept, folders, target)
  local document, left = yaml.edit(text, "config"), {}
  for _, reference in ipairs(kept) do
    local is_discovery = reference.path == DISCOVERY and not ctx.flags.keep_discovery_store
    local way = config.below(folders[1], reference.value) or config.below(folders[2], reference.value)
    if reference.class == "keep" and (is_discovery or way) then
      document:set(reference.path, target:url() .. "/" .. (way or "discovery"), part_of(document))
    else
      left[#left + 1] = reference
    end
    if is_discovery then
      log.warn("kOps publishes an issuer's documents to buckets only: kops update cluster refuses this copy, unless it is made with --keep-discovery-store")
    end
  end
  return document:text(), left
end

-- The config of the copy: with every reference of its own to the cluster's files in the copy.
local function rewritten(ctx, tree, target, text, manifest)
  local label = tree:url() .. "/config"
  local base = manifest.config_base or tree:url()
  local new = config.rewrite(text, { from = base, to = target:url(), label = label })
  local leads_out, kept = {}, {}
  for _, reference in ipairs(new.kept) do
    if reference.class == "moves" then
      leads_out[#leads_out + 1] = ("%s: %s"):format(reference.path, reference.value)
    else
      kept[#kept + 1] = reference
    end
  end
  if #leads_out > 0 then
    refuse(
      ("%s: these would still lead to what the cluster uses:\n  %s"):format(label, table.concat(leads_out, "\n  ")),
      "they lie outside the cluster's folder, and kOps would write there; there is no safe copy of this cluster"
    )
  end
  return args.asked(redirected, ctx, new.text, kept, { base, tree:url() }, target)
end

-- Which objects of a tree are left out.
local function left_out(ctx, trees)
  local names = {}
  for _, tree in ipairs(trees) do
    for object in tree:walk() do
      local kind = object.key and config.classify(object.key)
      if kind and not object.key:find("^backups/") and (kind.secret or kind.class == "unknown") and not ctx.flags.with_secrets then
        names[#names + 1] = object.key
      end
    end
  end
  table.sort(names)
  return names
end

-- Proves that the config of the copy names production nowhere but where it was said, and lists the
-- other files that do.
local function check(tree, target, base, kept)
  local text = target:read("config")
  local known = {}
  for _, reference in ipairs(kept) do
    known[reference.path] = true
  end
  local manifest = config.parse(text, target:url() .. "/config")
  for _, reference in ipairs(manifest.references) do
    if not known[reference.path] and config.below(target:url(), reference.value) == nil then
      error(kstate.error({ kind = "corrupt", message = ("%s/config still leads to %s (%s)"):format(target:url(), reference.value, reference.path) }))
    end
  end
  local naming = kstate.array({})
  for object in target:walk() do
    if object.key and object.key ~= "config" then
      local bytes = target:read(object.key)
      if config.names(bytes, tree:url()) or config.names(bytes, base) then
        naming[#naming + 1] = object.key
      end
    end
  end
  return naming
end

-- A place as a shell takes it.
local function as_typed(text)
  return text:match("^[%w%-_./:@+]+$") and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

local function say(ctx, to, name, omitted, kept, naming)
  for _, reference in ipairs(kept) do
    log.warn(("left as it is: %s is %s"):format(reference.path, reference.value))
  end
  if #naming > 0 then
    log.warn(("%d generated files still name production, such as %s; kOps writes them anew, and is led by none of them"):format(#naming, naming[1]))
  end
  if #omitted > 0 then
    log.info(("%d secrets are left out, such as %s; with --with-secrets they are copied too"):format(#omitted, omitted[1]))
  end
  local place = as_typed(to:url())
  print(ctx.dry_run and "\nWhat would come next:" or "\nWhat comes next:")
  print(("  kops --state %s get cluster %s -o yaml"):format(place, name))
  print(("  kops --state %s get instancegroups --name %s"):format(place, name))
  print(("  kops --state %s update cluster %s"):format(place, name))
  print(("  kstate --state %s plan SCRIPT"):format(place))
  print("\nNever `kops update cluster --yes` or `kops delete cluster` with the copy: the state is a copy,")
  print("the cloud in which its machines run is not.")
end

local function copy(ctx, from, tree, target, text, manifest)
  local base = base_of(tree, manifest)
  -- In the store itself kOps would take the copy for a cluster.
  for _, place in ipairs({ base, tree, from }) do
    if place:relation(target) ~= "apart" then
      refuse(("%s and %s are not apart"):format(place:url(), target:url()), "name a folder elsewhere")
    end
  end
  local new, kept = rewritten(ctx, tree, target, text, manifest)
  local is_one = base == tree
  local omitted = left_out(ctx, is_one and { tree } or { base, tree })
  local exclude = { "config", "backups/**" }
  for _, name in ipairs(omitted) do
    -- Names are no patterns: `*` and the like stand for themselves.
    exclude[#exclude + 1] = name:gsub("[*?%[%]{}\\]", "[%0]")
  end
  if is_one then
    tree:sync(target, { exclude = exclude })
  else
    base:sync(target, { exclude = table.move(REGISTRY, 1, #REGISTRY, #exclude + 1, table.move(exclude, 1, #exclude, 1, {})) })
    tree:sync(target, { include = REGISTRY, exclude = exclude })
  end
  local written, err = target:write("config", new, { if_absent = true })
  if written == nil then
    error(err)
  end
  local naming = check(tree, target, manifest.config_base or tree:url(), kept)
  return omitted, kept, naming
end

local function main(ctx)
  local name = args.cluster(ctx.flags.cluster)
  local from, to = store.open(ctx.flags.state or "state"), args.asked(store.open, ctx.flags.to)
  if config.scheme(to:url()) ~= "file" then
    refuse(to:url() .. " is no folder of this machine", "a review needs a local copy: name a folder")
  end
  local tree, target = from:at(name), to:at(name)
  local text = tree:read("config")
  if text == nil then
    refuse(("there is no cluster %s in %s"):format(name, from:url()))
  end
  local manifest = config.parse(text, tree:url() .. "/config")
  local listed, entries = pcall(function()
    return target:list():collect(1)
  end)
  if listed and #entries > 0 then
    refuse(("%s is there already"):format(target:url()), "delete it, or name another folder: a copy is never mixed with what is left of another one")
  end
  local omitted, kept, naming = copy(ctx, from, tree, target, text, manifest)
  if ctx.flags.json then
    print(kstate.json.encode({ cluster = name, config_base = target:url(), left_out = kstate.array(omitted), kept = kstate.array(kept), naming = naming }))
  else
    say(ctx, to, name, omitted, kept, naming)
  end
end

return {
  summary = "Copy a cluster for a dry review that can't reach production",
  flags = {
    { name = "cluster", type = "string", value = "NAME", required = true, doc = "the cluster to copy" },
    { name = "to", type = "string", value = "DIR", required = true, doc = "the folder that becomes the copy's state store" },
    { name = "state", type = "string", value = "STORE", doc = "the store to copy from (default: the state store)" },
    { name = "with_secrets", type = "boolean", doc = "copy private keys, tokens and files with credentials too" },
    { name = "keep_discovery_store", type = "boolean", doc = "leave the issuer's discovery store in production, so that kops update cluster accepts the copy; with --yes it would publish there" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
