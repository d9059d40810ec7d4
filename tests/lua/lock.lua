-- Locks: results, errors, nesting, cancelling; what is locked twice; what is left behind.
local store, task = kstate.store.open("memfs://lock/state"), kstate.task

local function left()
  local keys = {}
  for object in store:walk() do
    keys[#keys + 1] = object.key
  end
  return table.concat(keys, " ")
end

-- results come through, all of them; the object is there meanwhile, and gone afterwards
local a, b, c = store:lock("one", function(lock)
  assert(lock.name == "one" and lock.strength == "atomic" and math.type(lock.fencing) == "integer")
  assert(lock.holder:match("@.*pid"), lock.holder)
  assert(left() == ".kstate/locks/one", left())
  local record = kstate.json.decode(store:read(".kstate/locks/one"))
  assert(record.fencing == lock.fencing and record.ttl == 60)
  return 1, nil, 3
end)
assert(a == 1 and b == nil and c == 3 and left() == "")

-- the number grows
local function fencing()
  return store:lock("one", function(lock) return lock.fencing end)
end
assert(fencing() < fencing())

-- errors come through, whatever they are
local ok, e = pcall(store.lock, store, "one", function() error("mine", 0) end)
assert(not ok and e == "mine" and left() == "")
local thrown = { my = true }
ok, e = pcall(store.lock, store, "one", {}, function() error(thrown) end)
assert(not ok and e == thrown and left() == "")

-- locks nest, also on a folder of the store, whose locks lie at its top
store:lock("one", function()
  store:at("c.example.com"):lock("two", { ttl = 5 }, function()
    assert(left() == ".kstate/locks/one .kstate/locks/two", left())
  end)
  -- the same one twice would wait for itself
  ok, e = pcall(store.lock, store:at("sub"), "one", { wait = "1h" }, print)
  assert(not ok and e:is("locked") and e.message:find("already"), tostring(e))
  -- another store's is another one
  kstate.store.open("memfs://lock/other"):lock("one", function() end)
end)

-- in coroutines, in tasks
local inside = coroutine.wrap(function()
  return store:lock("one", function()
    task.sleep("1ms")
    return left()
  end)
end)
assert(inside() == ".kstate/locks/one" and left() == "")
local numbers = task.map({ 1, 2, 3 }, function(n)
  return store:lock("n" .. n, function() return n end)
end)
assert(#numbers == 3 and left() == "")

-- one that is cancelled gives it back, and it can be taken again at once
ok, e = pcall(task.timeout, "20ms", function()
  store:lock("one", function() task.sleep("1h") end)
end)
assert(not ok and e:is("timeout"))
assert(store:lock("one", function() return true end))
ok, e = pcall(task.timeout, "20ms", coroutine.wrap(function()
  store:lock("one", function() task.sleep("1h") end)
end))
assert(not ok and e:is("timeout"))
assert(store:lock("one", function() return true end))
task.race({
  function() store:lock("one", function() task.sleep("1h") end) end,
  function() task.sleep("5ms") end,
})
assert(store:lock("one", function() return true end) and left() == "")

-- what can't be a name or an option
for _, name in ipairs({ "", "a/b", "..", ".a", "a b", "a.d", "ä", ("x"):rep(101) }) do
  ok, e = pcall(store.lock, store, name, print)
  assert(not ok and e:is("invalid"), name)
end
for _, options in ipairs({ { ttl = "1ms" }, { ttl = "25h" }, { min_strength = "strong" }, { wiat = "1s" } }) do
  ok, e = pcall(store.lock, store, "one", options, print)
  assert(not ok and e:is("invalid"), kstate.json.encode(options))
end
for _, arguments in ipairs({ {}, { "one" }, { "one", {} }, { "one", print, {} }, { "one", {}, print, 1 } }) do
  ok, e = pcall(store.lock, store, table.unpack(arguments))
  assert(not ok and e:is("invalid"), #arguments)
end
assert(left() == "")
