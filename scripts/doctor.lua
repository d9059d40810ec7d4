-- Says what is wrong with a state store and with the clusters in it, and what to do about it.
--
-- It writes nothing but a probe and a lock below `.kstate/`, which it takes away again; with
-- --read-only or --no-probe not even that. Exit code 0: nothing is broken; 1: something is (with
-- --strict also when something is only odd).

local kstate = kstate
local config, store, time = kstate.config, kstate.store, kstate.time
local survey = require("lib.survey")

-- At most this many names stand in one finding.
local SHOWN = 5

local function names(list)
  local shown = table.concat(list, ", ", 1, math.min(#list, SHOWN))
  return #list > SHOWN and ("%s and %d more"):format(shown, #list - SHOWN) or shown
end

-- Collects what is found about one place.
local function notes_of(findings, place)
  local function note(severity, message, hint)
    findings[#findings + 1] = { severity = severity, place = place, message = message, hint = hint }
  end
  return {
    bad = function(message, hint) note("error", message, hint) end,
    odd = function(message, hint) note("warning", message, hint) end,
    know = function(message) note("info", message) end,
  }
end

-- The store ------------------------------------------------------------------------------------

local function look_at_bucket(from, note)
  local bucket = from:bucket_settings()
  if bucket == nil then
    return
  end
  note.know(("region %s, encryption %s, versioning %s, public access %s"):format(
    bucket.region or "?", bucket.encryption or "?", bucket.versioning or "?", bucket.public_access or "?"))
  if bucket.encryption == "none" then
    note.odd("the bucket encrypts nothing by default", "kOps asks for AES256 with each write on s3://, others don't: set a default")
  end
  if bucket.versioning and bucket.versioning ~= "enabled" then
    note.odd("the bucket keeps no old versions", "kOps recommends versioning: nothing else brings a deleted file back")
  end
  if bucket.public_access and bucket.public_access ~= "blocked" then
    note.odd(("public access is %s"):format(bucket.public_access), "block it, unless a discoveryStore lies in this bucket")
  end
  for setting, reason in pairs(bucket.unknown) do
    note.know(("%s isn't known: %s"):format(setting, reason))
  end
end

local function look_at_writes(ctx, from, note)
  if ctx.flags.no_probe or ctx.dry_run then
    return note.know("not probed: whether it can be written and locked isn't known")
  end
  local ok, result = pcall(from.lock, from, "doctor", function(lock)
    return { strength = lock.strength, probe = from:probe() }
  end)
  if not ok and result.kind == "locked" then
    return note.know("not probed: " .. tostring(result))
  elseif not ok then
    return note.odd("it can't be written or locked: " .. tostring(result), result.hint)
  end
  note.know("it can be written; a lock there is " .. result.strength)
  if result.strength == "advisory" then
    note.odd("a lock there excludes others only as far as clocks agree", "let one machine at a time change it")
  end
end

local function look_at_store(ctx, from, note)
  local there = config.clusters(from)
  note.know(("%d clusters"):format(#there))
  local known, left = { [".kstate"] = true }, {}
  for _, name in ipairs(there) do
    known[name] = true
  end
  for entry in from:list() do
    local folder = entry.prefix and entry.prefix:sub(1, -2)
    if folder and not known[folder] then
      left[#left + 1] = folder
    end
  end
  if #left > 0 then
    note.odd("folders without a config: " .. names(left), "kOps doesn't list them; what is left of a deleted cluster still has its keys")
  end
  look_at_bucket(from, note)
  look_at_writes(ctx, from, note)
end

-- A cluster ------------------------------------------------------------------------------------

local NEEDED = {
  ["pki/private/kubernetes-ca/keyset.yaml"] = "its certificate authority",
  ["pki/private/service-account/keyset.yaml"] = "the key that signs service accounts' tokens",
}

-- Counts the files by class, and gives the keys of those that nobody knows, and of old ones.
local function classes_of(cluster)
  local counts, unknown, legacy, secret, all = {}, {}, {}, 0, {}
  for object in cluster.base:walk() do
    local key = object.key or object.foreign
    local kind = config.classify(key)
    counts[kind.class] = (counts[kind.class] or 0) + 1
    all[key], secret = object, secret + (kind.secret and 1 or 0)
    local list = kind.class == "unknown" and unknown or kind.class == "legacy" and legacy or {}
    list[#list + 1] = key
  end
  return counts, unknown, legacy, secret, all
end

local function look_at_files(cluster, note)
  local counts, unknown, legacy, secret, all = classes_of(cluster)
  if #unknown > 0 then
    note.odd("kOps doesn't know these files: " .. names(unknown), "`kops delete cluster` refuses while they are there: move them away")
  end
  if #legacy > 0 then
    note.know(("%d files of kOps before 1.22, which nothing reads: %s"):format(#legacy, names(legacy)))
  end
  note.know(("%d files with secrets, %d keysets, %d addons"):format(secret, counts.pki_private or 0, counts.addon or 0))
  local completed = all["cluster-completed.spec"]
  if completed == nil then
    return note.odd("`kops update cluster` never ran for it here", "run it, or move what it made to " .. cluster.base:url())
  end
  for key, what in pairs(NEEDED) do
    if all[key] == nil and not cluster.spec.keyStore then
      note.bad(("%s, %s, is missing"):format(key, what), "bring it back before `kops update cluster` makes a new one, which no node trusts")
    end
  end
  local made = config.parse(cluster.base:read("cluster-completed.spec"), "cluster-completed.spec").config_base
  if made and config.below(made, cluster.base:url()) ~= "" then
    note.odd("what kOps generated names another place: " .. made, "run `kops update cluster`, and roll its control plane")
  end
  local edited = cluster.tree:stat("config")
  if edited and edited.modified and completed.modified and edited.modified > completed.modified + 1 then
    note.odd("its config was edited after the last `kops update cluster`", "machines that start now get the old one")
  end
end

local function look_at_places(cluster, note)
  if cluster.leads_to then
    note.odd("its configBase is another place: " .. cluster.leads_to, "kOps reads and writes keys and secrets there, whatever --state says")
  end
  for _, reference in ipairs(cluster.manifest.references) do
    if not config.below(cluster.base:url(), reference.value) then
      note.know(("%s leads elsewhere: %s"):format(reference.path, reference.value))
    end
  end
end

local function look_at_backups(ctx, etcd, note)
  local newest = etcd.backups[#etcd.backups]
  if newest == nil then
    note.odd(("etcd %s has no backup"):format(etcd.name), "look at etcd-manager's log on its control plane")
  elseif newest.time < time.now() - ctx.flags.max_backup_age then
    note.odd(("etcd %s was last backed up %s ago"):format(etcd.name, survey.age(newest.time)), "look at etcd-manager's log on its control plane")
  end
end

local function look_at_etcd(cluster, note, ctx)
  local all, has_run = survey.etcd(cluster), false
  for _, etcd in ipairs(all) do
    local others
    etcd.backups, others = survey.backups(etcd)
    for _, key in ipairs(others) do
      etcd.is_created = etcd.is_created or key == "control/etcd-cluster-created"
      if key:match("^control/.*_command%.json$") then
        note.odd(("etcd %s has a command that waits: %s"):format(etcd.name, key), "etcd-manager carries it out at its next start, such as to restore a backup")
      end
    end
    has_run = has_run or etcd.is_created or #etcd.backups > 0
  end
  for _, etcd in ipairs(all) do
    if etcd.is_created then
      look_at_backups(ctx, etcd, note)
    elseif has_run then
      note.bad(("etcd %s has no control/etcd-cluster-created"):format(etcd.name), "a control plane that starts now moves its data aside and begins with an EMPTY etcd: bring the marker back")
    else
      note.know(("etcd %s was not created yet"):format(etcd.name))
    end
  end
end

local function look_at_cluster(ctx, from, name, findings)
  local note = notes_of(findings, name)
  local ok, cluster = pcall(survey.cluster, from, name)
  if not ok then
    return note.bad(tostring(cluster), type(cluster) ~= "string" and cluster.hint or nil)
  end
  for _, found in ipairs(config.validate(from, name)) do
    local say = found.severity == "error" and note.bad or note.odd
    say(found.text)
  end
  for _, look in ipairs({ look_at_places, look_at_files, look_at_etcd }) do
    local looked, err = pcall(look, cluster, note, ctx)
    if not looked then
      note.bad(tostring(err), type(err) ~= "string" and err.hint or nil)
    end
  end
end

-- The run --------------------------------------------------------------------------------------

local function show(ctx, findings, counts)
  if ctx.flags.json then
    return print(kstate.json.encode({ errors = counts.error, warnings = counts.warning, findings = findings }))
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
  local from = store.open(ctx.flags.store or "state")
  local findings, counts = kstate.array({}), { error = 0, warning = 0, info = 0 }
  look_at_store(ctx, from, notes_of(findings, from:url()))
  for _, name in ipairs(survey.names(from, ctx.flags.cluster)) do
    look_at_cluster(ctx, from, name, findings)
  end
  for _, found in ipairs(findings) do
    counts[found.severity] = counts[found.severity] + 1
  end
  show(ctx, findings, counts)
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
