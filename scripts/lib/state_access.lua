-- What kOps needs of a bucket, and the policies that grant just that.
--
-- From kOps's source (https://github.com/kubernetes/kops), by who asks:
--   util/pkg/vfs/s3context.go   all: s3:GetBucketLocation, first of everything; before writes
--                               s3:GetEncryptionConfiguration (refused, it sends AES256)
--   util/pkg/vfs/s3fs.go        get, nodes: s3:ListBucket (lists; 404 for what is missing, else 403),
--                               s3:GetObject; update: s3:PutObject, s3:PutObjectAcl where
--                               KOPS_STATE_S3_ACL is set; delete: s3:DeleteObject, and all versions
--                               of keys and secrets: s3:ListBucketVersions, s3:DeleteObjectVersion;
--                               issuer discovery: s3:GetBucketPolicyStatus, s3:GetObjectAcl
--   pkg/model/iam/iam_builder.go  what control planes get for etcd-manager's backups: s3:GetObject,
--                               s3:PutObject, s3:DeleteObject, s3:DeleteObjectVersion
-- For a bucket with a KMS key S3 asks, in their name, kms:Decrypt to read and also
-- kms:GenerateDataKey to write:
--   https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html

local kstate = kstate
local json = kstate.json

local access = {}

-- From the least to all that kOps does; each has what those before it have.
access.LEVELS = { "locate", "list", "read", "write", "full" }

local ADDED = {
  locate = { bucket = { "s3:GetBucketLocation" } },
  list = { list = { "s3:ListBucket" }, objects = { "s3:GetObject" } },
  read = {},
  write = { bucket = { "s3:GetEncryptionConfiguration" }, objects = { "s3:PutObject" } },
  full = {
    bucket = { "s3:GetBucketPolicyStatus" },
    list = { "s3:ListBucketVersions" },
    objects = { "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectAcl", "s3:PutObjectAcl" },
  },
}

local BACKUPS = { "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion" }

-- What follows a statement's Sid, by what it grants.
local SUFFIXES = { bucket = "", list = "List", objects = "Objects", backups = "Backups" }
local KEY_SUFFIX = "Key"

