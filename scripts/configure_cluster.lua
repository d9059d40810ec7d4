-- Creates a cluster's entry in the state store, or changes just what was given of an existing one.
--
--   1 read      the cluster's manifest and its instance groups; a new one begins with kOps's defaults
--   2 change    files (-f), then the shortcuts, then --unset, --set and --set-string
--   3 check     as kOps would; nothing is written when something is wrong that was not so before
--   4 ask       with the difference shown
--   5 write     each file by compare-and-swap, merged with what others wrote meanwhile
-- It takes no lock: runs that change other fields don't stand in each other's way, and one that
-- contradicts another ends with both sides shown.

local kstate = kstate
local config, store, log, yaml = kstate.config, kstate.store, kstate.log, kstate.yaml
local args, new, ranges = require("lib.args"), require("lib.new_cluster"), require("lib.ranges")
local list, refuse = args.list, args.refuse

-- The files of a cluster ----------------------------------------------------------------------

local function find(cluster, kind, name)
  for _, file in ipairs(cluster.files) do
    if file.kind == kind and (name == nil or file.name == name) then
      return file
    end
  end
end

-- Has a file among the cluster's, with a text unless it is in the store already.
local function add_file(cluster, kind, name, text)
  local there = find(cluster, kind, name)
  if there then
    return there
  end
  local key = kind == "Cluster" and cluster.name .. "/config" or cluster.name .. "/instancegroup/" .. name
  local file = { kind = kind, name = name, entry = config.load(cluster.store, key), paths = kstate.array({}) }
  file.text = file.entry.tag and file.entry.text or text or ""
  cluster.files[#cluster.files + 1] = file
  return file
end

-- A group that is new, or was left there by a run that was interrupted.
local function add_group(cluster, name, spec)
  return add_file(cluster, "InstanceGroup", name, new.group_manifest(cluster.name, name, spec))
end

-- What should be a table; people write anything into manifests.
local function table_of(value)
  return type(value) == "table" and value or {}
end

-- The `spec` of the object in a file.
local function spec_of(file)
  for _, document in ipairs(yaml.decode_all(file.text)) do
    if type(document) == "table" and document.kind == file.kind then
      return table_of(document.spec)
    end
  end
  refuse(file.entry.label .. " holds no " .. file.kind)
end

local function groups(cluster, is_wanted)
  local found = {}
  for _, file in ipairs(cluster.files) do
    local spec = file.kind == "InstanceGroup" and spec_of(file)
    if spec and is_wanted(tostring(spec.role), spec) then
      found[#found + 1] = file
    end
  end
  return found
end

local function is_node(role)
  return role == "Node"
end

local function is_control_plane(role)
  return role:find("Master", 1, true) ~= nil or role:find("ControlPlane", 1, true) ~= nil
end

local function note(file, text, paths)
  file.text = text
  table.move(paths, 1, #paths, #file.paths + 1, file.paths)
end

-- What a function of kstate makes of a text that a person gave; what it finds wrong is refused.
local function made(make, ...)
  local ok, text, paths = pcall(make, ...)
  if ok then
    return text, paths
  elseif text.kind == "invalid" then
    refuse(text.message, text.hint)
  end
  error(text, 0)
end

local function change(ctx, file, changes)
  changes.kind, changes.force_unknown = file.kind, ctx.flags.force_unknown
  note(file, made(config.change, file.text, changes))
end

local function read(ctx)
  local cluster = { name = ctx.args.cluster:gsub("/$", ""), files = {} }
  if cluster.name == "" or cluster.name:find("/", 1, true) or cluster.name:find("^%.") then
    refuse(("'%s' is no name of a cluster"):format(ctx.args.cluster))
  end
  cluster.store = store.open(ctx.flags.state or "state")
  local listed = config.list(cluster.store, cluster.name)
  cluster.is_new = listed[1] == nil or listed[1].kind ~= "Cluster"
  for _, file in ipairs(listed) do
    if file.kind ~= "Addons" then
      add_file(cluster, file.kind, file.name)
    end
  end
  return cluster
end

-- 2 change ------------------------------------------------------------------------------------

local function not_there(cluster)
  local others = config.clusters(cluster.store)
  local there = #others == 0 and "it has none" or "it has " .. table.concat(others, ", ", 1, math.min(#others, 10))
  refuse(("there is no cluster %s in %s, and a new one needs --zones"):format(cluster.name, cluster.store:url()), there)
end

local function create(ctx, cluster)
  if #ctx.flags.zones == 0 then
    not_there(cluster)
  elseif ctx.flags.kubernetes_version == nil then
    refuse("a new cluster needs a version of Kubernetes", "say it with --kubernetes-version; kOps would ask the channel")
  end
  -- What is left of a cluster that lost its config: a new one would find its keys and etcd backups.
  for entry in cluster.store:list(cluster.name) do
    local name = entry.prefix or entry.key
    if name ~= cluster.name .. "/instancegroup/" and name ~= cluster.name .. "/clusteraddons/" then
      refuse(("%s has no config, but %s is there"):format(cluster.name, name), "bring its config back (kstate undo, a backup), or delete what is left of it")
    end
  end
  for _, file in ipairs(new.files(cluster.name, cluster.store:url(), ctx.flags)) do
    add_file(cluster, file.kind, file.name, file.text)
  end
end

-- Subnets for the zones that the cluster has none in.
local function add_zones(ctx, cluster)
  local file = find(cluster, "Cluster")
  local spec = spec_of(file)
  local there, taken, model, utility = {}, {}, nil, nil
  for _, subnet in ipairs(table_of(spec.subnets)) do
    there[subnet.zone or subnet.region or subnet.name or ""] = true
    taken[#taken + 1] = tostring(subnet.cidr):match("^[%d.]+/") and ranges.parse(subnet.cidr) or nil
    if subnet.type == "Utility" then
      utility = utility or subnet
    else
      model = model or subnet
    end
  end
  local function add(zone, like, name)
    local cidr, range = nil, nil
    -- As large as the others, or as there is room for.
    for length = spec.networkCIDR and like.cidr and ranges.parse(like.cidr).length or 29, 28 do
      cidr, range = ranges.free(ranges.parse(spec.networkCIDR), length, taken)()
      if cidr then
        break
      end
    end
    if cidr == nil then
      refuse(("no range is free for a subnet in %s"):format(zone), ("give one: --set 'spec.subnets+=[{name: %s, zone: %s, type: %s, cidr: …}]'"):format(name, zone, like.type))
    end
    taken[#taken + 1] = range
    local subnet = kstate.json.encode({ { cidr = cidr, name = name, type = like.type, zone = zone } })
    change(ctx, file, { set = { "spec.subnets+=" .. subnet } })
  end
  for _, zone in ipairs(list(ctx.flags.zones)) do
    local region = spec.cloudProvider == "aws" and new.aws_region_of(zone)
    local known = model and model.zone and new.aws_region_of(model.zone)
    if region and known and region ~= known then
      refuse(("%s is not in the cluster's region, %s"):format(zone, known), "a cluster has one region")
    end
    if not (there[zone] or there[new.region_of(zone)]) then
      add(zone, model or { type = "Public", cidr = spec.networkCIDR }, zone)
      if utility then
        add(zone, utility, "utility-" .. zone)
      end
      there[zone] = true
      log.info(("%s has a subnet now, but no instance group: --instance-group nodes-%s --role Node --subnet %s adds one"):format(zone, zone, zone))
    end
  end
end

local function set_networking(ctx, file, name)
  local wanted, now = new.NETWORKING[name], table_of(spec_of(file).networking)
  local plugin = next(wanted)
  local sets, unset = {}, {}
  if now[plugin] == nil then
    sets[1] = "spec.networking=" .. kstate.json.encode(wanted)
    log.warn("kOps can't exchange the network plugin of a running cluster without an outage")
  elseif name == "cilium-eni" or name == "cilium-etcd" then
    refuse("the cluster has cilium already, and how it runs can't be changed by a shortcut", "change it field by field: --set spec.networking.cilium.ipam=eni")
  else
    return
  end
  if new.has_own_proxy(name) then
    sets[2] = "spec.kubeProxy.enabled=false"
  elseif now.cilium or now.kuberouter then
    unset[1] = "spec.kubeProxy.enabled"
  end
  change(ctx, file, { set = sets, unset = unset })
end

-- Each of the cluster's shortcuts, and the change that it stands for.
local SHORTCUTS = {
  { "kubernetes_version", "spec.kubernetesVersion=" },
  { "channel", "spec.channel=" },
  { "network_cidr", "spec.networkCIDR=" },
  { "network_id", "spec.networkID=" },
  { "project", "spec.project=" },
  { "dns", "spec.topology.dns.type=" },
  { "ssh_access", "spec.sshAccess=" },
  { "admin_access", "spec.kubernetesApiAccess=" },
  { "cloud_labels", "spec.cloudLabels+=" },
}

local DNS = { public = "Public", private = "Private", none = "None" }

local function apply_shortcuts(ctx, cluster)
  local flags, file = ctx.flags, find(cluster, "Cluster")
  local sets = {}
  for _, shortcut in ipairs(SHORTCUTS) do
    local value = flags[shortcut[1]]
    value = type(value) == "table" and (#value > 0 and table.concat(list(value), ",") or nil) or value
    if type(value) == "string" then
      sets[#sets + 1] = shortcut[2] .. (shortcut[1] == "dns" and DNS[value] or value)
    end
  end
  change(ctx, file, { set = sets })
  if flags.networking and not cluster.is_new then
    set_networking(ctx, file, flags.networking)
  end

  local function has_size(role, spec)
    return is_node(role) and spec.manager ~= "Karpenter"
  end
  local nodes, masters = groups(cluster, has_size), groups(cluster, is_control_plane)
  if #nodes == 0 and (flags.node_size or flags.node_count or flags.node_image) then
    refuse(cluster.name .. " has no instance group of nodes", "--instance-group NAME --role Node makes one")
  end
  local function each(files, flag, field)
    for _, group in ipairs(flag and files or {}) do
      change(ctx, group, { set = { field .. "=" .. flag } })
    end
  end
  each(nodes, flags.node_size, "spec.machineType")
  each(masters, flags.control_plane_size, "spec.machineType")
  each(nodes, flags.node_image or flags.image, "spec.image")
  each(masters, flags.control_plane_image or flags.image, "spec.image")
  if cluster.is_new then
    return
  end
  for i, group in ipairs(flags.node_count and nodes or {}) do
    local spec = spec_of(group)
    if spec.minSize ~= spec.maxSize then
      refuse(
        ("%s grows and shrinks by itself, from %s to %s"):format(group.name, tostring(spec.minSize), tostring(spec.maxSize)),
        ("--instance-group %s --set spec.minSize=… --set spec.maxSize=… changes that"):format(group.name)
      )
    end
    local count = flags.node_count // #nodes + (i <= flags.node_count % #nodes and 1 or 0)
    change(ctx, group, { set = { "spec.minSize=" .. count, "spec.maxSize=" .. count } })
  end
  if flags.control_plane_count and flags.control_plane_count ~= #masters then
    refuse(("the control plane has %d instances; its number can't be changed at once"):format(#masters), "each needs an instance group and a member in every etcd cluster")
  elseif flags.cloud and flags.cloud ~= spec_of(file).cloudProvider then
    refuse("a cluster can't move to another cloud")
  elseif flags.topology or #flags.control_plane_zones > 0 then
    refuse("--topology and --control-plane-zones are for new clusters", "change an existing one with --set")
  end
end

-- The groups that --instance-group names; one that isn't there is made when its role is given.
local function named_groups(ctx, cluster)
  local found = {}
  for _, name in ipairs(list(ctx.flags.instance_group)) do
    local file = find(cluster, "InstanceGroup", name)
    if file == nil and ctx.flags.role then
      local subnets = list(ctx.flags.subnet)
      for _, subnet in ipairs(#subnets == 0 and table_of(spec_of(find(cluster, "Cluster")).subnets) or {}) do
        subnets[#subnets + 1] = subnet.type ~= "Utility" and subnet.name or nil
      end
      file = add_group(cluster, name, { role = ctx.flags.role, subnets = kstate.array(subnets) })
    elseif file == nil then
      local names = {}
      for _, group in ipairs(groups(cluster, function() return true end)) do
        names[#names + 1] = group.name
      end
      refuse(("%s has no instance group %s"):format(cluster.name, name), ("it has %s; --role makes a new one"):format(table.concat(names, ", ")))
    end
    found[#found + 1] = file
  end
  return found
end

-- What a file says, document by document.
local function merge_file(ctx, cluster, path)
  local folder = kstate.path.dir(path)
  local text = store.open(folder == "" and "." or folder):read(kstate.path.base(path))
  if text == nil then
    refuse("there is no file " .. path)
  end
  local done = {}
  local ok, documents = pcall(yaml.decode_all, text)
  if not ok then
    refuse(path .. ": " .. documents.message)
  end
  for _, document in ipairs(documents) do
    local is_part = type(document) == "table"
    if not is_part and document ~= kstate.null then
      refuse(path .. " has something that is no manifest: " .. tostring(document):sub(1, 40))
    end
    local kind = is_part and (document.kind or "Cluster")
    local name = is_part and table_of(document.metadata).name or nil
    if kind == "Cluster" and name ~= nil and name ~= cluster.name then
      refuse(("%s is about the cluster %s, not %s"):format(path, name, cluster.name))
    elseif kind == "InstanceGroup" and name == nil then
      refuse(path .. ": an InstanceGroup without metadata.name")
    elseif is_part and kind ~= "Cluster" and kind ~= "InstanceGroup" then
      refuse(("%s: a %s is nothing that this can configure"):format(path, kind))
    elseif is_part and not done[kind .. " " .. (name or "")] then
      done[kind .. " " .. (name or "")] = true
      local file = find(cluster, kind, name)
      if file == nil and kind == "InstanceGroup" then
        file = add_group(cluster, name, nil)
      elseif file == nil then
        file = add_file(cluster, kind, name, new.manifest(kind, name, nil, nil))
      end
      note(file, made(config.merge, file.text, text, { kind = kind, name = name, file = path, force_unknown = ctx.flags.force_unknown }))
    end
  end
  if next(done) == nil then
    refuse("there is no manifest in " .. path)
  end
end

local function change_all(ctx, cluster)
  local flags = ctx.flags
  if #flags.instance_group == 0 and (flags.role or flags.subnet and #flags.subnet > 0) then
    refuse("--role and --subnet are about an instance group that is made", "name it with --instance-group")
  end
  if cluster.is_new and (#flags.file == 0 or #flags.zones > 0) then
    create(ctx, cluster)
  end
  for _, path in ipairs(flags.file) do
    merge_file(ctx, cluster, path)
  end
  if find(cluster, "Cluster") == nil then
    not_there(cluster)
  end
  if #flags.zones > 0 and not cluster.is_new then
    add_zones(ctx, cluster)
  end
  apply_shortcuts(ctx, cluster)
  local targets = #flags.instance_group > 0 and named_groups(ctx, cluster) or { find(cluster, "Cluster") }
  for _, file in ipairs(targets) do
    change(ctx, file, { unset = flags.unset, set = flags.set, set_string = flags.set_string })
  end
end

-- 3 to 5 --------------------------------------------------------------------------------------

local function check(ctx, cluster)
  local before, after = {}, {}
  for i, file in ipairs(cluster.files) do
    before[#before + 1] = file.entry.tag and file.entry or nil
    after[i] = { label = file.entry.label, text = file.text }
  end
  local wrong, old = 0, 0
  for _, finding in ipairs(config.check(after, { before = before, force_unknown = ctx.flags.force_unknown })) do
    if finding.stops then
      wrong = wrong + 1
      log.error(finding.text)
    elseif finding.known then
      old = old + 1
    else
      log.warn(finding.text)
    end
  end
  if wrong > 0 then
    refuse(("%s would be wrong in %d place%s; nothing was written"):format(cluster.name, wrong, wrong == 1 and "" or "s"))
  elseif old > 0 then
    log.info(("%d finding%s in the files of %s from before"):format(old, old == 1 and "" or "s", cluster.name))
  end
end

-- Whether the cluster's files are wrong together with what somebody else wrote meanwhile.
local function is_wrong_together(ctx, cluster)
  local intended, now = {}, {}
  for i, file in ipairs(cluster.files) do
    intended[i] = { label = file.entry.label, text = file.text }
  end
  for i, file in ipairs(read(ctx).files) do
    now[i] = { label = file.entry.label, text = file.text }
  end
  local wrong = false
  for _, finding in ipairs(config.check(now, { before = intended, force_unknown = ctx.flags.force_unknown })) do
    if finding.stops then
      wrong = true
      log.error(finding.text)
    end
  end
  return wrong
end

local function changed_files(cluster)
  local changed = {}
  for _, file in ipairs(cluster.files) do
    if file.entry.tag == nil or file.text ~= file.entry.text then
      changed[#changed + 1] = file
    end
  end
  return changed
end

local function show_conflict(err)
  local function side(value)
    return value == nil and "nothing" or kstate.json.encode(value)
  end
  for _, conflict in ipairs(err.conflicts) do
    log.error(("%s was %s; you want %s, and the store has %s now"):format(conflict.path, side(conflict.base), side(conflict.ours), side(conflict.theirs)))
  end
  if #err.conflicts == 0 then
    log.error("both sides:\n" .. err.marked)
  end
end

local function write(ctx, cluster, files)
  local written = kstate.array({})
  for _, file in ipairs(files) do
    local ok, saved, err = pcall(config.save, cluster.store, file.entry, file.text, { force_unknown = ctx.flags.force_unknown })
    if not ok and not (type(saved) == "table" and saved.kind == "invalid") then
      error(saved, 0)
    elseif not ok then
      -- It was checked before: together with what somebody else wrote meanwhile it is wrong.
      return written, saved
    elseif saved == nil then
      show_conflict(err)
      return written, err
    end
    written[#written + 1] = { key = file.entry.key, paths = file.paths, merged = saved.merged }
    local how = not saved.written and "is so already" or ctx.dry_run and "would be written" or "written"
    log.info(("%s %s%s"):format(file.entry.label, how, saved.merged and ", with what somebody else changed meanwhile" or ""))
  end
  return written
end

local function main(ctx)
  local cluster = read(ctx)
  change_all(ctx, cluster)
  check(ctx, cluster)
  local files = changed_files(cluster)
  if #files == 0 then
    print(ctx.flags.json and kstate.json.encode({ cluster = cluster.name, written = kstate.array({}) }) or "Nothing to do: " .. cluster.name .. " is so already.")
    return 0
  end
  for _, file in ipairs(ctx.flags.json and {} or files) do
    kstate.cli.out(config.diff(file.entry.label, file.entry.tag and file.entry.text or nil, file.text))
  end
  local question = ("%s %s in %s?"):format(cluster.is_new and "Create" or "Change", cluster.name, cluster.store:url())
  if not (ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })) then
    return 3
  end
  local written, err = write(ctx, cluster, files)
  local wrong = err == nil and not ctx.dry_run and is_wrong_together(ctx, cluster)
  if ctx.flags.json then
    print(kstate.json.encode({ cluster = cluster.name, written = written }))
  elseif err == nil and not ctx.dry_run and not wrong then
    print("\nWhat comes next:\n  kops update cluster " .. cluster.name .. " --yes")
  end
  if err then
    log.error(tostring(err))
    if #written > 0 then
      log.error(("%d of %d files were written; run it again when the rest is settled"):format(#written, #files))
      return 5
    end
    return 4
  elseif wrong then
    log.error(("somebody else changed %s meanwhile, and together it is wrong: mend it before kOps sees it"):format(cluster.name))
    return 4
  end
  return 0
end

return {
  summary = "Create a cluster's configuration, or change just what is given of an existing one",
  args = { { name = "cluster", type = "string", required = true, doc = "the cluster's name" } },
  flags = {
    { name = "set", type = "list", value = "PATH=VALUE", doc = "replace a field; += adds to a list or map, -= takes away; may be given again" },
    { name = "set_string", type = "list", value = "PATH=VALUE", doc = "replace a field by a string, whatever it holds" },
    { name = "unset", type = "list", value = "PATH", doc = "remove a field" },
    { name = "file", type = "list", short = "f", value = "FILE", doc = "merge the manifests, or parts of them, in a file" },
    { name = "instance_group", type = "list", value = "NAME", doc = "what --set, --set-string and --unset are about, instead of the cluster" },
    { name = "role", type = "string", choices = { "Node", "Master", "Bastion", "APIServer" }, doc = "make the instance group if it isn't there" },
    { name = "subnet", type = "list", value = "NAME", doc = "a subnet of an instance group that is made" },
    { name = "zones", type = "list", value = "ZONE,…", doc = "the zones of a new cluster; for an existing one those without a subnet are added" },
    { name = "kubernetes_version", type = "string", value = "VERSION", doc = "the version of Kubernetes" },
    { name = "networking", type = "string", choices = { "amazonvpc", "calico", "canal", "cilium", "cilium-eni", "cilium-etcd", "cni", "external", "flannel", "gce", "kindnet", "kube-router", "kubenet" }, doc = "the network plugin (new: cilium)" },
    { name = "node_size", type = "string", value = "TYPE", doc = "the machine type of the nodes" },
    { name = "node_count", type = "integer", value = "N", doc = "how many nodes, over all their groups" },
    { name = "node_image", type = "string", value = "IMAGE", doc = "the image of the nodes" },
    { name = "control_plane_size", type = "string", value = "TYPE", doc = "the machine type of the control plane" },
    { name = "control_plane_image", type = "string", value = "IMAGE", doc = "the image of the control plane" },
    { name = "image", type = "string", value = "IMAGE", doc = "the image of both" },
    { name = "ssh_access", type = "list", value = "CIDR,…", doc = "who may log in" },
    { name = "admin_access", type = "list", value = "CIDR,…", doc = "who may reach the API (new: and log in)" },
    { name = "cloud_labels", type = "list", value = "KEY=VALUE,…", doc = "labels to add to everything in the cloud" },
    { name = "channel", type = "string", doc = "the channel (new: stable)" },
    { name = "dns", type = "string", choices = { "public", "private", "none" }, doc = "the DNS zone (new: none)" },
    { name = "network_cidr", type = "string", value = "CIDR", doc = "the network's range (new: 172.20.0.0/16)" },
    { name = "network_id", type = "string", value = "ID", doc = "an existing network to use" },
    { name = "project", type = "string", doc = "the project in Google's cloud" },
    { name = "cloud", type = "string", choices = { "aws", "gce" }, doc = "new: the cloud, if the zones don't tell" },
    { name = "topology", type = "string", choices = { "public", "private" }, doc = "new: whether the subnets are public (default: public)" },
    { name = "control_plane_zones", type = "list", value = "ZONE,…", doc = "new: the zones of the control plane" },
    { name = "control_plane_count", type = "integer", value = "N", doc = "new: how many instances the control plane has" },
    { name = "force_unknown", type = "boolean", doc = "write fields too that kOps doesn't have" },
    { name = "state", type = "string", value = "STORE", doc = "the store (default: the state store)" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON instead of the difference" },
  },
  main = main,
}
