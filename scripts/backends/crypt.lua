-- crypt://NAME?store=URL&recipients=age1…&identity=FILE: any store, with all contents encrypted
-- by age, and with names=true the names too.
--
-- An object is one line that fills up to a fixed length, and an age file behind it: so its size
-- tells the size of what is in it. By hand: `tail -n +2 OBJECT | age -d -i FILE`.
--
-- With names=true an object lies at `o/` and a keyed hash of its key. In front of it stands its
-- key, encrypted in the same way, with its length in the line: with a name of 20 bytes that takes
-- 2100, so by hand `tail -c +2101 OBJECT | tail -n +2 | age -d -i FILE`. The hash's own key is the
-- object `key`, encrypted as all others, which stays when all others are gone.

local MARK = "kstate-crypt/1 "
-- What the line and age's header take together: enough for 15 recipients.
local ROOM = 2048
-- age encrypts in chunks and puts a checksum to each, and a nonce in front.
local CHUNK, SUM, NONCE = 65536, 16, 16
local LONGEST_NAME = 4096

local function sealed_size(size)
  local chunks = math.max(1, (size + CHUNK - 1) // CHUNK)
  return ROOM + NONCE + size + chunks * SUM
end

local function plain_size(size)
  local payload = size - ROOM - NONCE
  return payload - (payload + CHUNK + SUM - 1) // (CHUNK + SUM) * SUM
end

local function seal(self, bytes, note)
  if #self.recipients == 0 then
    error(kstate.error{
      kind = "invalid",
      message = "nobody is named who may read what is written",
      hint = "add ?recipients=age1… with one or more public keys",
    })
  end
  local line = MARK .. (note or "")
  local sealed = kstate.age.encrypt(bytes, self.recipients)
  local fill = sealed_size(#bytes) - #sealed - #line - 1
  if fill < 0 then
    error(kstate.error{ kind = "invalid", message = "there are too many recipients" })
  end
  return line .. ("."):rep(fill) .. "\n" .. sealed
end

local function open_sealed(self, bytes)
  local line = bytes:find("\n", 1, true)
  if bytes:sub(1, #MARK) ~= MARK or not line then
    error(kstate.error{
      kind = "corrupt",
      message = "this was not written through crypt://",
      hint = "read it from " .. self.store:url() .. " itself",
    })
  end
  return kstate.age.decrypt(bytes:sub(line + 1), self.identities)
end

-- The secret behind the hashes; whoever writes first makes it.
local function hash_key(self, is_write)
  if not self.hash_key then
    local sealed = self.store:read("key")
    if not sealed and is_write then
      -- What age makes of nothing is random, and never leaves this function.
      local fresh = kstate.hash.sha256(kstate.age.encrypt("", self.recipients))
      self.store:write("key", seal(self, fresh), { if_absent = true })
      sealed = self.store:read("key")
    end
    self.hash_key = sealed and open_sealed(self, sealed)
  end
  return self.hash_key
end

-- Where an object lies; nowhere, before the first write.
local function place_of(self, key, is_write)
  if not self.names then
    return key
  end
  local secret = hash_key(self, is_write)
  return secret and "o/" .. kstate.hash.sha256(secret .. kstate.hash.sha256(secret .. key))
end

-- What stands in front of an object.
local function head_size(self, key)
  return self.names and sealed_size(#key) or 0
end

-- What the inner store tells, as it is for what was encrypted.
local function told(self, meta, key)
  return {
    key = key,
    size = plain_size(meta.size - head_size(self, key)),
    tag = meta.tag,
    modified = meta.modified,
    content_type = meta.content_type,
  }
end

-- The name of what lies at a place; it never changes.
local function name_of(self, place)
  if not self.known[place] then
    local head = self.store:read(place, { range = { 0, sealed_size(LONGEST_NAME) } })
    local length = head and head:match("^%S+ (%d+) ")
    self.known[place] = length and open_sealed(self, head:sub(1, sealed_size(tonumber(length))))
  end
  return self.known[place]
end

local function all_names(self, below)
  local entries = kstate.task.map(self.store:walk("o"):collect(), function(entry)
    local key = name_of(self, entry.key)
    if not key then
      return { foreign = entry.key, size = entry.size, reason = "it has no name" }
    end
    return told(self, entry, key)
  end)
  local found = {}
  for _, entry in ipairs(entries) do
    if (entry.key or entry.foreign):sub(1, #below) == below then
      found[#found + 1] = entry
    end
  end
  table.sort(found, function(a, b)
    return (a.key or a.foreign) < (b.key or b.foreign)
  end)
  return { items = found }
end

return kstate.backend{
  scheme = "crypt",
  summary = "Any store, with contents and on demand names encrypted by age",
  wraps = "store",
  options = {
    { name = "store", type = "store", required = true, doc = "where the encrypted objects are" },
    { name = "recipients", type = "list", default = "", doc = "public keys (age1…) or files with them, with commas between" },
    { name = "identity", doc = "the file with the secret key; default: KSTATE_AGE_IDENTITY" },
    { name = "names", type = "boolean", default = false, doc = "names are encrypted too" },
  },
  environment = {
    { name = "KSTATE_AGE_IDENTITY", doc = "the file with the secret key, without the option" },
  },
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    proven_conditions = true,
    max_key = 4096,
    max_size = "64MiB",
  },

  open = function(config)
    local options = config.options
    local identity = options.identity or kstate.env.get("KSTATE_AGE_IDENTITY")
    return {
      store = options.store,
      recipients = options.recipients,
      identities = { identity },
      names = options.names,
      known = {},
    }
  end,

  stat = function(self, key)
    local place = place_of(self, key)
    local meta = place and self.store:stat(place)
    return meta and told(self, meta, key)
  end,

  read = function(self, key)
    local place = place_of(self, key)
    if not place then
      return nil
    end
    local sealed, meta = self.store:read(place, { meta = true })
    if sealed then
      return open_sealed(self, sealed:sub(head_size(self, key) + 1)), told(self, meta, key)
    end
  end,

  write = function(self, key, body, options)
    local place = place_of(self, key, true)
    local sealed = seal(self, body:read())
    if self.names then
      sealed = seal(self, key, #key .. " ") .. sealed
    end
    local meta, err = self.store:write(place, sealed, {
      if_absent = options.if_absent,
      if_match = options.if_match,
    })
    if not meta then
      return nil, err
    end
    return { tag = meta.tag, modified = meta.modified }
  end,

  delete = function(self, key, options)
    local place = place_of(self, key)
    if place then
      return self.store:delete(place, { if_match = options.if_match })
    elseif options.if_match then
      return nil, kstate.error{ kind = "precondition_failed", message = "the object that was seen is gone" }
    end
  end,

  list = function(self, folder)
    local below = folder == "" and "" or folder .. "/"
    if self.names then
      return all_names(self, below)
    end
    local entries = self.store:walk(folder)
    return function()
      local entry = entries()
      return entry and entry.key and told(self, entry, entry.key) or entry
    end, nil, nil, entries
  end,
}
