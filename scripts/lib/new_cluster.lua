-- The manifests of a new cluster, with the defaults of `kops create cluster` (cloudup.NewCluster in
-- kOps 1.37), as far as they can be known without the cloud and the channel.

local kstate = kstate
local config, log, yaml = kstate.config, kstate.log, kstate.yaml
local args, ranges = require(".args"), require(".ranges")
local list, refuse, table_of = args.list, args.refuse, args.table_of

local NETWORKING = {
  calico = { calico = {} },
  canal = { canal = {} },
  cilium = { cilium = { enableNodePort = true } },
  ["cilium-eni"] = { cilium = { enableNodePort = true, ipam = "eni" } },
  ["cilium-etcd"] = { cilium = { enableNodePort = true, etcdManaged = true } },
  cni = { cni = {} },
  external = { external = {} },
  flannel = { flannel = { backend = "vxlan" } },
  gce = { gce = {} },
  kindnet = { kindnet = {} },
  ["kube-router"] = { kuberouter = {} },
  kubenet = { kubenet = {} },
  amazonvpc = { amazonvpc = {} },
}

-- Whether the network plugin does what kube-proxy does elsewhere.
local function has_own_proxy(networking)
  return (networking.cilium or networking.kuberouter) ~= nil
end

-- The letter behind a region of Google's makes the zone.
local function region_of(zone)
  return zone:match("^(.*)%-%l$") or zone
end

local function cloud_of(wanted, zones)
  if wanted == "aws" or wanted == "gce" then
    return wanted
  elseif wanted then
    refuse(
      ("what a new cluster gets on %s is known to kops alone"):format(wanted),
      "write its manifests with 'kops create cluster --cloud " .. wanted .. " … --dry-run -o yaml', and give them with -f and without --zones"
    )
  elseif zones[1]:match("^%l%l%-[%l-]+%-%d+%l$") then
    return "aws"
  elseif zones[1]:match("^%l+%-%l+%d+%-%l$") then
    return "gce"
  end
  refuse(("which cloud has the zone %s?"):format(zones[1]), "say it with --cloud: aws or gce; for others give the manifests with -f")
end

-- `eu-west-1` of `eu-west-1a`, `us-west-2` of the local zone `us-west-2-lax-1a`.
local function aws_region_of(zone)
  return zone:match("^(%a+%-.-%d+)") or zone
end

