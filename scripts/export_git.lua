-- Exports clusters of a state store into a folder of a git work tree.
--
-- The same state gives the same files, byte for byte: nothing of the time or the machine is in
-- them. What is a secret (private keys, tokens, manifests with credentials, what looks like a
-- secret in any other file) is encrypted to the recipients, or left out when there are none.
-- In this order:
--   1 plan     what the folder should hold, and what stands against it; nothing is written yet
--   2 write    the files that differ, then the manifest
--   3 commit   with what changed as its message; no commit when nothing did
-- The store is only read.

local kstate = kstate
local config, store, log, task = kstate.config, kstate.store, kstate.log, kstate.task
local args, free_text, git, tree = require("lib.args"), require("lib.free_text"), require("lib.git"), require("lib.git_tree")
local listed, refuse = args.listed, args.refuse

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- 1 plan ----------------------------------------------------------------------------------------

-- Files of kOps in which people write free text, or that repeat it.
local REPEATS_FREE_TEXT = { config = true, instance_group = true, completed = true, ig_config = true, legacy = true }

-- How an object is exported by its name; else why not, and what would take it.
local function secrecy(ctx, name, kind)
  if tree.is_foreign(name) then
    return "never", "a name of git's or kstate's own"
  elseif kind.class == "backup_command" then
    return "never", "a command that waits: etcd-manager would carry it out again"
  elseif kind.class == "backup_data" and not ctx.flags.with_backups then
    return "never", "backups: --with-backups takes them", "backups/"
  elseif kind.secret then
    return "secret", "a secret"
  elseif kind.class == "unknown" then
    return "secret", "no file of kOps: it may hold anything"
  end
  return "clear"
end

-- What in a file speaks against the clear; nil when nothing does.
local function doubt(ctx, kind, bytes)
  if kstate.diff.mask(bytes) ~= bytes then
    return "what looks like a secret stands in it"
  elseif ctx.flags.plain_user_data or not REPEATS_FREE_TEXT[kind.class] then
    return nil
  end
  local fields = free_text(bytes)
  if fields == nil then
    return kind.class ~= "legacy" and "it is no YAML, and may hold anything" or nil
  end
  return #fields > 0 and ("free text in %s may hold a credential"):format(table.concat(fields, ", ")) or nil
end

-- One object: what the manifest says of it, and its bytes when it isn't left out.
local function look(ctx, from, key, name)
  local kind = config.classify(name)
  local how, why, folder = secrecy(ctx, name, kind)
  if how == "never" or how == "secret" and not ctx.to then
    return { key = folder and tree.cluster(key) .. "/" .. folder or key, entry = { left_out = why } }
  end
  local bytes = from:read(key)
  if bytes == nil then
    return nil
  end
  why = how == "clear" and doubt(ctx, kind, bytes) or nil
  if how == "clear" and why == nil then
    return { key = key, bytes = bytes, entry = { sha256 = kstate.hash.sha256(bytes) } }
  elseif not ctx.to then
    log.warn(("%s is left out: %s"):format(key, why))
    return { key = key, entry = { left_out = why } }
  elseif why and ctx.recorded[key .. ".age"] == nil then
    log.info(("%s is encrypted: %s"):format(key, why))
  end
  return { key = key, bytes = bytes, entry = { age = "", to = ctx.to } }
end

-- What must be done with a file so that it holds an object, or nothing; nil when that is so
-- already. `is_edited` says that somebody else wrote what is there now.
local function change_of(ctx, file, object)
  local before = ctx.recorded[file]
  local bytes = tree.read(ctx.folder, file)
  local sum = bytes and kstate.hash.sha256(bytes)
  local entry = object and object.entry
  -- The first export may have been interrupted before the manifest knew of what it encrypted.
  local is_leftover = before == nil and bytes and entry and entry.age and bytes:find("^age%-encryption%.org/")
  local is_ours = sum == tree.sum(before) or is_leftover or bytes and tree.has_other_line_ends(before, bytes)
  if entry and entry.age and sum == tree.sum(before) and before and before.digest == entry.digest and before.to == entry.to then
    object.entry = before
    return nil
  elseif (entry and entry.sha256) == sum and not (entry and entry.age) then
    return nil
  end
  return { file = file, object = object, is_edited = not is_ours, sign = not object and "-" or bytes and "~" or "+" }
end

