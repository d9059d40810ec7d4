-- What kOps takes for clusters: the folders right below the store that have a `config`.
local store = kstate.store.open("memfs://clusters-of-a-store")
for _, key in ipairs({
  ".git/config",
  "a.example.com/config",
  "a.example.com/instancegroup/config",
  "b.example.com/addons/x",
  "c.example.com/config",
  "config",
  "env/prod/config",
}) do
  store:write(key, "kind: Cluster\n")
end
local names = kstate.config.clusters(store)
assert(table.concat(names, " ") == "a.example.com c.example.com", table.concat(names, " "))
