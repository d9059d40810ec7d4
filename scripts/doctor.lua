-- Says what is wrong with a state store and with the clusters in it, and what to do about it.
--
-- It writes nothing but a probe and a lock below `.kstate/`, which it takes away again; with
-- --read-only or --no-probe not even that. What can't be read is an error like others, and the rest is
-- looked at. Exit code 0: nothing is broken; 1: something is (with --strict also when something is
-- only odd).

local kstate = kstate
local store = kstate.store
local args, cluster_check, notes, store_check = require("lib.args"), require("lib.cluster_check"), require("lib.notes"), require("lib.store_check")

local function show(ctx, findings, counts, said)
  if ctx.flags.json then
    return print(kstate.json.encode({
      errors = counts.error, warnings = counts.warning, findings = findings,
      capabilities = said.capabilities, honours = said.honours, permissions = said.permissions,
    }))
  end
  for _, found in ipairs(findings) do
    print(("%-7s  %s: %s"):format(found.severity, found.place, found.message))
    if found.hint then
      print("         " .. found.hint)
    end
  end
  print(("%d errors, %d warnings"):format(counts.error, counts.warning))
end

local function main(ctx)
  local named = {}
  for i, typed in ipairs(ctx.flags.cluster) do
    named[i] = args.cluster(typed)
  end
  local from = store.open(ctx.flags.store or "state")
  local findings, counts = kstate.array({}), { error = 0, warning = 0, info = 0 }
  local clusters, said = store_check.look(ctx, from, notes.of(findings, from:url()))
  for _, name in ipairs(#named > 0 and named or kstate.shard(clusters)) do
    cluster_check.look(ctx, from, name, notes.of(findings, name))
  end
  for _, found in ipairs(findings) do
    counts[found.severity] = counts[found.severity] + 1
  end
  show(ctx, findings, counts, said)
  return (counts.error > 0 or ctx.flags.strict and counts.warning > 0) and 1 or 0
end

return {
  summary = "Say what is wrong with a state store and its clusters",
  flags = {
    { name = "store", type = "string", value = "STORE", doc = "the store to look at (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to look at; may be given again (default: all)" },
    { name = "max_backup_age", type = "duration", default = "2d", doc = "how old the newest backup of etcd may be" },
    { name = "no_probe", type = "boolean", doc = "don't try to write and lock" },
    { name = "strict", type = "boolean", doc = "exit with 1 for warnings too" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
