-- Creates a cluster's entry in the state store, or changes just what was given of an existing one.
--
--   1 read      the cluster's manifest and its instance groups; a new one begins with kOps's defaults
--   2 change    files (-f), then the shortcuts, then --unset, --set and --set-string
--   3 check     as kOps would; nothing is written when something is wrong that was not so before
--   4 ask       with the difference shown
--   5 write     each file by compare-and-swap, merged with what others wrote meanwhile
-- It takes no lock: runs that change other fields don't stand in each other's way. What was only
-- worked out here, such as a free range of addresses, is worked out anew when somebody else took it;
-- what was typed and contradicts somebody else's change ends the run with both sides shown.

local kstate = kstate
local config, log, yaml = kstate.config, kstate.log, kstate.yaml
local args, Cluster, new = require("lib.args"), require("lib.cluster"), require("lib.new_cluster")
local add_zones, addons = require("lib.zones"), require("lib.addons")
local list, refuse, table_of = args.list, args.refuse, args.table_of

-- How often all is done anew when somebody else was faster.
local ATTEMPTS = 100

local function is_node(role)
  return role == "Node"
end

local function is_control_plane(role)
  return role:find("Master", 1, true) ~= nil or role:find("ControlPlane", 1, true) ~= nil
end

local function read(ctx)
  return Cluster.read(kstate.store.open(ctx.flags.state or "state"), args.cluster(ctx.args.cluster), ctx.flags.force_unknown)
end

-- 2 change ------------------------------------------------------------------------------------

local function not_there(cluster)
  local others = config.clusters(cluster.store)
  local there = #others == 0 and "it has none" or "it has " .. table.concat(others, ", ", 1, math.min(#others, 10))
  refuse(("there is no cluster %s in %s, and a new one needs --zones, or its manifest with -f"):format(cluster.name, cluster.store:url()), there)
end

-- The defaults of a new cluster, below what the files say.
local function create(ctx, cluster)
  -- What is left of a cluster that lost its config: a new one would find its keys and etcd backups.
  for entry in cluster.store:list(cluster.name) do
    local name = entry.prefix or entry.key
    if name ~= cluster.name .. "/instancegroup/" and name ~= cluster.name .. "/clusteraddons/" then
      refuse(("%s has no config, but %s is there"):format(cluster.name, name), "bring its config back (kstate undo, a backup), or delete what is left of it")
    end
  end
  local manifest = cluster:find("Cluster")
  local given = manifest and cluster:spec(manifest) or {}
  for _, default in ipairs(new.files(cluster.name, cluster.store:url(), ctx.flags, given)) do
    local file = cluster:find(default.kind, default.name)
    if file == nil then
      cluster:add(default.kind, default.name, default.text)
    elseif file.entry.tag == nil then
      local over = { kind = file.kind, force_unknown = cluster.force_unknown }
      file.text = config.merge(default.text, file.text, over)
    end
  end
end

local function set_networking(cluster, file, name)
  local wanted, now = new.NETWORKING[name], table_of(cluster:spec(file).networking)
  local plugin = next(wanted)
  if name == "cilium-etcd" and table_of(now.cilium).etcdManaged ~= true then
    refuse(
      "--networking cilium-etcd is for new clusters: it needs an etcd cluster more",
      "an existing one gets it field by field: --set 'spec.etcdClusters+=[{name: cilium, etcdMembers: [as of main]}]', then --set spec.networking.cilium.etcdManaged=true"
    )
  elseif name == "cilium-eni" and now.cilium and table_of(now.cilium).ipam ~= "eni" then
    refuse("the cluster has cilium already, and how it runs can't be changed by a shortcut", "change it field by field: --set spec.networking.cilium.ipam=eni")
  elseif now[plugin] ~= nil then
    return
  end
  log.warn("kOps can't exchange the network plugin of a running cluster without an outage")
  local sets, unset = { "spec.networking=" .. kstate.json.encode(wanted) }, {}
  if new.has_own_proxy(wanted) then
    sets[2] = "spec.kubeProxy.enabled=false"
  elseif new.has_own_proxy(now) then
    unset[1] = "spec.kubeProxy.enabled"
  end
  cluster:change(file, { set = sets, unset = unset })
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

