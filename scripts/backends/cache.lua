-- cache://NAME?store=URL&cache=URL: any store, with what was read kept in another one.
--
-- Each read asks the store for the version that is there, and takes the bytes from the cache when
-- it has this very version: what is read is never old. The cache may be emptied at any time.

-- Larger objects are read in pieces, and not kept.
local PIECE = 8 * 1024 * 1024

-- A name in the cache that stands for one version of one object.
local function place_of(self, key, tag)
  local name = kstate.hash.sha256(self.store:url() .. "\0" .. key .. "\0" .. tag)
  return name:sub(1, 2) .. "/" .. name:sub(3)
end

-- Whether bytes are what the store tells of them. What lies in the cache may be damaged.
local function are_whole(bytes, meta)
  local sum = meta.checksum
  return #bytes == meta.size and (not sum or kstate.hash[sum.algorithm](bytes) == sum.value)
end

local function in_pieces(self, key, meta)
  local offset = 0
  return function()
    if offset >= meta.size then
      return nil
    end
    local piece, err =
      self.store:read(key, { range = { offset, PIECE }, if_match = meta.tag })
    if not piece then
      error(err or kstate.error{ kind = "unavailable", message = "it was deleted while it was read" })
    end
    offset = offset + #piece
    return piece
  end
end

return kstate.backend{
  scheme = "cache",
  summary = "Any store, with what was read kept in another one",
  wraps = "store",
  options = {
    { name = "store", type = "store", required = true, doc = "the store itself" },
    { name = "cache", type = "store", required = true, doc = "where copies are kept" },
    { name = "limit", type = "size", default = "8MiB", doc = "the largest object that is kept" },
  },
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    proven_conditions = true,
    metadata = false,
    checksum = "md5",
  },

  open = function(config)
    return config.options
  end,

  stat = function(self, key)
    return self.store:stat(key)
  end,

  read = function(self, key)
    local meta = self.store:stat(key)
    if not meta then
      return nil
    elseif meta.size > PIECE then
      return in_pieces(self, key, meta), meta
    end
    local bytes = self.cache:read(place_of(self, key, meta.tag))
    if bytes and are_whole(bytes, meta) then
      return bytes, meta
    end
    -- It may be a newer version by now.
    bytes, meta = self.store:read(key, { meta = true })
    if bytes and #bytes <= self.limit then
      self.cache:write(place_of(self, key, meta.tag), bytes)
    end
    return bytes, meta
  end,

  write = function(self, key, body, options)
    return self.store:write(key, body:read(), {
      if_absent = options.if_absent,
      if_match = options.if_match,
      content_type = options.content_type,
    })
  end,

  delete = function(self, key, options)
    return self.store:delete(key, { if_match = options.if_match })
  end,

  list = function(self, folder)
    return self.store:walk(folder)
  end,
}
