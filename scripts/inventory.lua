-- Lists the clusters of all stores that kstate's configuration names, or of those that are given.
--
-- For people as a table, for programs with --json, for Prometheus's textfile collector with
-- --prometheus. A store or a cluster that can't be read is told, and the rest is listed: exit code 5.

local kstate = kstate
local config, log, store, time = kstate.config, kstate.log, kstate.store, kstate.time
local survey = require("lib.survey")

-- When the oldest of the newest backups of its etcd clusters was made.
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

local function whole(seconds)
  return seconds and math.floor(seconds)
end

local function row(name, from, cluster_name)
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
  }
end

-- The rows of a store, and how many of its clusters can't be read.
local function rows_of(name)
  local rows, failed = {}, 0
  local from = store.open(name)
  local found, failures = kstate.task.map(kstate.shard(config.clusters(from)), function(cluster)
    return row(name, from, cluster)
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

local function show(rows)
  local lines = {}
  for i, r in ipairs(rows) do
    local updated, backup = r.updated and survey.age(r.updated) or "never", r.backup and survey.age(r.backup) or "none"
    lines[i] = { r.store, r.cluster, r.kubernetes, r.kops, updated, r.objects, survey.size(r.bytes), backup }
  end
  kstate.cli.table(lines, { header = { "STORE", "CLUSTER", "KUBERNETES", "KOPS", "UPDATED", "OBJECTS", "SIZE", "BACKUP" } })
end

local METRICS = {
  { "objects", "How many objects there are of the cluster.", "objects" },
  { "bytes", "How many bytes they have.", "bytes" },
  { "updated_timestamp_seconds", "When `kops update cluster` last changed something.", "updated" },
  { "backup_timestamp_seconds", "When etcd was last backed up.", "backup" },
}

local function label(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local function show_metrics(rows)
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
end

local function main(ctx)
  local names = ctx.flags.store
  if #names == 0 then
    names = config.stores()
  end
  if #names == 0 then
    names = { "state" }
  end
  local rows, failed = kstate.array({}), 0
  for _, name in ipairs(names) do
    local ok, found, missing = pcall(rows_of, name)
    if ok then
      table.move(found, 1, #found, #rows + 1, rows)
      failed = failed + missing
    else
      log.error(tostring(found))
      failed = failed + 1
    end
  end
  table.sort(rows, function(a, b)
    return a.store < b.store or a.store == b.store and a.cluster < b.cluster
  end)
  if ctx.flags.json then
    print(kstate.json.encode({ taken = time.format(), clusters = rows, failed = failed }))
  elseif ctx.flags.prometheus then
    show_metrics(rows)
  else
    show(rows)
  end
  return failed > 0 and 5 or 0
end

return {
  summary = "List the clusters of several state stores, with their versions, sizes and backups",
  flags = {
    { name = "store", type = "list", value = "STORE", doc = "a store to look into; may be given again (default: those that kstate's configuration names, else the state store)" },
    { name = "prometheus", type = "boolean", doc = "print metrics in the text format of Prometheus" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