-- All objects of a cluster, with the changes that they need.
local function look_at_cluster(ctx, from, cluster)
  local names, keys = {}, {}
  for object in from:walk(cluster) do
    if object.key then
      keys[#keys + 1] = object.key
      names[#names + 1] = object.key:sub(#cluster + 2)
    elseif not (object.size == 0 and object.foreign:find("/$")) then
      log.warn(("%s is left out: %s"):format(object.foreign, object.reason))
    end
  end
  local anchor_name = ctx.to and tree.anchor(names)
  local anchor = anchor_name and from:read(cluster .. "/" .. anchor_name)
  return task.map(keys, function(key, at)
    local object = look(ctx, from, key, names[at])
    if object and object.entry.age then
      object.entry.digest = tree.digest(anchor, key, object.bytes)
    end
    object = object or {}
    object.file = tree.file(object.key, object.entry)
    object.change = object.file and change_of(ctx, object.file, object)
    object.bytes = object.change and object.bytes
    return object.key and object
  end)
end

local function warn_of_base(from, cluster)
  local parsed, manifest = pcall(config.parse, from:read(cluster .. "/config") or "", cluster .. "/config")
  local base = parsed and manifest.config_base
  if base and config.below(from:url(), base) == nil and not from:exists(cluster .. "/cluster-completed.spec") then
    log.warn(("%s: its configBase is %s, and what lies only there (keys, secrets, backups) is not exported"):format(cluster, base))
  end
end

-- The exported clusters that lost their config and nothing else: kOps sees none there, but they are
-- no less needed in git.
local function kept_without_config(from, old, there)
  local kept, known = {}, {}
  for _, name in ipairs(there) do
    known[name] = true
  end
  for key in pairs(old) do
    local name = tree.cluster(key)
    if not known[name] then
      known[name] = true
      kept[name] = #from:list(name):collect(1) > 0
      if kept[name] then
        log.warn(("%s has no config in %s, but other files: what git has of it stays as it is"):format(name, from:url()))
      end
    end
  end
  return kept
end

-- The clusters to export, and a function that tells whether the folder's part of one is replaced.
local function clusters_of(ctx, from, old)
  local there = config.clusters(from)
  if not ctx.flags.all_clusters then
    local chosen = {}
    if #ctx.flags.cluster == 0 then
      refuse("no cluster to export", "name them with --cluster NAME, or take --all-clusters")
    end
    for _, typed in ipairs(ctx.flags.cluster) do
      local name = args.cluster(typed)
      if not from:exists(name .. "/config") then
        refuse(("there is no cluster %s in %s"):format(name, from:url()), "--all-clusters also removes those that are gone from the folder")
      end
      chosen[name] = true
    end
    return sorted_keys(chosen), function(name)
      return chosen[name]
    end
  elseif #there == 0 then
    refuse("there is no cluster in " .. from:url(), next(old) and "nothing is removed from the folder for that" or nil)
  end
  local kept = kept_without_config(from, old, there)
  return there, function(name)
    return not kept[name]
  end
end

-- Whether the export may write the file that makes git leave line ends alone.
local function owns_attributes(folder)
  local text = tree.read(folder, tree.ATTRIBUTES)
  if text == nil or text == tree.KEEP_BYTES then
    return true
  elseif not ("\n" .. text .. "\n"):find("\n%*%s+%-text%s*\n") then
    refuse(
      ("%s/%s doesn't keep git from changing line ends, which are part of the state"):format(folder:url(), tree.ATTRIBUTES),
      "add the line '* -text' at its end"
    )
  end
  return false
end

-- What the folder should hold: the entries of the manifest, the files that are the export's own
-- (false for one that goes), and the changes that lead there.
local function plan(ctx, from, old)
  local entries, files, changes = {}, { [tree.MANIFEST] = "" }, {}
  files[tree.ATTRIBUTES] = owns_attributes(ctx.folder) and "" or nil
  local names, is_replaced = clusters_of(ctx, from, old)
  for key, entry in pairs(old) do
    local file = tree.file(key, entry)
    if not is_replaced(tree.cluster(key)) then
      entries[key] = entry
    elseif file then
      files[file] = false
    end
  end
  for _, name in ipairs(names) do
    warn_of_base(from, name)
    -- What can't be read there is refused before the store is asked.
    tree.walk(ctx.folder, name)
    for _, object in ipairs(look_at_cluster(ctx, from, name)) do
      entries[object.key] = object.entry
      if object.file and files[object.file] then
        refuse(("%s and %s would be the same file"):format(object.key, files[object.file]))
      elseif object.file then
        files[object.file] = object.key
        changes[#changes + 1] = object.change
      end
    end
  end
  for file, key in pairs(files) do
    changes[#changes + 1] = key == false and change_of(ctx, file) or nil
  end
  table.sort(changes, function(a, b)
    return a.file < b.file
  end)
  return { entries = entries, files = files, names = names, changes = changes }
end

-- Refuses to take out of git what the store still has: a flag of the last export was forgotten, or
-- a secret came into a file that nobody is named to encrypt to.
local function check_dropped(ctx, planned)
  local dropped, flags = {}, { not ctx.to and "--encrypt-to" or nil }
  local has_backups, has_free_text = false, false
  for _, change in ipairs(planned.changes) do
    local key = change.sign == "-" and ctx.keys[change.file] or nil
    local entry = key and (planned.entries[key] or planned.entries[key:match("^[^/]+/backups/")])
    if entry and entry.left_out then
      dropped[#dropped + 1] = ("%s: %s"):format(change.file, entry.left_out)
      has_backups = has_backups or entry.left_out:find("^backups") ~= nil
      has_free_text = has_free_text or entry.left_out:find("^free text") ~= nil
    end
  end
  flags[#flags + 1] = has_backups and "--with-backups" or nil
  if #dropped > 0 then
    refuse(
      "these are in git, and would be left out now:\n  " .. listed(dropped),
      ("give %s%s; to leave out something from now on, delete it in the folder first"):format(
        table.concat(flags, " and "),
        has_free_text and ", or --plain-user-data where all may read the free text" or ""
      )
    )
  end
end

-- Refuses to lose what a person did in the folder.
local function check_folder(ctx, work, planned)
  if ctx.flags.allow_dirty then
    return
  end
  local edited = {}
  for _, change in ipairs(planned.changes) do
    edited[#edited + 1] = change.is_edited and change.file or nil
  end
  if #edited > 0 then
    refuse(
      "these were changed in the folder since the last export, and the store has something else:\n  " .. listed(edited),
      "bring them into the store with import_git, or write over them with --allow-dirty (also to finish an export that was interrupted)"
    )
  end
  local dirty = {}
  for path in pairs(git.uncommitted(work)) do
    if planned.files[path] == nil then
      dirty[#dirty + 1] = path
    end
  end
  if #dirty > 0 then
    table.sort(dirty)
    refuse("the folder has changes that are not committed:\n  " .. listed(dirty), "commit them first, or go on beside them with --allow-dirty")
  end
end

-- 2 write ---------------------------------------------------------------------------------------

local function write(ctx, planned)
  local folder = ctx.folder
  task.map(planned.changes, function(change)
    local object = change.object
    if not object then
      folder:delete(change.file)
    elseif object.entry.age then
      local sealed = kstate.age.encrypt(object.bytes, ctx.recipients)
      object.entry.age = kstate.hash.sha256(sealed)
      folder:write(change.file, sealed)
    else
      folder:write(change.file, object.bytes)
    end
  end)
  if planned.files[tree.ATTRIBUTES] and tree.read(folder, tree.ATTRIBUTES) == nil then
    folder:write(tree.ATTRIBUTES, tree.KEEP_BYTES)
  end
  local manifest = tree.manifest(planned.entries)
  if tree.read(folder, tree.MANIFEST) ~= manifest then
    folder:write(tree.MANIFEST, manifest)
  end
end

-- 3 commit --------------------------------------------------------------------------------------

-- The change of each object by its key, from the signs of the files.
local function by_cluster(signs)
  local clusters, totals = {}, { ["+"] = 0, ["~"] = 0, ["-"] = 0 }
  for _, file in ipairs(sorted_keys(signs)) do
    local cluster, name = file:match("^([^/]+)/(.*)$")
    if cluster then
      clusters[cluster] = clusters[cluster] or {}
      table.insert(clusters[cluster], signs[file] .. " " .. tree.shown(name):gsub("%.age$", ""))
      totals[signs[file]] = totals[signs[file]] + 1
    end
  end
  return clusters, ("%d added, %d changed, %d removed"):format(totals["+"], totals["~"], totals["-"])
end

local function message_of(ctx, signs)
  local clusters, totals = by_cluster(signs)
  local parts = { ctx.flags.message or "State store: " .. totals }
  for _, cluster in ipairs(sorted_keys(clusters)) do
    parts[#parts + 1] = cluster .. "\n  " .. listed(clusters[cluster])
  end
  return table.concat(parts, "\n\n")
end

-- Commits what the export changed and nothing else; gives the commit, or nil when nothing did.
local function commit(ctx, work, planned)
  local signs = {}
  for path, sign in pairs(git.uncommitted(work)) do
    signs[path] = planned.files[path] ~= nil and sign or nil
  end
  if next(signs) == nil then
    return nil
  end
  local _, totals = by_cluster(signs)
  return git.commit(work, sorted_keys(signs), message_of(ctx, signs)), totals
end

-- The run ---------------------------------------------------------------------------------------

local function report(ctx, planned, id, committed)
  local signs = {}
  for _, change in ipairs(planned.changes) do
    signs[change.file] = change.sign
  end
  local clusters, totals = by_cluster(signs)
  local left_out = 0
  for _, entry in pairs(planned.entries) do
    left_out = left_out + (entry.left_out and 1 or 0)
  end
  if ctx.flags.json then
    print(kstate.json.encode({ clusters = kstate.array(planned.names), changes = kstate.object(clusters), left_out = left_out, commit = id, dry_run = ctx.dry_run }))
    return
  end
  for _, cluster in ipairs(sorted_keys(clusters)) do
    print(cluster .. "\n  " .. listed(clusters[cluster]))
  end
  print(("%s: %s; %d left out"):format(ctx.folder:url(), totals, left_out))
  if ctx.flags.commit and not ctx.dry_run then
    print(id and ("Committed as %s: %s"):format(id, committed) or "Nothing to commit.")
  end
end

local function export(ctx, from, work)
  local old = tree.entries(ctx.folder) or {}
  ctx.recorded, ctx.keys = {}, {}
  for key, entry in pairs(old) do
    local file = tree.file(key, entry) or ""
    ctx.recorded[file], ctx.keys[file] = entry, key
  end
  local planned = plan(ctx, from, old)
  tree.check_strays(ctx.folder, planned.names, planned.entries, function(file)
    return planned.files[file] ~= nil
  end)
  check_dropped(ctx, planned)
  check_folder(ctx, work, planned)
  local files = {}
  for _, file in ipairs(sorted_keys(planned.files)) do
    files[#files + 1] = planned.files[file] and file or nil
  end
  git.check_ignored(work, files)
  write(ctx, planned)
  local id, committed
  if ctx.flags.commit and not ctx.dry_run then
    id, committed = commit(ctx, work, planned)
  end
  report(ctx, planned, id, committed)
end

local function main(ctx)
  local flags = ctx.flags
  local from = store.open(flags.state or "state")
  ctx.folder = tree.open(flags.to, from)
  local work = git.work_tree(ctx.folder:url())
  if #flags.encrypt_to > 0 then
    ctx.recipients = args.asked(kstate.age.recipients, flags.encrypt_to)
    ctx.to = kstate.hash.sha256(table.concat(ctx.recipients, "\n")):sub(1, 16)
  end
  if flags.with_backups and not ctx.to then
    refuse("--with-backups needs --encrypt-to: a backup of etcd holds every secret of Kubernetes")
  elseif flags.message and not flags.message:find("%S") then
    refuse("--message is empty", "leave it out: the commit then says how much changed")
  end
  return ctx.folder:lock("store", { ttl = "30s", wait = flags.lock_wait }, function()
    return export(ctx, from, work)
  end)
end

return {
  summary = "Export clusters into a folder of a git work tree",
  permissions = { process = { "git" } },
  flags = {
    { name = "to", type = "string", value = "DIR", required = true, doc = "the folder, in a git work tree" },
    { name = "state", type = "string", value = "STORE", doc = "the store to export (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "a cluster to export; may be given again" },
    { name = "all_clusters", type = "boolean", doc = "export every cluster of the store, and remove those that are gone" },
    { name = "encrypt_to", type = "list", value = "RECIPIENT", doc = "encrypt secrets to this age public key, or to those in this file; may be given again (default: secrets are left out)" },
    { name = "plain_user_data", type = "boolean", doc = "export user data, file assets, hooks and the like as they are, unless something in them looks like a secret" },
    { name = "with_backups", type = "boolean", doc = "encrypt etcd's backups too" },
    { name = "commit", type = "boolean", doc = "commit what changed" },
    { name = "message", type = "string", value = "TEXT", doc = "the first line of the commit's message" },
    { name = "allow_dirty", type = "boolean", doc = "go on over what was changed in the folder by others" },
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to the folder" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
