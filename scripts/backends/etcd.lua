-- etcd://HOST:PORT/FOLDER: the keys of an etcd, 3.4 or newer.
--
-- An object's key is etcd's key and its bytes are the value: `etcdctl get FOLDER/c1/config` shows it,
-- and what `etcdctl put` writes is an object too. The tag is the revision of etcd that wrote it.
-- Conditions are those of a transaction, so they hold whatever the timing. etcd tells neither sizes
-- nor times: a listing reads the values, from which it has sizes and checksums; no object has a time.
--
-- etcd is asked over its JSON gateway. There bytes are base64, whole numbers are texts, and what is
-- zero, false or empty is left out.

local encode, decode = kstate.base64.encode, kstate.base64.decode

-- How many keys are read at once; each has at most 1 MiB.
local PAGE = 64

local function post(self, call, question, token)
  return kstate.http.request(self.base .. "/v3/" .. call, {
    method = "POST",
    headers = { authorization = token },
    body = kstate.json.encode(question),
    limit = "128MiB",
  })
end

-- What etcd said instead of doing it.
local function failure(answer)
  local told = kstate.try(kstate.json.decode, answer.body)
  local words = type(told) == "table" and told.message or nil
  if words and (words:find("authentication failed") or words:find("user name is empty")) then
    return kstate.error{
      kind = "permission_denied",
      message = words,
      hint = "name a user in ?user= or ETCDCTL_USER, and the password in ETCDCTL_PASSWORD",
    }
  end
  return kstate.http.error(answer, { message = words })
end

-- Without a token, since etcd refuses even this with an old one.
local function login(self)
  local answer = post(self, "auth/authenticate", { name = self.user, password = self.password })
  if answer.status ~= 200 then
    error(failure(answer))
  end
  self.token = kstate.json.decode(answer.body).token
end

-- Tokens end when they aren't used for minutes, with etcd itself, and with each change of a user.
local function is_for_a_new_token(answer)
  return answer.status == 401 or answer.body:find("revision of auth store is old", 1, true)
end

local function ask(self, call, question)
  if self.user and not self.token then
    login(self)
  end
  local answer = post(self, call, question, self.token)
  if self.user and is_for_a_new_token(answer) then
    login(self)
    answer = post(self, call, question, self.token)
  end
  if answer.status ~= 200 then
    error(failure(answer))
  end
  return kstate.json.decode(answer.body)
end

-- For what may be done twice. A change under a condition may not: had the first try come through
-- and only its answer been lost, the second would find the condition broken, by itself.
local function ask_patiently(self, call, question)
  return kstate.task.retry(function()
    return ask(self, call, question)
  end, { wait = "200ms" })
end

-- Does an operation if its condition holds, in one step; gives the revision of etcd by then.
local function change(self, key, options, operation)
  local compare = { key = encode(key), result = "EQUAL" }
  if options.if_absent then
    compare.target, compare.create_revision = "CREATE", "0"
  elseif options.if_match then
    compare.target, compare.mod_revision = "MOD", options.if_match
  end
  local answer
  if compare.target then
    answer = ask(self, "kv/txn", { compare = { compare }, success = { operation } })
  else
    answer = ask_patiently(self, "kv/txn", { success = { operation } })
  end
  if answer.succeeded then
    return answer.header.revision
  elseif options.if_absent then
    error(kstate.error{ kind = "already_exists", message = "the key exists already" })
  else
    error(kstate.error{
      kind = "precondition_failed",
      message = "the key is no longer at the revision " .. options.if_match,
    })
  end
end

-- What is known of bytes: etcd's own checksums are of whole members, not of keys.
local function told(key, bytes, revision)
  return {
    key = key,
    size = #bytes,
    tag = revision,
    checksum = { algorithm = "md5", value = kstate.hash.md5(bytes) },
  }
end

local function find(self, key)
  local answer = ask_patiently(self, "kv/range", { key = encode(key) })
  local found = answer.kvs and answer.kvs[1]
  if found then
    local bytes = decode(found.value or "")
    return bytes, told(key, bytes, found.mod_revision)
  end
