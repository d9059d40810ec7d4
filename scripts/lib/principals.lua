-- Whom a policy is about, and for what: principals, organisations, buckets and keys as people type
-- them. What can't work is refused with the reason.

local args = require("lib.args")
local refuse = args.refuse

local principals = {}

principals.PARTITIONS = { "aws", "aws-cn", "aws-us-gov" }

local function check_partition(name, typed)
  for _, known in ipairs(principals.PARTITIONS) do
    if name == known then
      return
    end
  end
  refuse(("%s is in the partition '%s'"):format(typed, name), "the partitions are " .. table.concat(principals.PARTITIONS, ", "))
end

-- What can't be the principal of a bucket's policy, by the beginning of its resource.
local NO_PRINCIPALS = {
  ["group/"] = "a group is no principal: name its users, or a role",
  ["instance-profile/"] = "an instance profile is no principal: name the role in it",
  ["policy/"] = "a policy is no principal: name a user or a role",
}

-- Before the name there may be a path.
local NAME = "[%w_+=,.@-]+$"
local PRINCIPALS = {
  iam = { "^root$", "^user/" .. NAME, "^user/.*/" .. NAME, "^role/" .. NAME, "^role/.*/" .. NAME },
  sts = { "^assumed%-role/[^/]+/" .. NAME, "^federated%-user/" .. NAME },
}

local function check_resource(service, resource, typed)
  for _, pattern in ipairs(PRINCIPALS[service] or {}) do
    if resource:find(pattern) then
      return
    end
  end
  for beginning, why in pairs(NO_PRINCIPALS) do
    if resource:sub(1, #beginning) == beginning then
      refuse(("%s can't be let in"):format(typed), why)
    end
  end
  refuse(("%s is the ARN of no principal"):format(typed), "write it as arn:aws:iam::ACCOUNT:user/NAME, …:role/NAME or …:root")
end

local function warning_of(account, typed)
  if not account:find("^%d+$") or #account ~= 12 then
    return ("%s: AWS's account ids have 12 digits, and '%s' isn't one; AWS won't take it"):format(typed, account)
  end
end

-- A principal as it was typed: `{ arn, account, partition }`, and what is odd about it. `partition`
-- is that of an account id.
function principals.parse(typed, partition)
  if typed == "*" then
    return { arn = "*" }
  elseif typed:find("^%d+$") then
    return { arn = ("arn:%s:iam::%s:root"):format(partition or "aws", typed), account = typed, partition = partition }, warning_of(typed, typed)
  end
  if typed:find("[%d%a],%s*arn:") or typed:find("^[%d%s]+,") then
    refuse(("'%s' is more than one"):format(typed), "names may have commas: give --principal once for each")
  end
  local of, service, region, account, resource = typed:match("^arn:([^:]*):([^:]*):([^:]*):([^:]*):(.+)$")
  if of == nil then
    refuse(("'%s' is no ARN"):format(typed), "write arn:aws:iam::ACCOUNT:role/NAME, an account id, or '*' with --org")
  elseif typed:find("[*?%s]") then
    refuse(("%s has a wildcard or a blank, and S3 takes neither there"):format(typed), "name each principal, or the account by its id")
  end
  check_partition(of, typed)
  if region ~= "" then
    refuse(("%s has a region, and principals have none"):format(typed), "take it out: arn:aws:iam::ACCOUNT:…")
  end
  check_resource(service, resource, typed)
  return { arn = typed, account = account, partition = of }, warning_of(account, typed)
end

-- The one partition of all that was named; that of account ids is the one that was chosen, or `aws`.
function principals.partition(chosen, named)
  for _, one in ipairs(named) do
    if one.partition and chosen and one.partition ~= chosen then
      refuse(("%s is not in the partition %s"):format(one.arn, chosen), "nobody is let in across partitions: AWS keeps them apart")
    end
    chosen = chosen or one.partition
  end
  return chosen or "aws"
end

function principals.check_org(org)
  if not org:find("^o%-[a-z0-9]+$") or #org < 12 or #org > 34 then
    refuse(("'%s' is no organisation's id"):format(org), "it is o- and 10 to 32 letters and digits: aws organizations describe-organization")
  end
end

-- The rules are https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
local NO_BUCKETS = {
  { "[^a-z0-9.-]", "it is small letters, digits, dots and hyphens" },
  { "^[^a-z0-9]", "it begins with a letter or a digit" },
  { "[^a-z0-9]$", "it ends with a letter or a digit" },
  { "%.%.", "it has two dots in a row" },
  { "^%d+%.%d+%.%d+%.%d+$", "it looks like an IP address" },
  { "^xn%-%-", "AWS keeps xn-- for itself" },
  { "^sthree%-", "AWS keeps sthree- for itself" },
  { "^amzn%-s3%-demo%-", "AWS keeps amzn-s3-demo- for itself" },
  { "%-s3alias$", "that is the alias of an access point" },
  { "%-%-ol%-s3$", "that is the alias of an Object Lambda access point" },
  { "%.mrap$", "that is a multi-region access point" },
  { "%-%-table%-s3$", "that is a table bucket, which holds no objects" },
  { "%-%-x%-s3$", "that is a directory bucket, which kOps can't use" },
}

function principals.check_bucket(name)
  if #name < 3 or #name > 63 then
    refuse(("no bucket can be called '%s'"):format(name), ("it has %d characters, and names of buckets have 3 to 63"):format(#name))
  end
  for _, rule in ipairs(NO_BUCKETS) do
    if name:find(rule[1]) then
      refuse(("no bucket can be called '%s'"):format(name), rule[2])
    end
  end
end

-- The region of a KMS key; it must be the key itself, since no alias leads into another account.
function principals.key_region(typed, partition)
  local of, region, resource = typed:match("^arn:([^:]*):kms:([^:]+):[^:]+:(.+)$")
  if of == nil or not resource:find("^key/[%w-]+$") then
    local hint = "write arn:aws:kms:REGION:ACCOUNT:key/ID: an alias or an id alone doesn't lead into another account"
    refuse(("'%s' is no KMS key's ARN"):format(typed), hint)
  elseif of ~= partition then
    refuse(("%s is not in the partition %s"):format(typed, partition), "a key serves buckets of its own partition only")
  end
  return region
end

return principals
