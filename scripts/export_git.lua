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
local tree = require("lib.git_tree")

-- At most this many names are listed of one cluster, or for one reason.
local SHOWN = 50

local function refuse(message, hint)
  error(kstate.error({ kind = "refused", message = message, hint = hint }))
end

local function listed(names)
  local shown = table.move(names, 1, math.min(#names, SHOWN), 1, {})
  if #names > SHOWN then
    shown[#shown + 1] = ("and %d more"):format(#names - SHOWN)
  end
  return table.concat(shown, "\n  ")
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- git -------------------------------------------------------------------------------------------

-- No program that the repository names for itself is run but its filters; nothing stays behind in
-- the background, and nobody is asked.
local SAFE = {
  "--no-pager",
  "-c", "core.hooksPath=/dev/null",
  "-c", "core.fsmonitor=false",
  "-c", "maintenance.auto=false",
}

local function failed(folder, ended)
  local said = ended.stderr .. ended.stdout
  error(kstate.error({
    kind = "other",
    message = ("git failed in %s with exit code %d: %s"):format(folder, ended.code, said:gsub("%s+$", "")),
    hint = "mend that and run it again: it goes on with what is written already",
  }))
end

local function run_git(folder, args, options)
  local all = table.move(SAFE, 1, #SAFE, 1, {})
  all[#all + 1], all[#all + 2] = "-C", folder
  table.move(args, 1, #args, #all + 1, all)
  options = options or {}
  options.timeout = "10m"
  options.env = { LC_ALL = "C", GIT_TERMINAL_PROMPT = "0", GIT_OPTIONAL_LOCKS = options.read_only and "0" or "1" }
  -- A path is a path as it is, with its colons and stars.
  options.env.GIT_LITERAL_PATHSPECS = args[1] ~= "check-ignore" and "1" or nil
  return kstate.process.run("git", all, options)
end

local function git(folder, args, options)
  local ended = run_git(folder, args, options)
  if ended.code ~= 0 then
    failed(folder, ended)
  end
  return ended.stdout
end

-- The work tree that a folder, which may not exist yet, lies in: its top, and the way from there.
local function work_tree(path)
  local at, rest = path, ""
  while true do
    local ended = run_git(at, { "rev-parse", "--show-toplevel", "--show-prefix" }, { read_only = true })
    if ended.code == 0 then
      local top, prefix = ended.stdout:match("^([^\n]+)\n([^\n]*)\n")
      return { top = top, prefix = prefix .. rest }
    elseif not ended.stderr:find("No such file or directory", 1, true) or at == "/" then
      refuse(
        ("%s is in no work tree of git: %s"):format(path, ended.stderr:gsub("%s+$", "")),
        "make one first: git init FOLDER"
      )
    end
    rest = kstate.path.base(at) .. "/" .. rest
    at = kstate.path.dir(at)
    at = at == "" and "/" or at
  end
end

-- What differs below the folder from the last commit: a sign by the path from the folder.
local function uncommitted(work)
  local args = { "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--" }
  args[#args + 1] = work.prefix == "" and "." or work.prefix
  local found = {}
  for code, path in git(work.top, args, { read_only = true }):gmatch("(..) ([^\0]+)\0") do
    path = path:sub(#work.prefix + 1)
    if not path:find("^%.kstate/") then
      found[path] = (code == "??" or code:find("A", 1, true)) and "+" or code:find("D", 1, true) and "-" or "~"
    end
  end
  return found
end

local function paths_of(work, files)
  local paths = {}
  for at, file in ipairs(files) do
    paths[at] = work.prefix .. file .. "\0"
  end
  return table.concat(paths)
end

-- A file that git ignores would silently be in no commit.
local function check_ignored(work, planned)
  local files = { tree.MANIFEST }
  for file, key in pairs(planned.files) do
    files[#files + 1] = key and file or nil
  end
  table.sort(files)
  local ended = run_git(work.top, { "check-ignore", "-z", "--stdin" }, { read_only = true, stdin = paths_of(work, files) })
  if ended.code > 1 then
    failed(work.top, ended)
  end
  local ignored = {}
  for path in ended.stdout:gmatch("([^\0]+)\0") do
    ignored[#ignored + 1] = path
  end
  if #ignored > 0 then
    refuse("git ignores files of the export:\n  " .. listed(ignored), "change .gitignore; git check-ignore -v FILE tells which line it is")
  end
end

-- 1 plan ----------------------------------------------------------------------------------------

-- Whether an object is exported in the clear; else why not, and what would take it.
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

-- One object: what the manifest says of it, and its bytes when it isn't left out.
local function look(ctx, from, key, name)
  local how, why, folder = secrecy(ctx, name, config.classify(name))
  if how == "never" then
    return { key = folder and tree.cluster(key) .. "/" .. folder or key, entry = { left_out = why } }
  elseif how == "secret" and not ctx.to then
    return { key = key, entry = { left_out = why } }
  end
  local bytes = from:read(key)
  if bytes == nil then
    return nil
  elseif how == "clear" and kstate.diff.mask(bytes) == bytes then
    return { key = key, bytes = bytes, entry = { sha256 = kstate.hash.sha256(bytes) } }
  elseif how == "clear" and not ctx.to then
    log.warn(key .. " is left out: what looks like a secret stands in it")
    return { key = key, entry = { left_out = "what looks like a secret stands in it" } }
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
  local is_ours = sum == tree.sum(before) or is_leftover
  if entry and entry.age and is_ours and before and before.digest and before.digest == entry.digest and before.to == entry.to then
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
    if object and object.entry.age and anchor then
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

-- The clusters to export, and a function that tells whether the folder's part of one is replaced.
local function clusters_of(ctx, from, old)
  local there = config.clusters(from)
  if not ctx.flags.all_clusters then
    local names, chosen = ctx.flags.cluster, {}
    if #names == 0 then
      refuse("no cluster to export", "name them with --cluster NAME, or take --all-clusters")
    end
    for _, name in ipairs(names) do
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
  return there, function()
    return true
  end
end

-- What the folder should hold: the entries of the manifest, the files that are the export's own
-- (false for one that goes), and the changes that lead there.
local function plan(ctx, from, old)
  local entries, files, changes = {}, {}, {}
  local names, is_replaced = clusters_of(ctx, from, old)
  for key, entry in pairs(old) do
    local file = tree.file(key, entry)
    if not is_replaced(tree.cluster(key)) then
      entries[key] = entry
    elseif file then
      files[file] = false
    end
  end
  local chosen = {}
  for _, name in ipairs(names) do
    chosen[name] = true
    warn_of_base(from, name)
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
    changes[#changes + 1] = not key and change_of(ctx, file) or nil
  end
  table.sort(changes, function(a, b)
    return a.file < b.file
  end)
  return { entries = entries, files = files, names = names, chosen = chosen, changes = changes }
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
  for path in pairs(uncommitted(work)) do
    if planned.files[path] == nil and path ~= tree.MANIFEST then
      dirty[#dirty + 1] = path
    end
  end
  if #dirty > 0 then
    table.sort(dirty)
    refuse("the folder has changes that are not committed:\n  " .. listed(dirty), "commit them first, or go on beside them with --allow-dirty")
  end
end

-- Without recipients a forgotten flag would take the secrets out of the repository.
local function check_recipients(ctx, planned)
  for _, change in ipairs(ctx.to and {} or planned.changes) do
    if change.sign == "-" and ctx.recorded[change.file].age and planned.chosen[tree.cluster(change.file)] then
      refuse(
        change.file .. " was encrypted by an earlier export, and nobody is named to encrypt to now",
        "give --encrypt-to again; to leave the secrets out from now on, delete the files that end in .age first"
      )
    end
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

-- Who commits, where nobody told git.
local function committer(top)
  local who = {}
  for name, fallback in pairs({ ["user.name"] = "kstate", ["user.email"] = "kstate@localhost" }) do
    if run_git(top, { "config", "--get", name }, { read_only = true }).code ~= 0 then
      who[#who + 1], who[#who + 2] = "-c", name .. "=" .. fallback
    end
  end
  return who
end

-- Commits what the export changed and nothing else; gives the commit, or nil when nothing did.
local function commit(ctx, work, planned)
  local signs, files = {}, {}
  for path, sign in pairs(uncommitted(work)) do
    if planned.files[path] ~= nil or path == tree.MANIFEST then
      signs[path] = sign
      files[#files + 1] = path
    end
  end
  if #files == 0 then
    return nil
  end
  table.sort(files)
  local paths = paths_of(work, files)
  git(work.top, { "add", "--pathspec-from-file=-", "--pathspec-file-nul" }, { stdin = paths })
  local args = committer(work.top)
  for _, arg in ipairs({ "commit", "--quiet", "--cleanup=verbatim", "-m", message_of(ctx, signs), "--only", "--pathspec-from-file=-", "--pathspec-file-nul" }) do
    args[#args + 1] = arg
  end
  git(work.top, args, { stdin = paths })
  return (git(work.top, { "rev-parse", "HEAD" }, { read_only = true }):gsub("%s+$", ""))
end

-- The run ---------------------------------------------------------------------------------------

local function report(ctx, planned, id)
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
    print(kstate.json.encode({ clusters = kstate.array(planned.names), changes = kstate.object(clusters), left_out = left_out, commit = id }))
    return
  end
  for _, cluster in ipairs(sorted_keys(clusters)) do
    print(cluster .. "\n  " .. listed(clusters[cluster]))
  end
  print(("%s: %s; %d left out"):format(ctx.folder:url(), totals, left_out))
  if ctx.flags.commit and not ctx.dry_run then
    print(id and "Committed as " .. id or "Nothing to commit.")
  end
end

local function export(ctx, from, work)
  local old = tree.entries(ctx.folder) or {}
  ctx.recorded = {}
  for key, entry in pairs(old) do
    ctx.recorded[tree.file(key, entry) or ""] = entry
  end
  local planned = plan(ctx, from, old)
  check_recipients(ctx, planned)
  check_folder(ctx, work, planned)
  check_ignored(work, planned)
  write(ctx, planned)
  report(ctx, planned, ctx.flags.commit and not ctx.dry_run and commit(ctx, work, planned) or nil)
end

local function main(ctx)
  local from = store.open(ctx.flags.state or "state")
  ctx.folder = tree.open(ctx.flags.to, from)
  local work = work_tree(ctx.folder:url())
  if #ctx.flags.encrypt_to > 0 then
    ctx.recipients = kstate.age.recipients(ctx.flags.encrypt_to)
    ctx.to = kstate.hash.sha256(table.concat(ctx.recipients, "\n")):sub(1, 16)
  end
  if ctx.flags.with_backups and not ctx.to then
    refuse("--with-backups needs --encrypt-to: a backup of etcd holds every secret of Kubernetes")
  end
  return ctx.folder:lock("store", { ttl = "30s", wait = ctx.flags.lock_wait }, function()
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
    { name = "with_backups", type = "boolean", doc = "encrypt etcd's backups too" },
    { name = "commit", type = "boolean", doc = "commit what changed" },
    { name = "message", type = "string", value = "TEXT", doc = "the first line of the commit's message" },
    { name = "allow_dirty", type = "boolean", doc = "go on over what was changed in the folder by others" },
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to the folder" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