end

-- Keys from one on, all as they were at one revision, so that a listing of many pages is of one
-- moment. Where etcd has given that revision up meanwhile, it goes on with what is there now: each
-- key that stays is told all the same, once and in order.
local function page_of(self, from, before, revision)
  local question = {
    key = encode(from),
    range_end = encode(before),
    limit = PAGE,
    revision = revision,
  }
  local answer, failed = kstate.try(ask_patiently, self, "kv/range", question)
  if failed and revision and tostring(failed):find("has been compacted", 1, true) then
    return page_of(self, from, before, nil)
  elseif failed then
    error(failed)
  end
  return answer, revision or answer.header.revision
end

return kstate.backend{
  scheme = "etcd",
  form = "HOST:PORT/FOLDER",
  summary = "The keys of an etcd",
  options = {
    { name = "user", doc = "who reads and writes; default: ETCDCTL_USER. The password is in ETCDCTL_PASSWORD" },
    { name = "tls", type = "boolean", default = false, doc = "etcd is asked over HTTPS; SSL_CERT_FILE names an authority of your own" },
  },
  environment = {
    { name = "ETCDCTL_PASSWORD", doc = "the password" },
    { name = "ETCDCTL_USER", doc = "the user, or USER:PASSWORD, without the option" },
  },
  permissions = { http = { "$authority" }, env = { "ETCDCTL_PASSWORD" } },
  beside = { "leases", "older revisions" },
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    proven_conditions = true,
    checksum = "md5",
    list = "both",
    start_after = true,
    -- etcd takes 1.5 MiB in a request.
    max_size = "1MiB",
  },

  open = function(config)
    if not config.authority:find(":%d+$") then
      error(kstate.error{
        kind = "unsupported",
        message = "the URL names no port",
        hint = "etcd mostly listens on 2379: " .. config.scheme .. "://HOST:2379/FOLDER",
      })
    end
    -- etcdctl takes both in ETCDCTL_USER.
    local user, password = config.options.user, kstate.env.get("ETCDCTL_PASSWORD")
    if not user then
      local name, behind = (kstate.env.get("ETCDCTL_USER") or ""):match("^([^:]+):?(.*)$")
      user = name
      password = password or behind
    end
    return {
      base = (config.options.tls and "https://" or "http://") .. config.authority,
      user = user,
      password = password,
    }
  end,

  stat = function(self, key)
    local _, meta = find(self, key)
    return meta
  end,

  read = find,

  write = function(self, key, body, options)
    local bytes = body:read()
    local put = { request_put = { key = encode(key), value = encode(bytes) } }
    return told(key, bytes, change(self, key, options, put))
  end,

  delete = function(self, key, options)
    change(self, key, options, { request_delete_range = { key = encode(key) } })
  end,

  list = function(self, folder, options)
    local below = folder == "" and "" or folder .. "/"
    -- What begins with a folder and its slash comes before the folder and the next character.
    local from, before = "\0", "\0"
    if folder ~= "" then
      from, before = below, folder .. "0"
    end
    if options.start_after and options.start_after >= from then
      from = options.start_after .. "\0"
    end
    local at = options.next or { from = from }
    local answer, revision = page_of(self, at.from, before, at.revision)

    local items, last, inside = {}, nil, nil
    for _, found in ipairs(answer.kvs or {}) do
      local key = decode(found.key)
      last = key .. "\0"
      local name = options.one_level and key:match("^([^/]+)/", #below + 1)
      if not name then
        items[#items + 1] = told(key, decode(found.value or ""), found.mod_revision)
      elseif name ~= inside then
        inside = name
        items[#items + 1] = { prefix = below .. name .. "/" }
      end
      if name then
        -- The rest of the folder need not be read.
        last = below .. name .. "0"
      end
    end
    return { items = items, next = answer.more and { from = last, revision = revision } or nil }
  end,
}