local function adder(list)
  return function(action)
    for _, known in ipairs(list) do
      if known == action then
        return
      end
    end
    list[#list + 1] = action
  end
end

-- All that is ever granted.
function access.actions()
  local all, add = {}, nil
  add = adder(all)
  for _, parts in pairs(ADDED) do
    for _, actions in pairs(parts) do
      for _, action in ipairs(actions) do
        add(action)
      end
    end
  end
  table.sort(all)
  return all
end

local function left_of(actions, without)
  local left = {}
  for _, action in ipairs(actions) do
    left[#left + 1] = not without[action] and action or nil
  end
  return left
end

-- What is needed, one entry a statement: `{ part, actions, resources, prefix }`. `wanted` has the
-- `access`, the `bucket`'s ARN, the `folder` of the store with a slash at its end, and may have
-- `cluster`, `backups` and `acl`, and actions that are left out (`without`).
function access.needs(wanted)
  local actions = { bucket = {}, list = {}, objects = {}, backups = {} }
  for _, level in ipairs(access.LEVELS) do
    for part, added in pairs(ADDED[level]) do
      table.move(added, 1, #added, #actions[part] + 1, actions[part])
    end
    if level == wanted.access then
      break
    end
  end
  if wanted.backups and wanted.access ~= "full" then
    actions.backups = BACKUPS
    adder(actions.bucket)("s3:GetEncryptionConfiguration")
    adder(actions.list)("s3:ListBucket")
    adder(actions.list)("s3:ListBucketVersions")
  end
  if wanted.acl then
    adder(actions.objects)("s3:PutObjectAcl")
  end

  local below = wanted.folder .. (wanted.cluster and wanted.cluster .. "/" or "")
  -- The files of one cluster, or of all.
  local each = wanted.cluster and below or below .. "*/"
  local object = wanted.bucket .. "/"
  local resources = {
    bucket = wanted.bucket,
    list = wanted.bucket,
    objects = object .. (wanted.access == "list" and each .. "config" or below .. "*"),
    backups = object .. each .. "backups/etcd/*",
  }
  local needs = {}
  for _, part in ipairs({ "bucket", "list", "objects", "backups" }) do
    local left = left_of(actions[part], wanted.without)
    if #left > 0 then
      needs[#needs + 1] = { part = part, actions = left, resource = resources[part], prefix = part == "list" and below .. "*" or nil }
    end
  end
  return needs
end

-- The same fields in the same order, whatever Lua does with tables.
local function statement_of(fields)
  local order = { "Sid", "Effect", "Principal", "Action", "Resource", "Condition" }
  local names = {}
  for _, name in ipairs(order) do
    names[#names + 1] = fields[name] ~= nil and ('"%s":0'):format(name) or nil
  end
  local statement = json.decode("{" .. table.concat(names, ",") .. "}")
  for name, value in pairs(fields) do
    statement[name] = value
  end
  return statement
end

-- A list as policies have it: one alone is no list.
local function one_or_all(list)
  return #list == 1 and list[1] or kstate.array(list)
end

-- The `Principal` of a bucket's policy.
function access.principal(named)
  local arns, add = {}, nil
  add = adder(arns)
  for _, principal in ipairs(named) do
    if principal.arn == "*" then
      return "*"
    end
    add(principal.arn)
  end
  table.sort(arns)
  return { AWS = one_or_all(arns) }
end

local function condition_of(need, org)
  local condition = {}
  if need.prefix and need.prefix ~= "*" then
    condition.StringLike = { ["s3:prefix"] = need.prefix }
  end
  if org then
    condition.StringEquals = { ["aws:PrincipalOrgID"] = org }
  end
  return next(condition) and condition or nil
end

-- A statement for each need. `who` has the `Principal`, and may have the organisation `org`; for the
-- policy of an identity it is empty.
function access.statements(needs, sid, who)
  local statements = {}
  for _, need in ipairs(needs) do
    statements[#statements + 1] = statement_of({
      Sid = sid .. SUFFIXES[need.part],
      Effect = "Allow",
      Principal = who.principal,
      Action = one_or_all(need.actions),
      Resource = need.resource,
      Condition = condition_of(need, who.org),
    })
  end
  return statements
end

-- Whether a statement is one of ours.
function access.is_ours(statement, sid)
  for _, suffix in pairs(SUFFIXES) do
    if statement.Sid == sid .. suffix then
      return true
    end
  end
  return false
end

-- A Sid for a folder and a cluster, either of which may be empty: their words, and a hash unless these
-- alone tell them from all others and from our suffixes.
function access.sid(folder, cluster)
  local name, sid, last = folder .. cluster, "KopsStateStore", nil
  for word in name:gmatch("%w+") do
    last = word:sub(1, 1):upper() .. word:sub(2)
    sid = sid .. last
  end
  local left = ("." .. name):gsub("%.%l[%l%d]*", "")
  local is_plain = left == "" and last ~= KEY_SUFFIX
  for _, suffix in pairs(SUFFIXES) do
    is_plain = is_plain and last ~= suffix
  end
  if name == "" or is_plain then
    return sid
  end
  return sid .. kstate.hash.sha256(folder .. "\n" .. cluster):sub(1, 8):upper()
end

local function is_needed(needs, wanted)
  for _, need in ipairs(needs) do
    for _, action in ipairs(need.actions) do
      if action == wanted then
        return true
      end
    end
  end
  return false
end

-- What S3 does with a bucket's KMS key in their name.
function access.key_actions(needs)
  local actions = {}
  actions[1] = is_needed(needs, "s3:GetObject") and "kms:Decrypt" or nil
  actions[#actions + 1] = is_needed(needs, "s3:PutObject") and "kms:GenerateDataKey" or nil
  return actions
end

-- Lets a KMS key be used for the bucket's objects and nothing else; nil when that isn't needed. In the
-- key's own policy the key is `*`, and there is somebody whom it is about.
function access.key_statement(needs, sid, key, who)
  local actions = access.key_actions(needs)
  if #actions == 0 then
    return nil
  end
  local service = "s3." .. key.region .. ".amazonaws.com"
  -- Nobody wrote down which of the two KMS sees in China.
  local via = key.partition == "aws-cn" and kstate.array({ service, service .. ".cn" }) or service
  return statement_of({
    Sid = sid .. KEY_SUFFIX,
    Effect = "Allow",
    Principal = who.principal,
    Action = one_or_all(actions),
    Resource = who.principal and "*" or key.arn,
    Condition = { StringEquals = { ["kms:ViaService"] = via, ["aws:PrincipalOrgID"] = who.org } },
  })
end

function access.document(statements, id)
  local document = json.decode(id and '{"Version":"2012-10-17","Id":0,"Statement":[]}' or '{"Version":"2012-10-17","Statement":[]}')
  document.Id = id
  document.Statement = kstate.array(statements)
  return document
end

return access
