-- vault://HOST:PORT/MOUNT/FOLDER: secrets in a KV engine, version 2, of HashiCorp Vault or OpenBao.
--
-- URLs and format are those that kOps had up to 1.25: an object is a secret whose field `file` has
-- the bytes in base64. The tag is the number of the secret's newest version, and conditions are
-- Vault's check-and-set.
--
-- Vault deletes in two ways. One forgets all versions, and the next secret of this name begins at 1
-- again, so that its versions look like the old ones. The other marks a version as deleted: the
-- numbers go on, and `vault kv undelete` works. This one is taken. It asks for no condition and makes
-- no version, so a delete first puts an empty version on top, which counts as nothing.

-- Asks about a secret, or about a folder with a slash at its end. Gives what Vault tells, and nothing
-- where nothing is or a check-and-set failed.
local function ask(self, method, part, key, question)
  local mount, path = key:match("^([^/]+)/(.*)$")
  if not mount then
    error(kstate.error{
      kind = "unsupported",
      message = "the URL names no mount",
      hint = "write it as vault://HOST:PORT/MOUNT/FOLDER",
    })
  end
  local url = ("%s/v1/%s/%s/%s"):format(self.base, mount, part, kstate.http.escape(path))
  -- Vault before 1.21 and OpenBao don't know the second, and name deleted secrets too.
  local query = method == "LIST" and "?list=true&exclude_deleted=true" or ""
  local answer = kstate.http.request(url .. query, {
    method = method == "LIST" and "GET" or method,
    headers = self.headers,
    body = question and kstate.json.encode(question),
  })
  if answer.status == 204 then
    return {}
  end
  local told = kstate.try(kstate.json.decode, answer.body)
  if type(told) ~= "table" then
    error(kstate.http.error(answer, { message = "that was not Vault" }))
  end
  local words = table.concat(told.errors or {}, "; ")
  -- Of a mount that doesn't exist it says so; of a secret it says nothing.
  local is_missing = answer.status == 404 and words == ""
  local is_other_version = answer.status == 400 and words:find("did not match the current version")
  if answer.status == 200 or is_missing or is_other_version then
    return told.data
  end
  error(kstate.http.error(answer, {
    message = words,
    hint = answer.status == 403
        and "VAULT_TOKEN may be missing, at its end or without this right: vault token lookup"
      or nil,
  }))
end

-- For what only reads: asks again while that may help.
local function ask_patiently(self, method, part, key)
  return kstate.task.retry(function()
    return ask(self, method, part, key)
  end, { wait = "200ms" })
end

-- A secret's newest version: its number, which is 0 before the first, and what it is an object of.
local function look(self, key)
  local told = ask_patiently(self, "GET", "data", key)
  local seen = { version = told and told.metadata.version or 0 }
  local fields = told and told.data
  -- A deleted one has null in the place of fields.
  if type(fields) ~= "table" or next(fields) == nil then
    return seen
  end
  local file = fields.file
  seen.bytes = type(file) == "string" and kstate.try(kstate.base64.decode, file) or nil
  seen.is_foreign = not seen.bytes
  seen.meta = seen.bytes and {
    key = key,
    size = #seen.bytes,
    tag = tostring(seen.version),
    modified = kstate.time.parse(told.metadata.created_time),
    checksum = { algorithm = "md5", value = kstate.hash.md5(seen.bytes) },
  }
  return seen
end

local FOREIGN = "a secret of somebody else's: it has no field `file` with base64"

local function find(self, key)
  local seen = look(self, key)
  if seen.is_foreign then
    error(kstate.error{ kind = "unsupported", message = "there is " .. FOREIGN })
  end
  return seen
end

-- Puts a version on top of the newest one, if that is as it is wanted; gives its number. When another
-- came between, it looks again: each time somebody got further.
local function change(self, key, options, fields)
  while true do
    local seen = find(self, key)
    if options.if_absent and seen.meta then
      error(kstate.error{ kind = "already_exists", message = "the secret exists already" })
    elseif options.if_match and not (seen.meta and seen.meta.tag == options.if_match) then
      error(kstate.error{
        kind = "precondition_failed",
        message = "the secret is no longer at version " .. options.if_match,
      })
    elseif not fields.file and not seen.meta then
      return nil
    end
    local question = { options = { cas = seen.version }, data = fields }
    local told = ask(self, "POST", "data", key, question)
    if told then
      return told.version or error(kstate.error{
        kind = "unsupported",
        message = "the mount is no KV engine of version 2",
        hint = "vault kv enable-versioning MOUNT makes it one",
      })
    end
  end
end

return kstate.backend{
  scheme = "vault",
  form = "HOST:PORT/MOUNT/FOLDER",
  summary = "Secrets in a KV engine, version 2, of HashiCorp Vault or OpenBao",
  options = {
    { name = "tls", type = "boolean", default = true, doc = "Vault is asked over HTTPS; SSL_CERT_FILE names an authority of your own" },
    { name = "namespace", doc = "the namespace; default: VAULT_NAMESPACE" },
  },
  environment = {
    { name = "VAULT_TOKEN", doc = "the token" },
    { name = "VAULT_NAMESPACE", doc = "the namespace, without the option" },
  },
  permissions = { http = { "$authority" }, env = { "VAULT_TOKEN" } },
  beside = { "older versions", "custom metadata", "other fields than `file`" },
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    proven_conditions = true,
    checksum = "md5",
    list = "one_level",
    sorted = false,
    empty_folders = true,
    -- Vault's own storage takes 1 MiB of what is encoded.
    max_size = "700KiB",
  },

  open = function(config)
    return {
      base = (config.options.tls and "https://" or "http://") .. config.authority,
      headers = {
        ["x-vault-request"] = "true",
        ["x-vault-token"] = kstate.env.get("VAULT_TOKEN"),
        ["x-vault-namespace"] = config.options.namespace or kstate.env.get("VAULT_NAMESPACE"),
      },
    }
  end,

  stat = function(self, key)
    return find(self, key).meta
  end,

  read = function(self, key)
    local seen = find(self, key)
    return seen.bytes, seen.meta
  end,

  write = function(self, key, body, options)
    local version = change(self, key, options, { file = kstate.base64.encode(body:read()) })
    return { tag = tostring(version) }
  end,

  delete = function(self, key, options)
    local version = change(self, key, options, {})
    if version then
      -- For those who look with Vault's own tools. The secret is empty, and so gone, without it.
      kstate.try(ask, self, "POST", "delete", key, { versions = { version } })
    end
  end,

  list = function(self, folder)
    local told = ask_patiently(self, "LIST", "metadata", folder .. "/")
    local items = {}
    kstate.task.map(told and told.keys or {}, function(name)
      local key = folder .. "/" .. name
      if name:sub(-1) == "/" then
        items[#items + 1] = { prefix = key }
        return
      end
      -- Vault tells no sizes here.
      local seen = look(self, key)
      items[#items + 1] = seen.is_foreign and { foreign = key, reason = FOREIGN } or seen.meta
    end)
    return { items = items }
  end,
}
