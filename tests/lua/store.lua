-- Stores from a script's point of view.
local store = kstate.store.open("memfs://tests/top")
assert(tostring(store) == "memfs://tests/top" and store:url() == "memfs://tests/top")

-- a missing key is nil, and so are its metadata
assert(store:read("a") == nil and store:stat("a") == nil and not store:exists("a"))

-- bytes are bytes
local bytes = "\0\255\n" .. ("x"):rep(100000)
local meta = store:write("bin", bytes, { content_type = "application/x-test" })
assert(meta.key == "bin" and meta.size == #bytes and meta.tag)
assert(store:read("bin") == bytes)
assert(store:read("bin", { range = { 1, 2 } }) == "\255\n")
assert(store:read("bin", { range = { #bytes + 5, 2 } }) == "")
local stat = store:stat("bin")
assert(stat.content_type == "application/x-test" and stat.modified > 1700000000)
assert(stat.checksum.algorithm and #stat.checksum.value > 0)

-- preconditions are values, not errors
local value, err = store:write("bin", "new", { if_absent = true })
assert(value == nil and err:is("already_exists") and err.key == "bin")
value, err = store:write("bin", "new", { if_match = "nonsense" })
assert(value == nil and err:is("precondition_failed"))
assert(store:write("bin", "new", { if_match = meta.tag }))
value, err = store:read("bin", { if_match = meta.tag })
assert(value == nil and err:is("precondition_failed"))
value, err = store:delete("bin", { if_match = meta.tag })
assert(value == nil and err:is("precondition_failed"))
assert(store:delete("bin") == true and store:delete("bin") == true)

-- the rest is raised, with everything in it
local ok, e = pcall(store.write, store, "../x", "y")
assert(not ok and e.kind == "invalid_key" and e.op == "write" and e.url == "memfs://tests/top")
ok, e = pcall(store.write, store, "x", "y", { if_absnt = true })
assert(not ok and e.message:find("did you mean 'if_absent'?", 1, true))
ok, e = pcall(kstate.store.open, "s33://x")
assert(not ok and e.kind == "invalid" and e.hint)
ok, e = pcall(store.read, store, "x", { limit = "soon" })
assert(not ok and e.message:find("is no size"))
store:write("big", ("x"):rep(2048))
ok, e = pcall(store.read, store, "big", { limit = "1KiB" })
assert(not ok and e.kind == "unsupported" and e.key == "big", e)
store:delete("big")
ok, e = pcall(store.copy, store, "none", store, "other")
assert(not ok and e:is("not_found") and e.key == "none")

-- listings: byte order, one level or all, from a folder
for _, key in ipairs({ "c/2", "c/1/x", "b", "c/1/y", "cc" }) do
  store:write(key, key)
end
local function names(listing)
  local list = {}
  for _, entry in ipairs(listing:collect()) do
    list[#list + 1] = entry.prefix or entry.key
  end
  return table.concat(list, " ")
end
assert(names(store:list()) == "b c/ cc")
assert(names(store:list("c")) == "c/1/ c/2")
assert(names(store:list("c/", { recursive = true })) == "c/1/x c/1/y c/2")
assert(names(store:walk()) == "b c/1/x c/1/y c/2 cc")
assert(names(store:at("c"):walk()) == "1/x 1/y 2")
assert(#store:walk():collect(2) == 2)

-- a loop may end early, and listings work in tasks and coroutines
for entry in store:walk() do
  assert(entry.key == "b" and entry.size == 1)
  break
end
local seen = coroutine.wrap(function()
  for entry in store:walk("c") do
    coroutine.yield(entry.key)
  end
end)
assert(seen() == "c/1/x" and seen() == "c/1/y" and seen() == "c/2" and seen() == nil)
local read = kstate.task.map(store:walk():collect(), function(entry)
  return store:read(entry.key)
end, { concurrency = 2 })
assert(#read == 5 and read[5] == "cc")

-- a closed listing gives nothing more
local listing = store:walk()
do
  local closing <close> = listing
  assert(listing().key == "b")
end
assert(listing() == nil)

-- copies
local other = kstate.store.open("memfs://other")
assert(store:copy("b", other).size == 1 and other:read("b") == "b")