local function new_subnets(flags, cloud, zones, network_cidr)
  local subnets = kstate.array({})
  if cloud == "gce" then
    local region = region_of(zones[1])
    for _, zone in ipairs(zones) do
      if region_of(zone) ~= region then
        refuse(("%s and %s lie in two regions"):format(zones[1], zone), "a cluster has one region in Google's cloud")
      end
    end
    -- What kOps takes in a project without other networks.
    subnets[1] = { cidr = "10.0.16.0/20", name = region, region = region, type = flags.topology == "private" and "Private" or "Public" }
    return subnets
  end
  for _, zone in ipairs(zones) do
    if aws_region_of(zone) ~= aws_region_of(zones[1]) then
      refuse(("%s and %s lie in two regions"):format(zones[1], zone), "a cluster has one region")
    end
  end
  local private = flags.topology == "private"
  local big, utility = ranges.split(ranges.parse(network_cidr), #zones, private)
  for i, zone in ipairs(zones) do
    subnets[i] = { cidr = big[i], name = zone, type = private and "Private" or "Public", zone = zone }
  end
  for i, range in ipairs(utility) do
    subnets[#zones + i] = { cidr = range, name = "utility-" .. zones[i], type = "Utility", zone = zones[i] }
  end
  return subnets
end

-- The zones of each instance of the control plane, by turns, and the names of its groups.
local function control_plane(flags, zones)
  local own = list(flags.control_plane_zones)
  local count = flags.control_plane_count or (#own > 0 and #own or 1)
  local from = #own > 0 and own or zones
  local members = {}
  for i = 1, count do
    local zone = from[(i - 1) % #from + 1]
    local suffix = count > #from and "-" .. 1 + (i - 1) // #from or ""
    members[i] = { zone = zone, group = "control-plane-" .. zone .. suffix, name = zone .. suffix }
  end
  if count > #from then
    log.warn("several instances of the control plane share a zone")
  end
  -- The names of etcd's members have no start in common, and no digit at theirs.
  while #members > 0 and #members[1].name > 1 do
    local first = members[1].name:sub(1, 1)
    for _, member in ipairs(members) do
      if member.name:sub(1, 1) ~= first then
        first = nil
        break
      end
    end
    if first == nil then
      break
    end
    for _, member in ipairs(members) do
      member.name = member.name:sub(2)
    end
  end
  for _, member in ipairs(members) do
    member.name = member.name:match("^%d") and "etcd-" .. member.name or member.name
  end
  return members
end

local function etcd_cluster(name, members, encrypted)
  local etcd_members = kstate.array({})
  for i, member in ipairs(members) do
    etcd_members[i] = { encryptedVolume = encrypted or nil, instanceGroup = member.group, name = member.name }
  end
  return {
    cpuRequest = name == "main" and "200m" or "100m",
    etcdMembers = etcd_members,
    manager = { backupRetentionDays = 90 },
    memoryRequest = "100Mi",
    name = name,
  }
end

-- The text of a manifest, with the keys in kOps's order and no quotes where none are needed.
local function manifest(kind, name, labels, spec)
  local metadata = { creationTimestamp = kstate.time.format(), labels = labels, name = name }
  local head = ("apiVersion: kops.k8s.io/v1alpha2\nkind: %s\n"):format(kind)
  return (config.merge(head, yaml.encode({ kind = kind, metadata = metadata, spec = spec }), { kind = kind }))
end

local function group_manifest(cluster, name, spec)
  return manifest("InstanceGroup", name, { ["kops.k8s.io/cluster"] = cluster }, spec)
end

-- All zones once, in order.
local function all_zones(zones, more)
  local all, seen = {}, {}
  for _, some in ipairs({ zones, more }) do
    for _, zone in ipairs(some) do
      all[#all + 1] = not seen[zone] and zone or nil
      seen[zone] = true
    end
  end
  table.sort(all)
  return all
end

local function cluster_manifest(name, store_url, flags, given, cloud, members)
  local is_aws = cloud == "aws"
  local network_cidr = flags.network_cidr or given.networkCIDR or "172.20.0.0/16"
  local own = next(table_of(given.networking)) ~= nil and given.networking
  local networking = NETWORKING[flags.networking] or own or NETWORKING.cilium
  local etcd = kstate.array({ etcd_cluster("main", members, is_aws), etcd_cluster("events", members, is_aws) })
  if table_of(networking.cilium).etcdManaged == true then
    etcd[3] = etcd_cluster("cilium", members, is_aws)
  end
  local has_dns = flags.topology ~= "private" and (flags.dns == "public" or flags.dns == "private")
  local admins = #flags.admin_access > 0 and list(flags.admin_access) or { "0.0.0.0/0", "::/0" }
  return manifest("Cluster", name, nil, {
    -- kOps makes a load balancer where there is no DNS name for the instances, or no way to them.
    api = not given.api and (has_dns and { dns = {} } or { loadBalancer = { class = is_aws and "Network" or nil, type = "Public" } }) or nil,
    authorization = { rbac = {} },
    channel = "stable",
    cloudConfig = cloud == "gce" and {} or nil,
    cloudProvider = cloud,
    configBase = store_url:gsub("/$", "") .. "/" .. name,
    etcdClusters = etcd,
    iam = { allowContainerRegistry = true, legacy = false },
    kubeProxy = has_own_proxy(networking) and { enabled = false } or nil,
    kubelet = { anonymousAuth = false },
    kubernetesApiAccess = kstate.array(admins),
    kubernetesVersion = flags.kubernetes_version,
    networkCIDR = is_aws and network_cidr or nil,
    networking = networking ~= own and networking or nil,
    nonMasqueradeCIDR = "100.64.0.0/10",
    sshAccess = kstate.array(admins),
    subnets = new_subnets(flags, cloud, all_zones(list(flags.zones), list(flags.control_plane_zones)), network_cidr),
    topology = { dns = { type = "None" } },
  })
end

-- The files of a new cluster, of which the `spec` in `given` is known already.
local function files(name, store_url, flags, given)
  local zones, result = list(flags.zones), {}
  local cloud, members = cloud_of(flags.cloud or given.cloudProvider, zones), control_plane(flags, zones)
  local function add_group(group, role, zone, count)
    local spec = {
      maxSize = count,
      minSize = count,
      role = role,
      subnets = kstate.array({ cloud == "gce" and region_of(zone) or zone }),
      zones = cloud == "gce" and kstate.array({ zone }) or nil,
    }
    result[#result + 1] = { kind = "InstanceGroup", name = group, text = group_manifest(name, group, spec) }
  end
  for _, member in ipairs(members) do
    add_group(member.group, "Master", member.zone, 1)
  end
  local count = flags.node_count or #zones
  for i, zone in ipairs(zones) do
    add_group("nodes-" .. zone, "Node", zone, count // #zones + (i <= count % #zones and 1 or 0))
  end
  result[#result + 1] = { kind = "Cluster", name = name, text = cluster_manifest(name, store_url, flags, given, cloud, members) }
  return result
end

return {
  NETWORKING = NETWORKING,
  has_own_proxy = has_own_proxy,
  region_of = region_of,
  aws_region_of = aws_region_of,
  manifest = manifest,
  group_manifest = group_manifest,
  files = files,
}
