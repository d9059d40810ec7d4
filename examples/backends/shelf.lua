-- A backend to learn from: it keeps objects in a Lua table, as long as kstate runs.
--
--   kstate --backend examples/backends/shelf.lua sync ./state shelf://demo
--
-- docs/backends.md goes through it. Everything above `return` runs once in each VM; the fields
-- above the functions are read without running anything, so they are written out.

-- An expected failure is an error with its kind, by which everybody knows what to do.
local function check(object, options)
  if options.if_absent and object then
    error(kstate.error{ kind = "already_exists", message = "the object exists already" })
  end
  if options.if_match and not (object and object.meta.tag == options.if_match) then
    error(kstate.error{
      kind = "precondition_failed",
      message = "the object is no longer the version that was read",
    })
  end
end

return kstate.backend{
  scheme = "shelf",
  summary = "Objects in memory, as long as kstate runs",
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    proven_conditions = true,
    metadata = true,
    checksum = "md5",
    ephemeral = true,
    sorted = false,
  },

  -- What it returns is the `self` of the functions below: one for each place that is opened.
  open = function(config)
    return { name = config.authority, objects = {}, writes = 0 }
  end,

  stat = function(self, key)
    local object = self.objects[key]
    return object and object.meta
  end,

  -- The bytes, and the metadata since it is at hand; nothing when there is no such object.
  read = function(self, key)
    local object = self.objects[key]
    if object then
      return object.bytes, object.meta
    end
  end,

  write = function(self, key, body, options)
    -- Reading the body may wait for others: only what comes after it happens at once.
    local bytes = body:read()
    check(self.objects[key], options)
    self.writes = self.writes + 1
    local meta = {
      size = #bytes,
      tag = "v" .. self.writes,
      modified = os.time(),
      checksum = { algorithm = "md5", value = kstate.hash.md5(bytes) },
      content_type = options.content_type,
      user = options.user,
    }
    self.objects[key] = { bytes = bytes, meta = meta }
    return meta
  end,

  delete = function(self, key, options)
    check(self.objects[key], options)
    self.objects[key] = nil
  end,

  -- Everything below a folder, at all depths. One level, ranges and all else is derived from it.
  list = function(self, folder)
    local below = folder == "" and "" or folder .. "/"
    local items = {}
    for key, object in pairs(self.objects) do
      if key:sub(1, #below) == below then
        local meta = object.meta
        items[#items + 1] = {
          key = key,
          size = meta.size,
          tag = meta.tag,
          modified = meta.modified,
          checksum = meta.checksum,
        }
      end
    end
    return { items = items }
  end,
}
