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
local check = require("lib.policy_check")
local merge = require("lib.policy_merge")
local principals = require("lib.principals")
local refuse = args.refuse

local POLICY = "policy.json"

-- The most that S3 takes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
local LARGEST = 20 * 1024

-- The bucket, the folder of the store in it, and its URL.
local function place_of(typed)
  local url = typed:find("://", 1, true) and typed or "s3://" .. typed
  local scheme, bucket, folder = url:gsub("%?.*$", ""):match("^(%w+)://([^/]*)/?(.*)$")
  if scheme ~= "s3" then
    refuse(("%s is no bucket of S3"):format(typed), "policies like this are AWS's: write BUCKET or s3://BUCKET/PREFIX")
  end
  principals.check_bucket(bucket)
  folder = folder:gsub("/+$", "")
  return { url = url, bucket = bucket, folder = folder == "" and "" or folder .. "/" }
end

-- Who is to be let in.
local function named_in(flags)
  local named = {}
  for _, typed in ipairs(flags.principal) do
    local principal, warning = principals.parse(typed, flags.partition)
    if warning then
      log.warn(warning)
    end
    if principal.arn == "*" and not flags.org then
      refuse("the principal '*' is everybody in the world", "name an organisation with --org, or principals")
    end
    named[#named + 1] = principal
  end
  if #named == 0 and flags.side ~= "identity" then
    refuse("nobody is to be let in", "name whom with --principal ARN, or an account by its id")
  end
  if flags.org then
    principals.check_org(flags.org)
  end
  return named
end

-- A Sid that tells clusters apart, of the letters and digits that one may have.
local function sid_of(flags, cluster)
  local sid = flags.sid
  if sid == nil then
    sid = "KopsStateStore"
    for word in (cluster or ""):gmatch("%w+") do
      sid = sid .. word:sub(1, 1):upper() .. word:sub(2)
    end
  elseif not sid:find("^%w+$") then
    refuse(("'%s' can't be a Sid"):format(sid), "it is letters and digits")
  end
  return sid
end

local function set_of(list)
  local set = {}
  for _, one in ipairs(list) do
    set[one] = true
  end
  return set
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
  local needs = access.needs({
    access = flags.access,
    bucket = ("arn:%s:s3:::%s"):format(partition, place.bucket),
    folder = place.folder,
    cluster = cluster,
    backups = flags.etcd_backups,
    acl = flags.acl,
    without = set_of(flags.without),
  })
  local wanted = { place = place, named = named, needs = needs, sid = sid_of(flags, cluster), org = flags.org }
  local who = flags.side == "identity" and {} or { principal = access.principal(named), org = flags.org }
  wanted.statements = access.statements(needs, wanted.sid, who)
  if flags.kms_key then
    local key = { arn = flags.kms_key, partition = partition, region = principals.key_region(flags.kms_key, partition) }
    wanted.key = access.key_statement(needs, wanted.sid, key, who)
  end
  return wanted
end

-- A policy as it is printed, and refused when S3 wouldn't take it.
local function text_of(policy)
  local size = #json.encode(policy)
  if size > LARGEST then
    local message = ("the policy has %d bytes, and S3 takes %d"):format(size, LARGEST)
    refuse(message, "name accounts or, with --principal '*' --org ID, an organisation instead of each principal")
  end
  return json.encode(policy, { pretty = true })
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
    return print(text_of(access.document(statements, flags.id)))
  end
  if wanted.key then
    log.info("the key's own policy must let them in too: --side key prints that statement")
  end
  print(text_of(access.document(wanted.statements, flags.id or "KopsStateStore")))
end

-- Says what the bucket's encryption asks for besides.
local function mention_encryption(ctx, bucket)
  local text = kstate.try(bucket.read, bucket, "encryption.json")
  local rule = text and json.decode(text).Rules[1].ApplyServerSideEncryptionByDefault or {}
  local is_kms = (rule.SSEAlgorithm or ""):find("^aws:kms") ~= nil
  if is_kms and rule.KMSMasterKeyID == nil then
    log.warn("the bucket is encrypted with the key aws/s3, which no other account can use: give it a key of your own")
  elseif is_kms and ctx.flags.kms_key ~= rule.KMSMasterKeyID then
    log.warn(("the bucket is encrypted with %s, whose policy must let them in too: --side key --kms-key ARN"):format(rule.KMSMasterKeyID))
  end
end

-- The bucket's policy merged with ours, what it was, and the statements of ours that gave way.
local function merged_with(text, ctx, wanted)
  if text == nil then
    return access.document(wanted.statements, ctx.flags.id or "KopsStateStore"), {}
  end
  local policy, gone = merge.into(json.decode(text), wanted.statements, function(statement)
    return access.is_ours(statement, wanted.sid)
  end)
  policy.Id = ctx.flags.id or policy.Id
  return policy, gone
end

local function merged(ctx, wanted, bucket)
  local text = bucket:read(POLICY)
  local policy, gone = merged_with(text, ctx, wanted)
  local lost = merge.lost(gone, wanted.statements)
  if #lost > 0 then
    log.warn(("the statements %s are replaced, and lose:\n  %s"):format(wanted.sid, args.listed(lost)))
    log.warn("to keep both, give these another --sid")
  end
  local new = text_of(policy)
  if not ctx.flags.apply then
    return print(new)
  elseif text and merge.same(json.decode(text), policy) then
    return log.info(("%s: the policy says this already"):format(bucket:url()))
  end
  -- S3 compares nothing, so this is as near to it as can be.
  if bucket:read(POLICY) ~= text then
    error(kstate.error({ kind = "precondition_failed", message = bucket:url() .. ": somebody else has just changed the policy", hint = "run it again" }))
  end
  bucket:write(POLICY, new)
  log.info(("%s: %d statements of %d are ours (%s)"):format(bucket:url(), #wanted.statements, #policy.Statement, wanted.sid))
end

-- What the bucket's policy says to each action that is needed.
local function checked(ctx, wanted, bucket)
  local policy = json.decode(bucket:read(POLICY) or "{}")
  local checks, rows, is_allowed = kstate.array({}), {}, true
  for _, principal in ipairs(wanted.named) do
    for _, need in ipairs(wanted.needs) do
      for _, action in ipairs(need.actions) do
        local one = { principal = principal, action = action, resource = need.resource, prefix = need.prefix, org = wanted.org }
        local verdict, by = check.verdict(policy, one)
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
  if not (flags.merge or flags.apply or flags.check) then
    return printed(ctx, wanted)
  elseif flags.side ~= "bucket" or (flags.check and (flags.merge or flags.apply)) then
    refuse("--check, --merge and --apply are of the bucket's own policy, and --check changes nothing", "take one of them, without --side")
  end
  local bucket = kstate.store.open(wanted.place.url):bucket()
  mention_encryption(ctx, bucket)
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
    { name = "check", type = "boolean", doc = "say of each action that is needed whether the bucket's policy allows it" },
    { name = "json", type = "boolean", doc = "print what --check finds as JSON" },
  },
  main = main,
}
