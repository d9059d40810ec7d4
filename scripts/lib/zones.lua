-- Subnets for the zones that a cluster has none in.

local kstate = kstate
local args, new, ranges = require(".args"), require(".new_cluster"), require(".ranges")
local refuse, table_of = args.refuse, args.table_of

local function is_range(text)
  return type(text) == "string" and text:find("^%d+%.%d+%.%d+%.%d+/%d+$") ~= nil
end

-- The network's ranges, of which a subnet's is a part.
local function networks_of(spec)
  local found = {}
  for _, list in ipairs({ { spec.networkCIDR }, table_of(spec.additionalNetworkCIDRs) }) do
    for _, text in ipairs(list) do
      found[#found + 1] = is_range(text) and ranges.parse(text) or nil
    end
  end
  return found
end

-- A range that is free: as large as that of `like`, or as there is room for.
local function free_range(networks, like, taken)
  for length = is_range(like.cidr) and ranges.parse(like.cidr).length or 29, 28 do
    for _, network in ipairs(networks) do
      local cidr, range = nil, nil
      if length >= network.length then
        cidr, range = ranges.free(network, length, taken)()
      end
      if cidr then
        return cidr, range
      end
    end
  end
end

-- How the subnets lie: what is taken, and the first of each kind, which the others are made like.
local function survey(spec)
  local there, taken, model, utility = {}, {}, nil, nil
  for _, subnet in ipairs(table_of(spec.subnets)) do
    subnet = table_of(subnet)
    there[subnet.zone or subnet.region or subnet.name or ""] = true
    taken[#taken + 1] = is_range(subnet.cidr) and ranges.parse(subnet.cidr) or nil
    if subnet.type == "Utility" then
      utility = utility or subnet
    else
      model = model or subnet
    end
  end
  return there, taken, model or { type = "Public", cidr = spec.networkCIDR }, utility
end

local function no_range(cluster, spec, zone, like, networks)
  local own = ("give the subnet one: --set 'spec.subnets+=[{name: %s, zone: %s, type: %s, cidr: RANGE}]'"):format(zone, zone, like.type)
  if #networks == 0 then
    refuse(("there is no range for a subnet in %s: %s has no networkCIDR of IPv4"):format(zone, cluster.name), own)
  elseif spec.cloudProvider == "aws" then
    own = "give the network one more range first: --set spec.additionalNetworkCIDRs+=RANGE; kOps adds it to the VPC"
  end
  refuse(("no range is free for a subnet in %s: the subnets take all of the network %s"):format(zone, table.concat({ spec.networkCIDR, table.unpack(table_of(spec.additionalNetworkCIDRs)) }, ", ")), own)
end

-- Adds them; gives the zones that got one. Their ranges are taken anew when somebody else took
-- them meanwhile.
return function(cluster, zones)
  local file = cluster:find("Cluster")
  local spec = cluster:spec(file)
  local there, taken, model, utility = survey(spec)
  local networks, added = networks_of(spec), {}
  local function add(zone, like, name)
    local cidr, range = free_range(networks, like, taken)
    if cidr == nil then
      no_range(cluster, spec, zone, like, networks)
    end
    taken[#taken + 1] = range
    cluster:change(file, { set = { "spec.subnets+=" .. kstate.json.encode({ { cidr = cidr, name = name, type = like.type, zone = zone } }) } })
    file.derived["spec.subnets." .. name] = true
  end
  for _, zone in ipairs(zones) do
    local region = spec.cloudProvider == "aws" and new.aws_region_of(zone)
    local known = model.zone and new.aws_region_of(model.zone)
    if region and known and region ~= known then
      refuse(("%s is not in the cluster's region, %s"):format(zone, known), "a cluster has one region")
    end
    if not (there[zone] or there[new.region_of(zone)]) then
      add(zone, model, zone)
      if utility then
        add(zone, utility, "utility-" .. zone)
      end
      there[zone] = true
      added[#added + 1] = zone
    end
  end
  return added
end
