-- webdav://HOST/FOLDER, and webdavs:// over HTTPS: the files of a WebDAV server (RFC 4918).
--
-- A file's ETag is its tag, but ETags alone don't make conditions hold. Servers look at them first
-- and write afterwards, so that of two who come at once both win; Apache's LOCK and MOVE are no
-- better. And its ETags tell the time in ticks of some milliseconds, so that two writes in one tick
-- look like one version. What servers do in one step is MKCOL, which makes a folder: whoever made the
-- folder of a certain name beside an object holds the object, and removes the folder after the
-- change. That keeps kstates apart. Other programs are noticed by the ETag, as well as the server can.
--
-- Folders are made as needed, and stay when they are empty: DELETE takes a folder with all that
-- somebody else put there at this moment. Empty folders are in no listing.

local PROPERTIES = [[<?xml version="1.0" encoding="utf-8"?>
<propfind xmlns="DAV:"><prop>
<resourcetype/><getcontentlength/><getetag/><getlastmodified/>
</prop></propfind>]]

-- How the name of a folder begins that holds an object.
local HOLD = ".kstate-hold-"
-- How many seconds another's hold is waited for, and at what age it counts no more: kstate ends every
-- call long before.
local WAIT, HELD = 30, 120
-- How often a read that meets changes is made anew, before the object is held for it.
local TRIES = 3
-- How often a hold is neither to be had nor to be seen before nobody may make it.
local REFUSED = 20

local function url_path(path)
  return "/" .. kstate.http.escape(path)
end

local function ask(self, method, path, headers, body)
  headers = headers or {}
  headers.authorization = self.authorization
  return kstate.http.request(self.base .. url_path(path), {
    method = method,
    headers = headers,
    body = body,
    limit = "65MiB",
    timeout = "50s",
  })
end

local function failure(answer)
  return kstate.http.error(answer, {
    message = answer.status == 423 and "another program has locked it" or nil,
    hint = answer.status == 401
        and "name a user in ?user= or WEBDAV_USER, and the password in WEBDAV_PASSWORD"
      or nil,
  })
end

-- For what only reads: asks again while that may help. Gives nothing where nothing is.
local function ask_patiently(self, method, path, headers, body)
  return kstate.task.retry(function()
    local answer = ask(self, method, path, headers, body)
    if answer.status == (method == "PROPFIND" and 207 or 200) then
      return answer
    -- Apache answers 400 about what would lie below a file.
    elseif answer.status ~= 404 and answer.status ~= 409 and answer.status ~= 400 then
      error(failure(answer))
    end
  end, { wait = "200ms" })
end

-- The headers that make a change depend on what was seen there.
local function only_over(path, seen)
  if seen then
    return { ["if"] = ("<%s> ([%s])"):format(url_path(path), seen.etag) }
  end
  return { ["if-none-match"] = "*" }
end

local ENTITIES = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function plain_text(xml)
  local text = xml:gsub("&(#?)(x?)(%w+);", function(is_number, is_hex, name)
    if is_number == "" then
      return ENTITIES[is_hex .. name]
    end
    return utf8.char(tonumber(name, is_hex == "" and 10 or 16))
  end)
  return text:match("^%s*(.-)%s*$")
end

-- The path in a response's href, which may be a whole URL.
local function path_of(href)
  local path = href:gsub("^%a[%w+.-]*://[^/]*", ""):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end)
  return path:match("^/*(.-)/*$")
end

-- The ETag of a version is weak while it is fresh, and strong later.
local function tag_of(etag)
  return (etag:gsub("^W/", ""))
end

-- What a multistatus tells of each path. Since only what was asked for is in it, the names of its
-- elements say all, whatever stands before their colons; those without text are missing properties.
local function read_multistatus(xml)
  local found, fields = {}, nil
  for tag, text in xml:gmatch("<([^%s>]+)[^>]*>([^<]*)") do
    local name = tag:match("[^:/]*/?$")
    if name == "response" and tag:sub(1, 1) ~= "/" then
      fields = { is_folder = false }
    elseif name == "response" then
      local etag, modified = fields.getetag, fields.getlastmodified
      local size = math.tointeger(tonumber(fields.getcontentlength))
      -- A name that is locked before it has a file is neither file nor folder.
      if size or fields.is_folder then
        found[#found + 1] = {
          path = path_of(fields.href),
          size = not fields.is_folder and size or nil,
          etag = etag,
          tag = etag and tag_of(etag) or nil,
          modified = modified and kstate.try(kstate.time.parse, modified) or nil,
        }
      end
    elseif name == "collection/" or name == "collection" then
      fields.is_folder = true
    elseif fields and text:find("%S") then
      fields[name] = plain_text(text)
    end
  end
  return found
