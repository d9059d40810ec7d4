-- Writes a list of the clusters in a state store to `inventory.json` at its top.
--
--   kstate run NAME --dry-run
--
-- docs/writing-scripts.md in kstate's sources tells how scripts are written, docs/reference.md all
-- that they can do.

local kstate = kstate

local function main(ctx)
  local store = kstate.store.open(ctx.flags.store)
  local clusters = {}
  for _, name in ipairs(kstate.config.clusters(store)) do
    local size = 0
    for object in store:at(name):walk() do
      size = size + (object.size or 0)
    end
    clusters[#clusters + 1] = { name = name, bytes = size }
  end
  store:write("inventory.json", kstate.json.encode(kstate.array(clusters)))
  kstate.log.info(("%d clusters in %s"):format(#clusters, store:url()))
end

return {
  summary = "Writes a list of the clusters in a state store.",
  flags = {
    { name = "store", value = "STORE", default = "state", doc = "the state store" },
  },
  main = main,
}
