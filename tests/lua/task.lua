-- Tasks: order, limits, errors, cancellation.
local task = kstate.task

-- no more run at once than asked for, and results keep the list's order
local running, most = 0, 0
local results = task.map({ 5, 4, 3, 2, 1 }, function(n, index)
  running = running + 1
  most = math.max(most, running)
  task.sleep(n / 1000)
  running = running - 1
  return n * 10 + index
end, { concurrency = 2 })
assert(most == 2 and table.concat(results, ",") == "51,42,33,24,15")

-- the first error cancels the others, closes what they hold, and says which item failed
local closed = 0
local ok, e = pcall(task.map, { "slow", "bad" }, function(what)
  local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
  if what == "bad" then
    task.sleep("1ms")
    error(kstate.error({ kind = "unavailable", message = "gone" }))
  end
  task.sleep("1h")
end)
assert(not ok and e.kind == "unavailable" and e.index == 2 and closed == 2)
assert(tostring(e) == "task 2: gone", tostring(e))

-- or all are tried
local good, bad = task.map({ 1, 2, 3 }, function(n)
  if n ~= 2 then error("odd " .. n, 0) end
  return n
end, { on_error = "collect" })
assert(good[2] == 2 and good[1] == nil and bad[1].message == "odd 1" and bad[3].index == 3)
local _, none = task.map({}, print, { on_error = "collect" })
assert(none == nil)
assert(not pcall(task.map, {}, print, { on_error = "ignore" }))
assert(not pcall(task.map, {}, print, { concurrency = 0 }))

-- an iterator is asked for no more than is needed
local asked = 0
local function numbers()
  asked = asked + 1
  if asked <= 100 then return asked end
end
assert(#task.map(numbers, function(n) return n end, { concurrency = 3 }) == 100)
asked = 0
assert(not pcall(task.map, numbers, function(n) if n == 5 then error("stop") end end,
  { concurrency = 2 }))
assert(asked <= 8, asked)
ok, e = pcall(task.map, function() error("broken iterator", 0) end, print)
assert(not ok and e == "broken iterator")
assert(not pcall(task.map, 5, print))
local store = kstate.store.open("memfs://task")
for i = 1, 5 do store:write("k" .. i, tostring(i)) end
local read = task.map(store:walk(), function(entry) return store:read(entry.key) end)
assert(table.concat(read) == "12345")

-- race, and the losers are cancelled
local finished = false
local value, index = task.race({
  function() task.sleep("1h") finished = true end,
  function() task.sleep("1ms") return "won" end,
})
assert(value == "won" and index == 2 and not finished)
assert(not pcall(task.race, {}))

-- timeout gives results through, and says how long it waited
local a, b = task.timeout("1h", function(x, y) return y, x end, 1, 2)
assert(a == 2 and b == 1)
ok, e = pcall(task.timeout, 0.01, task.sleep, 3600)
assert(not ok and e:is("timeout") and e.message == "it took longer than 10ms", e.message)

-- retry gives up on what will not pass, and after the attempts
local calls = 0
ok, e = pcall(task.retry, function() calls = calls + 1 error("broken", 0) end, { wait = "1ms" })
assert(not ok and e == "broken" and calls == 1)
calls = 0
ok, e = pcall(task.retry, function()
  calls = calls + 1
  error(kstate.error({ kind = "throttled", message = "slow down" }))
end, { attempts = 3, wait = 0, on = { "throttled" } })
assert(not ok and e.kind == "throttled" and calls == 3)

-- a semaphore is given back at the end of its scope, also after an error
local gate = task.semaphore(1)
pcall(function()
  local permit <close> = gate:acquire()
  error("x")
end)
task.timeout("1m", function() gate:acquire():release() end)