local function set_machine_type(cluster, group, machine_type)
  local mixed = table_of(cluster:spec(group).mixedInstancesPolicy)
  if #table_of(mixed.instances) > 0 or mixed.instanceRequirements then
    refuse(
      ("%s mixes its machines (spec.mixedInstancesPolicy), and a machine type alone changes none of them"):format(group.name),
      ("say which it mixes: --instance-group %s --set 'spec.mixedInstancesPolicy.instances=%s,…'"):format(group.name, machine_type)
    )
  end
  cluster:change(group, { set = { "spec.machineType=" .. machine_type } })
end

-- What the whole number of nodes is in each of their groups.
local function set_node_count(cluster, nodes, count)
  for i, group in ipairs(nodes) do
    local spec = cluster:spec(group)
    if spec.minSize ~= spec.maxSize then
      refuse(
        ("%s grows and shrinks by itself, from %s to %s"):format(group.name, tostring(spec.minSize), tostring(spec.maxSize)),
        ("--instance-group %s --set spec.minSize=… --set spec.maxSize=… changes that"):format(group.name)
      )
    end
    local part = count // #nodes + (i <= count % #nodes and 1 or 0)
    cluster:change(group, { set = { "spec.minSize=" .. part, "spec.maxSize=" .. part } })
  end
end

