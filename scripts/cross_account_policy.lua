-- Makes the bucket policy that lets another account's principal use a state store.
--
-- Without more than a bucket and a principal, it is the one with which kOps finds the bucket:
-- `s3:GetBucketLocation`. `--access` grants more, `--cluster` narrows it to one cluster. It prints the
-- policy and asks nobody, unless it is told to `--merge` our statements with the bucket's own policy, to
-- `--apply` that, or to `--check` what that allows. What kOps needs is in lib/state_access.lua.

local kstate = kstate
local json, log = kstate.json, kstate.log
local args = require("lib.args")
local access = require("lib.state_access")
local bucket_policy = require("lib.bucket_policy")
local check = require("lib.policy_check")
local merge = require("lib.policy_merge")
local principals = require("lib.principals")
local refuse = args.refuse

local POLICY = "policy.json"

-- The most that S3 takes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
local LARGEST = 20 * 1024

-- The bucket, the folder of the store in it, and its URL.
local function place_of(typed)
  if typed:find("^arn:") then
    refuse(typed .. " is an ARN", "write the bucket's name alone, or s3://BUCKET/PREFIX")
  end
  local url = typed:find("://", 1, true) and typed or "s3://" .. typed
  local scheme, bucket, folder = url:gsub("%?.*$", ""):match("^(%w+)://([^/]*)/?(.*)$")
  if scheme ~= "s3" then
    refuse(("%s is no bucket of S3"):format(typed), "policies like this are AWS's: write BUCKET or s3://BUCKET/PREFIX")
  end
  principals.check_bucket(bucket)
  folder = folder:gsub("/+$", "")
  for part in ("/" .. folder):gmatch("/([^/]*)") do
    if folder ~= "" and (part == "" or part == "." or part == ".." or part:find("%c")) then
      refuse(("'%s' is no folder of a bucket"):format(folder), "kOps takes out //, . and .. from names: write what it makes of them")
    end
  end
  return { url = url, bucket = bucket, folder = folder == "" and "" or folder .. "/" }
end

