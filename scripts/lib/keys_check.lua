-- What is wrong with a cluster's keys and secrets. kOps makes a new one for each that it can't find
-- or read, and says nothing; no node trusts that.

local kstate = kstate
local yaml = kstate.yaml
local args, notes, survey = require(".args"), require(".notes"), require(".survey")

local check = {}

-- Where kOps looks when there is none under the name of today.
local LEGACY = { ["kubernetes-ca"] = "ca", ["service-account"] = "master" }

local IS = {
  ["kubernetes-ca"] = "its certificate authority",
  ["service-account"] = "the key that signs service accounts' tokens",
}

local SECRETS = {
  "admin", "kube", "kube-proxy", "kubelet", "system:controller_manager", "system:dns", "system:logging",
  "system:monitoring", "system:scheduler",
}

local BRING_BACK = "bring it back (`kstate run restore`) before `kops update cluster` makes a new one, which no node trusts"

local function needed(cluster)
  local names = { "kubernetes-ca", "service-account", "apiserver-aggregator-ca", "etcd-clients-ca" }
  for _, etcd in ipairs(survey.etcd(cluster)) do
    local of = { "etcd-manager-ca-" .. etcd.name, "etcd-peers-ca-" .. etcd.name, etcd.name == "cilium" and "etcd-clients-ca-cilium" or nil }
    table.move(of, 1, #of, #names + 1, names)
  end
  return names
end

-- What is wrong with a keyset; nil when nothing is. One of the old names may leave out which is first.
local function flaw_of(text, may_be_old)
  local ok, set = pcall(yaml.decode, text or "")
  local spec = args.table_of(ok and args.table_of(set).spec)
  local keys = args.table_of(spec.keys)
  if not ok or #keys == 0 then
    return ok and "has no keys" or "can't be read: " .. tostring(set)
  elseif spec.primaryId == nil then
    return not may_be_old and "doesn't say which key is its first (primaryId)" or nil
  end
  for _, key in ipairs(keys) do
    local item = args.table_of(key)
    if tostring(item.id) == tostring(spec.primaryId) then
      local has = { public = item.publicMaterial, private = item.privateMaterial }
      for what, material in pairs({ public = "certificate", private = "private key" }) do
        if type(has[what]) ~= "string" or has[what] == "" then
          return ("has no %s of its first key %s"):format(material, item.id)
        end
      end
      return item.distrustTimestamp and ("distrusts its first key %s"):format(item.id) or nil
    end
  end
  return ("says that its first key is %s, and has none such"):format(spec.primaryId)
end

local function keys_in(tree)
  local keys = {}
  for object in tree:walk() do
    keys[object.key or object.foreign] = object
  end
  return keys
end

-- The files of keys and of secrets, by key.
function check.list(cluster)
  local pki, secrets = survey.pki(cluster), survey.secrets(cluster)
  return { pki = pki, secrets = secrets, keysets = keys_in(pki), tokens = keys_in(secrets) }
end

-- Whether there are secrets that only `kops update cluster` makes.
function check.are_made(keys)
  for _, name in ipairs(SECRETS) do
    if keys.tokens[name] then
      return true
    end
  end
  return false
end

function check.keysets(cluster, keys, has_run, note)
  local is_known = {}
  for _, name in ipairs(has_run and needed(cluster) or {}) do
    local old = LEGACY[name]
    if keys.keysets["private/" .. name .. "/keyset.yaml"] then
      is_known[name] = true
    elseif old and keys.keysets["private/" .. old .. "/keyset.yaml"] then
      is_known[old] = true
      note.know(("%s is under the name that it had before kOps 1.22, %s: kOps finds it there"):format(name, old))
    else
      note.bad(("%s/private/%s/keyset.yaml%s, is missing"):format(keys.pki:url(), name, IS[name] and ", " .. IS[name] or ", a certificate authority"), BRING_BACK)
    end
  end
  for key in pairs(keys.keysets) do
    local name = key:match("^private/([^/]+)/keyset%.yaml$")
    local is_old = name == LEGACY["kubernetes-ca"] or name == LEGACY["service-account"]
    -- What has an old name and a new one is not read under the old one.
    if name and (is_known[name] or not is_old) then
      local flaw = flaw_of(keys.pki:read(key), is_old)
      if flaw then
        note.bad(("%s/%s %s"):format(keys.pki:url(), key, flaw), BRING_BACK)
      end
    end
  end
end

function check.secrets(cluster, keys, note)
  local missing, empty = {}, {}
  for _, name in ipairs(SECRETS) do
    missing[#missing + 1] = not keys.tokens[name] and name or nil
  end
  for key, object in pairs(keys.tokens) do
    empty[#empty + 1] = object.size == 0 and key or nil
  end
  table.sort(empty)
  if #missing == #SECRETS then
    note.bad("there are no secrets in " .. keys.secrets:url(), "bring them back (`kstate run restore`) before `kops update cluster` makes new ones")
  elseif #missing > 0 then
    note.odd("secrets that kOps always makes are missing: " .. notes.names(missing), "bring them back, or let `kops update cluster` make new ones: who uses the old tokens is locked out")
  end
  if #empty > 0 then
    note.bad("these secrets are empty: " .. notes.names(empty), "no control plane starts with them: bring them back")
  end
  if cluster.spec.encryptionConfig == true and not keys.tokens.encryptionconfig then
    note.bad("secrets/encryptionconfig is missing, and the config has encryptionConfig: true", "bring it back: what it encrypted in etcd can't be read without it")
  end
end

return check
