-- http://HOST/FOLDER and https://HOST/FOLDER: what a web server gives out, read only.
--
-- A web server can't be asked what it has. With ?index=FILE the listing is in a file there: a
-- key on each line, relative to the server's top, and behind a tab its size in bytes.

-- The answer, or nil when there is no such thing.
local function ask(self, method, key)
  return kstate.task.retry(function()
    local url = self.base .. "/" .. kstate.http.escape(key)
    local answer = kstate.http.request(url, { method = method, limit = self.limit })
    if answer.status == 200 then
      return answer
    elseif answer.status ~= 404 and answer.status ~= 410 then
      error(kstate.http.error(answer))
    end
  end, { wait = "200ms" })
end

local function told(answer, size)
  local headers = answer.headers
  size = size or math.tointeger(tonumber(headers["content-length"]))
  if not size then
    error(kstate.error{ kind = "unsupported", message = "the server doesn't tell the size of it" })
  end
  return {
    size = size,
    tag = headers.etag or (headers["last-modified"] or "") .. "/" .. size,
    modified = headers["last-modified"] and kstate.try(kstate.time.parse, headers["last-modified"]),
    content_type = headers["content-type"],
  }
end

return kstate.backend{
  scheme = { "http", "https" },
  form = "HOST/FOLDER",
  summary = "What a web server gives out, read only",
  options = {
    { name = "index", doc = "the file at the server's top that lists the keys" },
    { name = "limit", type = "size", default = "64MiB", doc = "the largest object that is read" },
  },
  permissions = { http = { "$authority" } },
  capabilities = { read_only = true, metadata = true, sorted = false },

  open = function(config)
    return {
      base = config.scheme .. "://" .. config.authority,
      index = config.options.index,
      limit = config.options.limit,
    }
  end,

  stat = function(self, key)
    local answer = ask(self, "HEAD", key)
    return answer and told(answer)
  end,

  read = function(self, key)
    local answer = ask(self, "GET", key)
    if answer then
      return answer.body, told(answer, #answer.body)
    end
  end,

  list = function(self, folder)
    if not self.index then
      error(kstate.error{
        kind = "unsupported",
        message = "a web server can't be asked what it has",
        hint = "add ?index=FILE with the name of a file there that lists the keys",
      })
    end
    local answer = ask(self, "GET", self.index)
    if not answer then
      error(kstate.error{ kind = "not_found", message = "there is no index '" .. self.index .. "'" })
    end
    local below = folder == "" and "" or folder .. "/"
    local items = {}
    for line in answer.body:gmatch("[^\r\n]+") do
      local key, size = line:match("^(.-)\t(%d+)$")
      key, size = key or line, math.tointeger(tonumber(size))
      if key:sub(1, #below) == below then
        local meta = size and { size = size } or ask(self, "HEAD", key)
        if meta then
          items[#items + 1] = { key = key, size = size or told(meta).size }
        end
      end
    end
    return { items = items }
  end,
}