local function change_groups(flags, cluster)
  local nodes = cluster:groups(function(role, spec)
    return is_node(role) and spec.manager ~= "Karpenter"
  end)
  local masters = cluster:groups(is_control_plane)
  if (flags.node_count or 0) < 0 then
    refuse(("%d is no number of nodes"):format(flags.node_count))
  elseif #nodes == 0 and (flags.node_size or flags.node_count or flags.node_image) then
    refuse(cluster.name .. " has no instance group of nodes", "--instance-group NAME --role Node makes one")
  end
  for _, of in ipairs({
    { groups = nodes, size = flags.node_size, image = flags.node_image or flags.image },
    { groups = masters, size = flags.control_plane_size, image = flags.control_plane_image or flags.image },
  }) do
    for _, group in ipairs(of.groups) do
      if of.size then
        set_machine_type(cluster, group, of.size)
      end
      cluster:change(group, { set = of.image and { "spec.image=" .. of.image } or {} })
    end
  end
  if cluster.is_new then
    return
  elseif flags.node_count then
    set_node_count(cluster, nodes, flags.node_count)
  end
  if flags.control_plane_count and flags.control_plane_count ~= #masters then
    refuse(("the control plane has %d instances; its number can't be changed at once"):format(#masters), "each needs an instance group and a member in every etcd cluster")
  end
end

local function apply_shortcuts(ctx, cluster)
  local flags, file = ctx.flags, cluster:find("Cluster")
  if flags.cloud and not cluster.is_new and flags.cloud ~= cluster:spec(file).cloudProvider then
    refuse("a cluster can't move to another cloud")
  elseif not cluster.is_new and (flags.topology or #flags.control_plane_zones > 0) then
    refuse("--topology and --control-plane-zones are for new clusters", "change an existing one with --set")
  end
  local sets = {}
  for _, shortcut in ipairs(SHORTCUTS) do
    local value = flags[shortcut[1]]
    value = type(value) == "table" and (#value > 0 and table.concat(list(value), ",") or nil) or value
    if type(value) == "string" then
      sets[#sets + 1] = shortcut[2] .. (shortcut[1] == "dns" and DNS[value] or value)
    end
  end
  cluster:change(file, { set = sets })
  if flags.networking and not cluster.is_new then
    set_networking(cluster, file, flags.networking)
  end
  change_groups(flags, cluster)
end

-- An instance group that is there must be what was said about it, for it isn't made.
local function check_group(ctx, cluster, file)
  local spec, role, subnets = cluster:spec(file), ctx.flags.role, list(ctx.flags.subnet)
  local has_role = role == nil or spec.role == role or role == "Master" and is_control_plane(tostring(spec.role))
  if not has_role then
    refuse(("%s is there, with the role %s"):format(file.name, tostring(spec.role)), "take another name; a group can't change what its machines are")
  elseif #subnets > 0 and table.concat(subnets, ",") ~= table.concat(table_of(spec.subnets), ",") then
    refuse(("%s is there, in other subnets"):format(file.name), ("change them with --set spec.subnets=%s"):format(table.concat(subnets, ",")))
  end
end

-- The groups that --instance-group names; one that isn't there is made when its role is given.
local function named_groups(ctx, cluster)
  local found = {}
  for _, name in ipairs(list(ctx.flags.instance_group)) do
    local file = cluster:find("InstanceGroup", name)
    if file then
      check_group(ctx, cluster, file)
    elseif ctx.flags.role then
      local subnets = list(ctx.flags.subnet)
      for _, subnet in ipairs(#subnets == 0 and table_of(cluster:spec(cluster:find("Cluster")).subnets) or {}) do
        subnets[#subnets + 1] = subnet.type ~= "Utility" and subnet.name or nil
      end
      file = cluster:add("InstanceGroup", name, new.group_manifest(cluster.name, name, { role = ctx.flags.role, subnets = kstate.array(subnets) }))
    else
      local names = {}
      for _, group in ipairs(cluster:groups(function() return true end)) do
        names[#names + 1] = group.name
      end
      refuse(("%s has no instance group %s"):format(cluster.name, name), ("it has %s; --role makes a new one"):format(table.concat(names, ", ")))
    end
    found[#found + 1] = file
  end
  return found
end

local MEANT = { cluster = "Cluster", instancegroup = "InstanceGroup" }

-- What the documents of a file are about: a list of `kind` and `name`, each once.
local function objects_in(cluster, path, text)
  local ok, documents = pcall(yaml.decode_all, text)
  if not ok then
    refuse(path .. ": " .. documents.message)
  end
  local found, seen = {}, {}
  for _, document in ipairs(documents) do
    if type(document) == "table" then
      local kind, name = document.kind or "Cluster", table_of(document.metadata).name
      local id = tostring(kind) .. " " .. tostring(name)
      if kind == "Cluster" and name ~= nil and name ~= cluster.name then
        refuse(("%s is about the cluster %s, not %s"):format(path, name, cluster.name))
      elseif kind == "InstanceGroup" and name == nil then
        refuse(path .. ": an InstanceGroup without metadata.name")
      elseif kind == "SSHCredential" then
        refuse(path .. " has an SSHCredential, which is kept elsewhere", "take it out; 'kops create sshpublickey' keeps the key")
      elseif kind ~= "Cluster" and kind ~= "InstanceGroup" then
        local meant = MEANT[tostring(kind):lower()]
        refuse(("%s has a %s, which is no part of a cluster's manifests"):format(path, tostring(kind)), meant and "write kind: " .. meant or "objects of Kubernetes are add-ons: --addons " .. path)
      end
      found[#found + 1] = not seen[id] and { kind = kind, name = name } or nil
      seen[id] = true
    elseif document ~= kstate.null then
      refuse(path .. " has something that is no manifest: " .. tostring(document):sub(1, 40))
    end
  end
  if #found == 0 then
    refuse("there is no manifest in " .. path)
  end
  return found
end

local function merge_file(cluster, path)
  local text = args.read_file(path)
  for _, object in ipairs(objects_in(cluster, path, text)) do
    local kind, name = object.kind, object.name or cluster.name
    local file = cluster:find(kind, object.name)
    if file == nil and kind == "InstanceGroup" then
      file = cluster:add(kind, name, new.group_manifest(cluster.name, name, nil))
    elseif file == nil then
      file = cluster:add(kind, name, new.manifest(kind, name, nil, nil))
    end
    local how = { kind = kind, name = object.name, file = path, force_unknown = cluster.force_unknown }
    cluster:put(file, args.asked(config.merge, file.text, text, how))
  end
end

local function change_all(ctx, cluster)
  local flags = ctx.flags
  if #flags.instance_group == 0 and (flags.role or #flags.subnet > 0) then
    refuse("--role and --subnet are about an instance group that is made", "name it with --instance-group")
  end
  for _, path in ipairs(flags.file) do
    merge_file(cluster, path)
  end
  if cluster.is_new and #flags.zones > 0 then
    create(ctx, cluster)
  end
  local file = cluster:find("Cluster")
  if file == nil then
    not_there(cluster)
  end
  cluster.new_zones = cluster.is_new and {} or add_zones(cluster, list(flags.zones))
  apply_shortcuts(ctx, cluster)
  local targets = #flags.instance_group > 0 and named_groups(ctx, cluster) or { file }
  for _, target in ipairs(targets) do
    for _, missed in ipairs(cluster:change(target, { unset = flags.unset, set = flags.set, set_string = flags.set_string })) do
      log.info(("%s: %s; nothing to take away"):format(target.name, missed))
    end
  end
  if cluster.is_new and cluster:spec(file).kubernetesVersion == nil then
    refuse("a new cluster needs a version of Kubernetes", "say it with --kubernetes-version; kOps would ask the channel")
  end
  if #flags.addons > 0 then
    cluster:put(cluster:add("Addons", "default", ""), addons.text(flags.addons), {})
  end
end

-- 3 to 5 --------------------------------------------------------------------------------------

-- Tells what would be wrong with the new texts and wasn't before; gives how much it is.
local function count_faults(cluster, new_entries, before)
  local wrong, old = 0, 0
  for _, finding in ipairs(config.check(new_entries, { before = before, force_unknown = cluster.force_unknown, store = cluster.store })) do
    if finding.stops then
      wrong = wrong + 1
      log.error(finding.text)
    elseif finding.known then
      old = old + 1
    else
      log.warn(finding.text)
    end
  end
  return wrong, old
end

local function check(cluster)
  local wrong, old = count_faults(cluster, cluster:entries())
  if wrong > 0 then
    refuse(("%s would be wrong in %d place%s, and is not written"):format(cluster.name, wrong, wrong == 1 and "" or "s"))
  elseif old > 0 then
    log.info(("%d finding%s in the files of %s from before"):format(old, old == 1 and "" or "s", cluster.name))
  end
end

-- Whether the cluster's files are wrong together with what somebody else wrote meanwhile.
local function is_wrong_together(ctx, cluster)
  return count_faults(cluster, read(ctx):entries(), cluster:entries()) > 0
end

local function is_agreed(ctx, cluster, files)
  for _, file in ipairs(ctx.flags.json and {} or files) do
    kstate.cli.out(config.diff(file.entry.label, file.entry.tag and file.entry.text or nil, file.text))
  end
  local question = ("%s %s in %s?"):format(cluster.is_new and "Create" or "Change", cluster.name, cluster.store:url())
  return ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question })
end

-- Whether nothing that was typed stands against somebody else's change.
local function may_go_anew(file, err)
  if err.deleted then
    return false
  elseif err.kind == "invalid" or file.entry.tag == nil then
    return true
  end
  for _, conflict in ipairs(err.conflicts) do
    if not file.derived[conflict.path:match("^spec%.subnets%.[%w-]+")] then
      return false
    end
  end
  return true
end

-- Writes the files. When one can't be written, gives why, and whether doing all of it anew helps.
local function write(ctx, cluster, files, written)
  for _, file in ipairs(files) do
    local ok, saved, err = pcall(config.save, cluster.store, file.entry, file.text, { force_unknown = cluster.force_unknown })
    if not ok then
      -- It was checked before: what is invalid is so together with somebody else's change.
      if saved.kind ~= "invalid" then
        error(saved, 0)
      end
      saved, err = nil, saved
    end
    if saved == nil then
      return err, may_go_anew(file, err)
    end
    written[#written + 1] = { key = file.entry.key, paths = file.paths, merged = saved.merged }
    local how = not saved.written and "is so already" or ctx.dry_run and "would be written" or "written"
    log.info(("%s %s%s"):format(file.entry.label, how, saved.merged and ", with what somebody else changed meanwhile" or ""))
  end
end

local function show_conflict(err)
  local function side(value)
    return value == nil and "nothing" or kstate.json.encode(value)
  end
  for _, conflict in ipairs(err.conflicts or {}) do
    log.error(("%s was %s; you want %s, and the store has %s now"):format(conflict.path, side(conflict.base), side(conflict.ours), side(conflict.theirs)))
  end
  if err.marked and #err.conflicts == 0 then
    log.error("both sides:\n" .. err.marked)
  end
  log.error(tostring(err) .. (err.hint and "; " .. err.hint or ""))
end

local function show_result(ctx, cluster, written)
  if ctx.flags.json then
    print(kstate.json.encode({ cluster = cluster.name, written = written }))
  elseif #written == 0 then
    print("Nothing to do: " .. cluster.name .. " is so already.")
  elseif not ctx.dry_run then
    print("\nWhat comes next:")
    for _, zone in ipairs(cluster.new_zones) do
      print(("  kstate run configure_cluster %s --instance-group nodes-%s --role Node --subnet %s   # machines in the new zone"):format(cluster.name, zone, zone))
    end
    print("  kops update cluster " .. cluster.name .. " --yes")
  end
end

-- All steps once. Gives the exit code, or nothing when somebody else was faster.
local function round(ctx, written, is_last)
  local cluster = read(ctx)
  change_all(ctx, cluster)
  check(cluster)
  local files = cluster:changed()
  if #files > 0 and not is_agreed(ctx, cluster, files) then
    return 3
  end
  local err, helps = write(ctx, cluster, files, written)
  if err and helps and not is_last then
    log.info("somebody else was faster; all of it is done anew")
    return nil
  elseif err then
    show_conflict(err)
    if #written > 0 then
      log.error(("files written before that: %d; run it again when the rest is settled"):format(#written))
      return 5
    end
    return 4
  elseif #files > 0 and not ctx.dry_run and is_wrong_together(ctx, cluster) then
    log.error(("somebody else changed %s meanwhile, and together it is wrong: mend it before kOps sees it"):format(cluster.name))
    return 4
  end
  show_result(ctx, cluster, written)
  return 0
end

local function main(ctx)
  args.refuse_empty(ctx.flags)
  local written = kstate.array({})
  for attempt = 1, ATTEMPTS do
    local code = round(ctx, written, attempt == ATTEMPTS)
    if code then
      return code
    end
    kstate.task.sleep(math.random() * math.min(attempt, 10) / 50)
  end
end

return {
  summary = "Create a cluster's configuration, or change just what is given of an existing one",
  args = { { name = "cluster", type = "string", required = true, doc = "the cluster's name" } },
  flags = {
    { name = "set", type = "list", value = "PATH=VALUE", doc = "replace a field; += adds to a list or map, -= takes away; may be given again" },
    { name = "set_string", type = "list", value = "PATH=VALUE", doc = "replace a field by a string, whatever it holds" },
    { name = "unset", type = "list", value = "PATH", doc = "remove a field" },
    { name = "file", type = "list", short = "f", value = "FILE", doc = "merge the manifests, or parts of them, in a file; - reads standard input" },
    { name = "addons", type = "list", value = "FILE", doc = "the add-ons: objects of Kubernetes that replace those that are there" },
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
    { name = "cloud", type = "string", doc = "new: aws or gce, if the zones don't tell" },
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