end

-- What is at a path, and with the depth 1 what lies in a folder: many servers tell no more at once.
local function look(self, path, depth)
  local answer = ask_patiently(self, "PROPFIND", path, { depth = depth }, PROPERTIES)
  return answer and read_multistatus(answer.body) or {}, answer
end

local function find(self, key)
  local seen = look(self, key, "0")[1]
  return seen and seen.size and seen or nil
end

-- The bytes of a file and what is told of it; false when it changed meanwhile. Apache tells of a file
-- before it opens it: of one that is replaced in between, it gives the new bytes in the old length. So
-- what is told must still be true behind the bytes.
local function read_once(self, key)
  local answer = ask_patiently(self, "GET", key)
  local seen = answer and find(self, key)
  if not seen then
    return nil
  end
  local etag = answer.headers.etag
  local is_the_same = #answer.body == seen.size and (not etag or tag_of(etag) == seen.tag)
  return is_the_same and answer.body, seen
end

local function is_hold(path)
  return path:match("[^/]*$"):sub(1, #HOLD) == HOLD
end

-- Makes a folder, and those above it; gives the server's answer.
local function make_folder(self, folder)
  local answer = ask(self, "MKCOL", folder .. "/")
  local above = folder:match("^(.*)/")
  if answer.status == 409 and above then
    make_folder(self, above)
    answer = ask(self, "MKCOL", folder .. "/")
  end
  return answer
end

-- Removes a folder in which nothing lies at any depth, and tells whether that was so.
local function remove_empty(self, folder)
  local own, is_changed = nil, false
  for _, entry in ipairs(look(self, folder .. "/", "1")) do
    if entry.path == folder then
      own = entry
    elseif entry.size or is_hold(entry.path) or not remove_empty(self, entry.path) then
      return false
    else
      is_changed = true
    end
  end
  if is_changed then
    return remove_empty(self, folder)
  end
  -- What somebody puts there meanwhile changes the folder's ETag.
  local can = own and own.etag
  return can and ask(self, "DELETE", folder .. "/", only_over(folder .. "/", own)).status == 204
end

local function in_the_way()
  return kstate.error{
    kind = "unsupported",
    message = "on a WebDAV server no object can lie below another, and one is in the way",
    hint = "rename or delete the one that isn't needed",
  }
end

-- Waits for a hold, and makes it ours.
local function take(self, hold)
  local deadline, wait, refused = kstate.time.now() + WAIT, 0.004, 0
  while true do
    local answer = make_folder(self, hold)
    if answer.status == 201 then
      return
    elseif answer.status == 409 or answer.status == 400 then
      error(in_the_way())
    end
    local seen, told = look(self, hold .. "/", "0")
    seen = seen[1]
    refused = seen and 0 or refused + 1
    if refused > REFUSED then
      error(failure(answer))
    elseif seen and kstate.time.parse(told.headers.date) - (seen.modified or math.huge) > HELD then
      ask(self, "DELETE", hold .. "/", only_over(hold .. "/", seen))
    elseif kstate.time.now() > deadline then
      error(kstate.error{
        kind = "unavailable",
        message = "another kstate is changing it",
        hint = "when none is, two minutes after it was stopped the object is free again",
      })
    else
      kstate.task.sleep(wait * (0.5 + math.random()))
      wait = math.min(wait * 1.5, 0.1)
    end
  end
end

-- Calls a function while nobody else may change the object.
local function holding(self, key, f)
  local folder, name = key:match("^(.-)([^/]*)$")
  local hold = folder .. HOLD .. kstate.hash.sha256(name):sub(1, 16)
  take(self, hold)
  local done = table.pack(pcall(f))
  -- Where this fails the change is made all the same, and the hold ends by its age.
  pcall(ask, self, "DELETE", hold .. "/")
  if not done[1] then
    error(done[2])
  end
  return table.unpack(done, 2, done.n)
end

-- What is there, when that is what a change wants, and the headers that say so to the server.
local function checked(self, key, options)
  local seen = find(self, key)
  if options.if_absent and seen then
    error(kstate.error{ kind = "already_exists", message = "the file exists already" })
  elseif options.if_match and not (seen and seen.tag == options.if_match) then
    error(kstate.error{
      kind = "precondition_failed",
      message = "the file is no longer the version that was read",
    })
  end
  return seen, (options.if_absent or options.if_match) and only_over(key, seen) or nil
end

local function put(self, key, bytes, guard)
  local answer = ask(self, "PUT", key, guard, bytes)
  if answer.status == 409 or answer.status == 405 then
    if not remove_empty(self, key) then
      error(in_the_way())
    end
    answer = ask(self, "PUT", key, guard, bytes)
  end
  if answer.status >= 300 then
    error(failure(answer))
  end
end

return kstate.backend{
  scheme = { "webdav", "webdavs" },
  form = "HOST/FOLDER",
  summary = "The files of a WebDAV server",
  options = {
    { name = "user", doc = "who reads and writes; default: WEBDAV_USER. The password is in WEBDAV_PASSWORD" },
  },
  environment = {
    { name = "WEBDAV_USER", doc = "the user, without the option" },
    { name = "WEBDAV_PASSWORD", doc = "the password" },
  },
  permissions = { http = { "$authority" }, env = { "WEBDAV_PASSWORD" } },
  beside = { "properties of WebDAV", "owners and permissions", "locks" },
  capabilities = {
    if_absent = true,
    if_match = true,
    delete_if_match = true,
    hierarchical = true,
    list = "one_level",
    sorted = false,
    empty_folders = true,
    max_size = "64MiB",
  },

  open = function(config)
    local user = config.options.user or kstate.env.get("WEBDAV_USER")
    local password = kstate.env.get("WEBDAV_PASSWORD", "")
    return {
      base = (config.scheme == "webdavs" and "https://" or "http://") .. config.authority,
      authorization = user and "Basic " .. kstate.base64.encode(user .. ":" .. password),
    }
  end,

  stat = find,

  read = function(self, key)
    for _ = 1, TRIES do
      local bytes, seen = read_once(self, key)
      if bytes ~= false then
        return bytes, seen
      end
    end
    -- It is changed all the time: not while it is held.
    return holding(self, key, function()
      local bytes, seen = read_once(self, key)
      if bytes == false then
        error(kstate.error{ kind = "unavailable", message = "another program changes it all the time" })
      end
      return bytes, seen
    end)
  end,

  write = function(self, key, body, options)
    local bytes = body:read()
    if options.if_absent or options.if_match then
      -- Who has lost already need not wait for that.
      checked(self, key, options)
    end
    return holding(self, key, function()
      local seen, guard = checked(self, key, options)
      local new
      repeat
        put(self, key, bytes, guard)
        new = find(self, key)
        -- Again where the server's clock didn't tick, for an ETag of its own.
      until not (seen and new and seen.tag == new.tag)
      if not new then
        error(kstate.error{ kind = "unavailable", message = "another program deleted what was written" })
      end
      return { tag = new.tag, modified = new.modified }
    end)
  end,

  delete = function(self, key, options)
    -- Nothing is made beside what isn't there.
    if not checked(self, key, options) then
      return
    end
    holding(self, key, function()
      local seen, guard = checked(self, key, options)
      local answer = seen and ask(self, "DELETE", key, guard)
      if answer and answer.status >= 300 and answer.status ~= 404 then
        error(failure(answer))
      end
    end)
  end,

  list = function(self, folder)
    local items = {}
    for _, entry in ipairs(look(self, folder .. "/", "1")) do
      if entry.size then
        entry.key = entry.path
        items[#items + 1] = entry
      elseif entry.path ~= folder and not is_hold(entry.path) then
        items[#items + 1] = { prefix = entry.path .. "/" }
      end
    end
    return { items = items }
  end,
}
