-- Builds the environment that scripts see. The raw globals stay in here: mlua takes
-- `coroutine.yield` from them for every async function, and scripts must not reach them.
local raw, host = ...

local error, type, select, next = raw.error, raw.type, raw.select, raw.next
local rawset, setmetatable, pairs = raw.rawset, raw.setmetatable, raw.pairs
local rawpcall, rawxpcall, rawload = raw.pcall, raw.xpcall, raw.load
local co = raw.coroutine
local rawcreate, rawresume, rawyield, rawclose = co.create, co.resume, co.yield, co.close
local rawstatus, rawrunning = co.status, co.running
local weak_keys = { __mode = "k" }

-- Read-only views. `rawset` is the one way around `__newindex`, so it asks here first.
local frozen = setmetatable({}, weak_keys)

local function freeze(contents, name)
  local view = setmetatable({}, {
    __index = contents,
    __newindex = function(_, key)
      error("'" .. name .. "' is read-only (tried to set '" .. host.show(key) .. "')", 2)
    end,
    -- Its own step: what `next` works on would be the table itself.
    __pairs = function(view)
      return function(_, key)
        return next(contents, key)
      end, view, nil
    end,
    __len = function()
      return #contents
    end,
    __name = name,
    __metatable = false,
  })
  frozen[view] = name
  return view
end

-- Errors of Rust functions arrive as mlua's own userdata; scripts get the error object instead.
-- A stop (exit, Ctrl-C, timeout) passes every handler.
local BUG = "this is a bug in kstate"

-- A panic of the host's goes on wherever Rust looks at it.
local function looked_at(e)
  local ok, fixed, stop = rawpcall(host.fix, e)
  if ok then
    return fixed, stop
  end
  return BUG, false
end

local function fix(e)
  if type(e) ~= "userdata" then
    return e
  end
  local fixed, stop = looked_at(e)
  if stop then
    error(fixed, 0)
  end
  return fixed
end

local function settle(ok, ...)
  if ok then
    return true, ...
  end
  return false, fix((...))
end

local function pcall(...)
  return settle(rawpcall(...))
end

local function xpcall(f, handler, ...)
  return settle(rawxpcall(f, function(e)
    if type(e) ~= "userdata" then
      return handler(e)
    end
    local fixed, stop = looked_at(e)
    if stop then
      return fixed
    end
    return handler(fixed)
  end, ...))
end

-- `__close` gets the error that is on its way, which must be readable there too.
local closers = setmetatable({}, weak_keys)

local function closer(close)
  local wrapped = function(value, e)
    if type(e) == "userdata" then
      e = looked_at(e)
    end
    return close(value, e)
  end
  closers[wrapped] = true
  return wrapped
end

local function set_metatable(t, metatable)
  if type(metatable) == "table" then
    if raw.rawget(metatable, "__gc") ~= nil then
      error("'__gc' is not available in scripts: nothing could stop it; use a <close> variable", 2)
    end
    local close = raw.rawget(metatable, "__close")
    if type(close) == "function" and not closers[close] then
      rawset(metatable, "__close", closer(close))
    end
  end
  return setmetatable(t, metatable)
end

-- Coroutines. A script's own yield carries MARK; what comes without it is a Rust future that
-- waits, or the instruction hook, and is handed on to whoever drives the outer coroutine.
local MARK = {}
local ours = setmetatable({}, weak_keys)
local waiting = setmetatable({}, weak_keys)

local guard = {
  __close = function(self)
    local thread = self.thread
    if thread then
      waiting[thread] = nil
      rawclose(thread)
    end
  end,
}

local function resumed(armed, ...)
  waiting[armed.thread] = nil
  armed.thread = nil
  return ...
end

local function suspend(thread, ...)
  waiting[thread] = true
  local armed <close> = setmetatable({ thread = thread }, guard)
  return resumed(armed, rawyield(...))
end

local function drive(thread, ok, ...)
  if not ok then
    return false, fix((...))
  end
  if rawstatus(thread) == "dead" then
    return true, ...
  end
  if (...) == MARK then
    return true, select(2, ...)
  end
  return drive(thread, rawresume(thread, suspend(thread, ...)))
end

local function create(f)
  local thread = rawcreate(f)
  ours[thread] = true
  host.coroutine_made()
  return thread
end

local function check(thread)
  if type(thread) ~= "thread" or not ours[thread] then
    error("this is no coroutine of the script", 3)
  end
end

local function resume(thread, ...)
  check(thread)
  if waiting[thread] then
    return false, "cannot resume non-suspended coroutine"
  end
  return drive(thread, rawresume(thread, ...))
end

local function unwrap(thread, ok, ...)
  if ok then
    return ...
  end
  rawclose(thread)
  error((...), 0)
end

local coroutine = {
  create = create,
  resume = resume,
  wrap = function(f)
    local thread = create(f)
    return function(...)
      return unwrap(thread, resume(thread, ...))
    end
  end,
  yield = function(...)
    if not ours[rawrunning()] then
      error("attempt to yield from outside a coroutine", 2)
    end
    return rawyield(MARK, ...)
  end,
  close = function(thread)
    check(thread)
    if waiting[thread] or rawstatus(thread) == "running" then
      error("cannot close a running coroutine", 2)
    end
    local ok, e = rawclose(thread)
    if ok then
      return true
    end
    return false, fix(e)
  end,
  status = function(thread)
    return waiting[thread] and "normal" or rawstatus(thread)
  end,
  running = function()
    local thread = rawrunning()
    return thread, not ours[thread]
  end,
  isyieldable = function()
    return ours[rawrunning()] or false
  end,
}

local public = {}

local function load(chunk, name, mode, ...)
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, "only text chunks can be loaded"
  end
  local env = public
  if select("#", ...) > 0 then
    env = (...)
  end
  return rawload(chunk, name, "t", env)
end

local collect = { count = true, collect = true, step = true }

local function collectgarbage(option, ...)
  if not collect[option or "collect"] then
    error("collectgarbage('" .. host.show(option) .. "') is not available in scripts", 2)
  end
  return raw.collectgarbage(option, ...)
end

for _, name in raw.ipairs({
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen",
  "select", "tonumber", "tostring", "type", "_VERSION",
}) do
  public[name] = raw[name]
end

public.setmetatable = set_metatable
public.pcall = pcall
public.xpcall = xpcall
public.load = load
public.collectgarbage = collectgarbage
public.rawset = function(t, ...)
  if frozen[t] then
    error("'" .. frozen[t] .. "' is read-only", 2)
  end
  return rawset(t, ...)
end

local os = raw.os
raw.string.dump = nil
local strings = raw.getmetatable("")
strings.__metatable = false

for name, contents in pairs({
  coroutine = coroutine,
  math = raw.math,
  os = { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime },
  string = raw.string,
  table = raw.table,
  utf8 = raw.utf8,
}) do
  public[name] = freeze(contents, name)
end
public._G = public

-- Calls a function so that its error comes back as an error object with a traceback.
local function traced(e)
  local ok, error_object = rawpcall(host.traced, e)
  return ok and error_object or host.traced(BUG)
end

local function call(f, ...)
  return rawxpcall(f, traced, ...)
end

return public, freeze, call