-- Who is to be let in.
local function named_in(flags)
  local named, seen = {}, {}
  for _, typed in ipairs(flags.principal) do
    local principal, warning = principals.parse(typed, flags.partition)
    if warning then
      log.warn(warning)
    end
    if principal.arn == "*" and not flags.org then
      refuse("the principal '*' is everybody in the world", "name an organisation with --org, or principals")
    end
    -- Whoever is named twice is one.
    if not seen[principal.arn] then
      seen[principal.arn], named[#named + 1] = true, principal
    end
  end
  if #named == 0 and flags.side ~= "identity" then
    refuse("nobody is to be let in", "name whom with --principal ARN, or an account by its id")
  end
  if flags.org then
    principals.check_org(flags.org)
  end
  return named
end

-- The actions that are left out.
local function without_of(flags)
  local known, without = access.actions(), {}
  for _, action in ipairs(args.list(flags.without)) do
    local is_known = false
    for _, one in ipairs(known) do
      is_known = is_known or one == action
    end
    if not is_known then
      refuse(("--without %s: kOps never needs that"):format(action), "leave out one of these: " .. table.concat(known, ", "))
    end
    without[action] = true
  end
  return without
end

-- Everything that was asked for.
local function wanted_of(ctx)
  local flags = ctx.flags
  args.refuse_empty(flags)
  local place = place_of(ctx.args.bucket)
  local named = named_in(flags)
  local partition = principals.partition(flags.partition, named)
  for _, principal in ipairs(named) do
    principal.partition = principal.partition or partition
    principal.arn = principal.arn:gsub("^arn:aws:iam::(%d+):root$", "arn:" .. partition .. ":iam::%1:root")
  end
  local cluster = flags.cluster and args.cluster(flags.cluster)
  if (place.folder .. (cluster or "")):find("[*?$]") then
    refuse(("%s%s stands for more than itself in a policy"):format(place.folder, cluster or ""), "a folder or cluster there has no *, ? or $")
  elseif flags.acl and flags.access ~= "write" and flags.access ~= "full" then
    refuse("--access " .. flags.access .. " writes nothing whose ACL could be set", "take --acl with --access write")
  end
  if flags.sid and not flags.sid:find("^%w+$") then
    refuse(("'%s' can't be a Sid"):format(flags.sid), "it is letters and digits")
  end
  local needs = access.needs({
    access = flags.access,
    bucket = ("arn:%s:s3:::%s"):format(partition, place.bucket),
    folder = place.folder,
    cluster = cluster,
    backups = flags.etcd_backups,
    acl = flags.acl,
    without = without_of(flags),
  })
  if #needs == 0 then
    refuse("--without leaves out all that --access " .. flags.access .. " allows", "a policy must allow something; to take statements away, edit it: s3-bucket://BUCKET/policy.json")
  end
  local sid = flags.sid or access.sid(place.folder, cluster or "")
  local wanted = { place = place, named = named, needs = needs, sid = sid, org = flags.org }
  local who = flags.side == "identity" and {} or { principal = access.principal(named), org = flags.org }
  wanted.statements = access.statements(needs, wanted.sid, who)
  if flags.kms_key then
    local key = { arn = flags.kms_key, partition = partition, region = principals.key_region(flags.kms_key, partition) }
    wanted.key = access.key_statement(needs, wanted.sid, key, who)
  end
  return wanted
end

-- A bucket's policy as it is written; refused when S3 wouldn't take it.
local function compact(policy)
  local text = json.encode(policy)
  if #text > LARGEST then
    local message = ("the policy has %d bytes, and S3 takes %d"):format(#text, LARGEST)
    refuse(message, "name accounts or, with --principal '*' --org ID, an organisation instead of each principal")
  end
  return text
end

local function print_policy(policy)
  compact(policy)
  local text = json.encode(policy, { pretty = true })
  if #text > LARGEST then
    log.warn(("printed like this it has %d bytes, and S3 takes %d: write it with --apply, or take the blanks out (jq -c)"):format(#text, LARGEST))
  end
  print(text)
end

-- IAM counts no blanks: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
local IAMS = { { "an inline policy of a user", 2048 }, { "a managed policy", 6144 }, { "an inline policy of a role", 10240 } }

local function print_identity(policy)
  local size = #json.encode(policy):gsub("%s", "")
  local few = {}
  for _, limit in ipairs(IAMS) do
    few[#few + 1] = size > limit[2] and ("%s may have %d"):format(limit[1], limit[2]) or nil
  end
  if #few > 0 then
    log.warn(("this has %d characters, and %s"):format(size, table.concat(few, ", ")))
  end
  print(json.encode(policy, { pretty = true }))
end

local function printed(ctx, wanted)
  local flags = ctx.flags
  if flags.side == "key" then
    if not wanted.key then
      refuse("no KMS key is needed for this", "name the key with --kms-key ARN, and an --access that reads or writes")
    end
    log.info("this is a statement to add to the key's policy; that must keep its own")
    return print(json.encode(wanted.key, { pretty = true }))
  elseif flags.side == "identity" then
    local statements = wanted.statements
    statements[#statements + 1] = wanted.key
    return print_identity(access.document(statements, flags.id))
  end
  if wanted.key then
    log.info("the key's own policy must let them in too: --side key prints that statement")
  end
  print_policy(access.document(wanted.statements, flags.id or "KopsStateStore"))
end

-- Says what the bucket's encryption asks for besides.
local function mention_encryption(ctx, wanted, bucket)
  local text = kstate.try(bucket.read, bucket, "encryption.json")
  local rules = text and args.table_of(json.decode(text).Rules) or {}
  local rule = args.table_of(args.table_of(rules[1]).ApplyServerSideEncryptionByDefault)
  local key = rule.KMSMasterKeyID
  if not tostring(rule.SSEAlgorithm):find("^aws:kms") or #access.key_actions(wanted.needs) == 0 then
    return
  elseif key == nil or key:find("alias/aws/s3$") then
    log.warn("the bucket is encrypted with the key aws/s3, which no other account can use: give it a key of your own")
  elseif (ctx.flags.kms_key or ""):match("[^/]*$") ~= key:match("[^/]*$") then
    log.warn(("the bucket is encrypted with %s, whose policy must let them in too: --side key --kms-key ARN"):format(key))
  end
end

-- The bucket's policy merged with ours, and the statements of ours that gave way.
local function merged_with(policy, ctx, wanted)
  if policy == nil then
    return access.document(wanted.statements, ctx.flags.id or "KopsStateStore"), {}
  end
  local merged, gone = merge.into(policy, wanted.statements, function(statement)
    return access.is_ours(statement, wanted.sid)
  end)
  merged.Id = ctx.flags.id or merged.Id
  return merged, gone
end

local function merged(ctx, wanted, bucket)
  local text = bucket:read(POLICY)
  local url = bucket:url() .. "/" .. POLICY
  local policy, gone = merged_with(text and bucket_policy.read(text, url), ctx, wanted)
  local lost = merge.lost(gone, wanted.statements)
  if #lost > 0 then
    local message = ("%s: the statements %s… are replaced, and with them goes:\n  %s"):format(url, wanted.sid, args.listed(lost))
    if not ctx.flags.replace then
      refuse(message, "to keep both, give these another --sid; to replace them, --replace")
    end
    log.warn(message)
  end
  if not ctx.flags.apply then
    return print_policy(policy)
  elseif text and merge.same(json.decode(text), policy) then
    return log.info(("%s: the policy says this already"):format(bucket:url()))
  end
  -- S3 compares nothing, so this is as near to it as can be.
  if bucket:read(POLICY) ~= text then
    error(kstate.error({ kind = "precondition_failed", message = bucket:url() .. ": somebody else has just changed the policy", hint = "run it again" }))
  end
  bucket:write(POLICY, compact(policy))
  log.info(("%s: %d statements of %d are ours (%s)"):format(bucket:url(), #wanted.statements, #policy.Statement, wanted.sid))
end

-- What the bucket's policy says to each action that is needed.
local function checked(ctx, wanted, bucket)
  local text = bucket:read(POLICY)
  local statements = text and bucket_policy.read(text, bucket:url() .. "/" .. POLICY).Statement or {}
  local checks, rows, is_allowed = kstate.array({}), {}, true
  for _, principal in ipairs(wanted.named) do
    for _, need in ipairs(wanted.needs) do
      for _, action in ipairs(need.actions) do
        local one = { principal = principal, action = action, resource = need.resource, prefix = need.prefix, org = wanted.org }
        local verdict, by = check.verdict(statements, one)
        is_allowed = is_allowed and verdict == "allowed"
        local resource = need.prefix and need.prefix ~= "*" and ("%s (%s)"):format(need.resource, need.prefix) or need.resource
        rows[#rows + 1] = { verdict, action, resource, principal.arn, by }
        checks[#checks + 1] = { verdict = verdict, action = action, resource = resource, principal = principal.arn, by = by }
      end
    end
  end
  if ctx.flags.json then
    print(json.encode({ allowed = is_allowed, checks = checks }))
  else
    kstate.cli.table(rows, { header = { "verdict", "action", "resource", "principal", "by" } })
  end
  return is_allowed
end

local function main(ctx)
  local wanted = wanted_of(ctx)
  local flags = ctx.flags
  if flags.replace and not (flags.merge or flags.apply) then
    refuse("--replace is of --merge and --apply", "take it with one of them")
  elseif not (flags.merge or flags.apply or flags.check) then
    return printed(ctx, wanted)
  elseif flags.side ~= "bucket" or (flags.check and (flags.merge or flags.apply)) then
    refuse("--check, --merge and --apply are of the bucket's own policy, and --check changes nothing", "take one of them, without --side")
  end
  local bucket = kstate.store.open(wanted.place.url):bucket()
  mention_encryption(ctx, wanted, bucket)
  return (flags.check and checked or merged)(ctx, wanted, bucket)
end

return {
  summary = "Print, merge or check the bucket policy that lets another account use a state store",
  args = { { name = "bucket", type = "string", required = true, doc = "the state store's bucket: BUCKET or s3://BUCKET/PREFIX" } },
  flags = {
    { name = "principal", type = "list", value = "ARN", doc = "a user, a role, or an account's id; '*' with --org; may be given again" },
    { name = "access", type = "string", choices = access.LEVELS, default = "locate", doc = "what for: locate the bucket; list its clusters (kops get); read it (nodes); write it (kops update); full: delete, too" },
    { name = "cluster", type = "string", value = "NAME", doc = "this cluster's part of the store only" },
    { name = "etcd_backups", type = "boolean", doc = "let them keep etcd's backups: for control planes, with --access read" },
    { name = "acl", type = "boolean", doc = "let them set ACLs of what they write: for KOPS_STATE_S3_ACL" },
    { name = "without", type = "list", value = "ACTION", doc = "leave an action out, for services that don't know it; may be given again" },
    { name = "org", type = "string", value = "ID", doc = "only principals of this organisation (o-…)" },
    { name = "partition", type = "string", choices = principals.PARTITIONS, doc = "AWS's partition (default: that of the principals, else aws)" },
    { name = "side", type = "string", choices = { "bucket", "identity", "key" }, default = "bucket", doc = "whose policy: the bucket's, that of the other account's user or role, or a statement for the key's" },
    { name = "kms_key", type = "string", value = "ARN", doc = "the key that the bucket is encrypted with" },
    { name = "id", type = "string", doc = "the policy's Id (default: KopsStateStore)" },
    { name = "sid", type = "string", doc = "what our statements' Sids begin with (default: KopsStateStore and the cluster)" },
    { name = "merge", type = "boolean", doc = "print the bucket's policy with our statements in it" },
    { name = "apply", type = "boolean", doc = "write that to the bucket" },
    { name = "replace", type = "boolean", doc = "replace statements of ours although somebody loses something by it" },
    { name = "check", type = "boolean", doc = "say of each action that is needed whether the bucket's policy allows it" },
    { name = "json", type = "boolean", doc = "print what --check finds as JSON" },
  },
  main = main,
}
