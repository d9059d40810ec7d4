-- Tests of NAME.lua: `kstate test` runs each function, with an empty store in memory.

local kstate = kstate
local script = require("NAME")

local test = {}

function test.lists_the_clusters(store)
  store:write("a.example.com/config", "kind: Cluster\n")
  store:write("b.example.com/config", "")
  script.main({ flags = { store = store:url() }, args = {}, dry_run = false })
  kstate.test.equal(kstate.json.decode(store:read("inventory.json")), {
    { name = "a.example.com", bytes = 14 },
    { name = "b.example.com", bytes = 0 },
  })
end

return test
