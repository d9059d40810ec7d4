-- Lists the clusters of all stores that kstate's configuration names, or of those that are given.
--
-- For people as a table, for programs with --json, for Prometheus's textfile collector with
-- --prometheus. A store or a cluster that can't be read is told, and the rest is listed: exit code 5.

local kstate = kstate
local config, log, store, time = kstate.config, kstate.log, kstate.store, kstate.time
local copies, survey = require("lib.copies"), require("lib.survey")

-- When the oldest of the newest backups of its etcd clusters was made; nil when one has none.
local function backed_up(cluster)
  local oldest
  for _, etcd in ipairs(survey.etcd(cluster)) do
    local backups = survey.backups(etcd)
    local newest = backups[#backups]
    if newest == nil then
      return nil
    end
    oldest = math.min(oldest or newest.time, newest.time)
  end
  return oldest
end

-- When the newest copy was made that `backup` has of a cluster and in which nothing is missing.
local function copied(from, cluster)
  local newest
  for _, backup in ipairs(copies.list(from, cluster)) do
    newest = backup.flaw == nil and backup.time or newest
  end
  return newest
end

local function whole(seconds)
  return seconds and math.floor(seconds)
end

local function row(name, from, cluster_name, backups)
  local cluster = survey.cluster(from, cluster_name)
  local objects, bytes, updated = 0, 0, nil
  for object in cluster.base:walk() do
    objects, bytes = objects + 1, bytes + (object.size or 0)
    -- `kops update cluster` writes this one each time that something changed.
    updated = object.key == "cluster-completed.spec" and object.modified or updated
  end
  return {
    store = name,
    cluster = cluster_name,
    kubernetes = tostring(cluster.spec.kubernetesVersion or "?"),
    kops = cluster.base:read("kops-version.txt") or "?",
    objects = objects,
    bytes = bytes,
    updated = whole(updated),
    backup = whole(backed_up(cluster)),
    copy = backups and whole(copied(backups, cluster_name)),
  }
end

-- The rows of a store, and how many of its clusters can't be read.
local function rows_of(name, backups)
  local rows, failed = {}, 0
  local from = store.open(name)
  local found, failures = kstate.task.map(kstate.shard(config.clusters(from)), function(cluster)
    return row(name, from, cluster, backups)
  end, { concurrency = 8, on_error = "collect" })
  for _, found_row in pairs(found) do
    rows[#rows + 1] = found_row
  end
  for _, err in pairs(failures or {}) do
    log.error(tostring(err))
    failed = failed + 1
  end
  return rows, failed
end

-- The stores to look into, each once: those that were given, --state's if it was, those that the
-- configuration names, else the state store.
local function stores(ctx)
  local names, known = {}, {}
  local asked = #ctx.flags.store > 0 and ctx.flags.store
  for _, source in ipairs(config.state_store().sources) do
    asked = asked or source.kind == "flag" and source.won and { "state" }
  end
  asked = asked or config.stores()
  for _, name in ipairs(#asked > 0 and asked or { "state" }) do
    if not known[name] then
      known[name], names[#names + 1] = true, name
    end
  end
  return names
end

local function show(rows, backups)
  local lines, header = {}, { "STORE", "CLUSTER", "KUBERNETES", "KOPS", "UPDATED", "OBJECTS", "SIZE", "BACKUP" }
  header[#header + 1] = backups and "COPY"
  local function age(at, never)
    return at and survey.age(at) or never
  end
  for i, r in ipairs(rows) do
    lines[i] = { r.store, r.cluster, r.kubernetes, r.kops, age(r.updated, "never"), r.objects, survey.size(r.bytes), age(r.backup, "none") }
    lines[i][9] = backups and age(r.copy, "none")
  end
  kstate.cli.table(lines, { header = header })
end

local METRICS = {
  { "objects", "How many objects there are of the cluster.", "objects" },
  { "bytes", "How many bytes they have.", "bytes" },
  { "updated_timestamp_seconds", "When `kops update cluster` last changed something.", "updated" },
  { "backup_timestamp_seconds", "When etcd was last backed up.", "backup" },
  { "copy_timestamp_seconds", "When `backup` last made a complete copy.", "copy" },
}

local function label(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local function show_metrics(rows, failed)
  local function metric(name, help, line)
    print(("# HELP kstate_cluster_%s %s\n# TYPE kstate_cluster_%s gauge"):format(name, help, name))
    for _, r in ipairs(rows) do
      local more, value = line(r)
      if value then
        print(("kstate_cluster_%s{store=%s,cluster=%s%s} %s"):format(name, label(r.store), label(r.cluster), more, value))
      end
    end
  end
  metric("info", "Which versions the cluster has.", function(r)
    return (",kubernetes=%s,kops=%s"):format(label(r.kubernetes), label(r.kops)), 1
  end)
  for _, m in ipairs(METRICS) do
    metric(m[1], m[2], function(r)
      return "", r[m[3]]
    end)
  end
  print("# HELP kstate_inventory_failed How many stores and clusters can't be read.\n# TYPE kstate_inventory_failed gauge")
  print("kstate_inventory_failed " .. failed)
end

local function main(ctx)
  local rows, failed = kstate.array({}), 0
  local function asked(f, ...)
    local results = table.pack(pcall(f, ...))
    if results[1] then
      return table.unpack(results, 2, results.n)
    end
    log.error(tostring(results[2]))
    failed = failed + 1
  end
  local backups = ctx.flags.backups and asked(function()
    local place = store.open(ctx.flags.backups)
    -- Looked at once, rather than missing in each row.
    place:list()()
    return place
  end)
  for _, name in ipairs(stores(ctx)) do
    local found, missing = asked(rows_of, name, backups)
    table.move(found or {}, 1, #(found or {}), #rows + 1, rows)
    failed = failed + (missing or 0)
  end
  table.sort(rows, function(a, b)
    return a.store < b.store or a.store == b.store and a.cluster < b.cluster
  end)
  if ctx.flags.json then
    print(kstate.json.encode({ taken = time.format(), clusters = rows, failed = failed }))
  elseif ctx.flags.prometheus then
    show_metrics(rows, failed)
  else
    show(rows, backups)
  end
  return failed > 0 and 5 or 0
end

return {
  summary = "List the clusters of several state stores, with their versions, sizes and backups",
  flags = {
    { name = "store", type = "list", value = "STORE", doc = "a store to look into; may be given again (default: the one of --state; without that all that kstate's configuration names, else the state store)" },
    { name = "backups", type = "string", value = "STORE", doc = "where `backup` puts its copies, to tell how old the newest are" },
    { name = "prometheus", type = "boolean", doc = "print metrics in the text format of Prometheus" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
