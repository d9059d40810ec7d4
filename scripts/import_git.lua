-- Brings what was changed in a folder that export_git wrote back into a state store.
--
-- The manifest says what the store held when it was exported. An object is written when git has
-- something else than that and the store has not, or has the same already; what changed in the
-- store since then is newer and is never overwritten unasked. What kOps and etcd-manager write
-- stays theirs. Nothing is written before all is known and checked. `config` is written last, so
-- that kOps sees a cluster only when all of it is there.

local kstate = kstate
local config, store, log, task = kstate.config, kstate.store, kstate.log, kstate.task
local args, check, tree = require("lib.args"), require("lib.git_check"), require("lib.git_tree")
local refuse = args.refuse

-- What people write, and may add in git.
local BY_HAND = { config = true, instance_group = true, cluster_addons = true }

local function key_of(file)
  return file.cluster .. "/" .. file.name
end

-- What git has ----------------------------------------------------------------------------------

-- The set of clusters that were asked for: all of them when none was named.
local function chosen_of(ctx, folder, clusters)
  local chosen
  for _, typed in ipairs(ctx.flags.cluster) do
    local name = args.cluster(typed)
    if not clusters[name] then
      refuse(("there is no cluster %s in %s"):format(name, folder:url()))
    end
    chosen = chosen or {}
    chosen[name] = true
  end
  return chosen or clusters
end

-- The files of the clusters: those of the manifest, and new ones that a person may add.
local function files_of(ctx, folder, entries)
  local clusters, exported, names = {}, {}, {}
  for key, entry in pairs(entries) do
    clusters[tree.cluster(key)] = true
    exported[tree.file(key, entry) or ""] = true
  end
  for _, name in ipairs(args.asked(config.clusters, folder)) do
    clusters[name] = true
  end
  local files = {}
  local function add(cluster, name, entry)
    files[#files + 1] = { cluster = cluster, name = name, entry = entry, kind = config.classify(name) }
  end
  local chosen = chosen_of(ctx, folder, clusters)
  for key, entry in pairs(entries) do
    local cluster, name = key:match("^([^/]+)/(.+)$")
    if not entry.left_out and chosen[cluster] then
      add(cluster, name, entry)
    end
  end
  for cluster in pairs(chosen) do
    names[#names + 1] = cluster
    for _, key in ipairs(tree.walk(folder, cluster)) do
      local name = key:sub(#cluster + 2)
      if not (entries[key] or exported[key]) and BY_HAND[config.classify(name).class] then
        add(cluster, name)
      end
    end
  end
  tree.check_strays(folder, names, entries, function(file)
    return exported[file]
  end)
  table.sort(files, function(a, b)
    return key_of(a) < key_of(b)
  end)
  return files
end

-- Reads a file of git: `bytes` is nil when it was deleted, `locked` when no identity is there to
-- open it.
local function read_file(ctx, folder, file)
  local entry, key = file.entry or {}, key_of(file)
  local bytes = tree.read(folder, tree.file(key, entry))
  file.is_secret = file.kind.secret or entry.age ~= nil
  file.is_as_exported = bytes ~= nil and tree.sum(entry) == kstate.hash.sha256(bytes)
  if bytes and tree.has_other_line_ends(file.entry, bytes) then
    file.fault = check.line_ends(key)
  elseif bytes == nil or not entry.age then
    file.bytes = bytes
  elseif #ctx.flags.identity == 0 then
    file.locked = true
  else
    local opened, plain = pcall(kstate.age.decrypt, bytes, ctx.flags.identity)
    if not opened then
      refuse(("cannot open %s.age: %s"):format(key, tostring(plain)), plain.hint)
    end
    file.bytes = plain
  end
end

-- What becomes of the store ---------------------------------------------------------------------

-- An object's bytes and their tag; nil when it isn't there.
local function read_object(to, key)
  for _ = 1, 5 do
    local there, meta = pcall(to.stat, to, key)
    if not there and meta.kind ~= "not_found" then
      error(meta)
    elseif not there or meta == nil then
      return nil
    end
    local bytes = to:read(key, { if_match = meta.tag })
    if bytes ~= nil then
      return bytes, meta.tag
    end
  end
  error(kstate.error({ kind = "precondition_failed", message = ("%s/%s changes all the time"):format(to:url(), key) }))
end

-- Whether the store has what was exported.
local function is_base(file, bytes, anchors)
  local entry = file.entry
  if entry == nil or bytes == nil then
    return false
  elseif entry.sha256 then
    return kstate.hash.sha256(bytes) == entry.sha256
  end
  local anchor = anchors[file.cluster]
  -- A cluster that had a keyset, which was deleted in git: nothing can be told.
  return anchor ~= false and entry.digest == tree.digest(anchor, key_of(file), bytes)
end

-- Whether kOps or etcd-manager writes an object, and nobody else.
local function is_generated(file)
  return file.kind.regenerated or file.name:find("^backups/") ~= nil
end

-- What is to be done with one object: "write", "delete", "newer" when only the store has changed,
-- "conflict" when both have, "generated" when it isn't git's to change; nil for nothing.
local function decide(ctx, file, bytes, anchors, is_new_cluster)
  if file.bytes == bytes then
    return nil
  elseif is_generated(file) and not ctx.flags.generated and not (is_new_cluster and bytes == nil) then
    return "generated"
  elseif is_base(file, bytes, anchors) then
    return file.bytes and "write" or "delete"
  elseif file.bytes == nil and not ctx.flags.delete then
    return "delete"
  elseif bytes == nil and (file.entry == nil or is_new_cluster) then
    return "write"
  end
  if ctx.flags.newer == "overwrite" then
    return file.bytes and "write" or "delete"
  end
  return file.is_as_exported and "newer" or "conflict"
end

-- The keyset with which the digests of each cluster were made, as it was exported: nil when it had
-- none, false when it is gone.
local function anchors_of(files)
  local names, anchors, by_key = {}, {}, {}
  for _, file in ipairs(files) do
    if file.entry and file.entry.age then
      names[file.cluster] = names[file.cluster] or {}
      table.insert(names[file.cluster], file.name)
      by_key[key_of(file)] = file
    end
  end
  for cluster, list in pairs(names) do
    local name = tree.anchor(list)
    anchors[cluster] = name and (by_key[cluster .. "/" .. name].bytes or false)
  end
  return anchors
end

-- What forbids a change of one object; nil when nothing does.
local function fault_of(file, what)
  if what == "delete" and file.kind.class == "config" then
    return key_of(file) .. ": an import deletes no cluster, only kops delete cluster does"
  elseif what == "delete" and (file.name:find("^pki/") or file.name:find("^backups/")) then
    return key_of(file) .. ": an import deletes no keys and no backups: kOps would make new keys, etcd-manager an empty cluster"
  elseif file.bytes and what and what ~= "generated" then
    return check.fault(key_of(file), file)
  end
end

-- Checks the clusters as they would be.
local function check_clusters(ctx, to, found)
  local changed, deletes = {}, ctx.flags.delete and found.delete or {}
  for _, files in ipairs({ found.write, deletes }) do
    for _, file in ipairs(files) do
      changed[file.cluster] = true
    end
  end
  for cluster in pairs(changed) do
    for _, finding in ipairs(check.cluster(to, cluster, found.write, deletes, ctx.flags.force_unknown)) do
      if finding.stops then
        table.insert(found.fault, { cluster = cluster, name = finding.file:sub(#cluster + 2), fault = finding.text })
      elseif not finding.known then
        log.warn(finding.text)
      end
    end
  end
end

-- Looks at every object; gives the files by what is to be done with them.
local function look(ctx, folder, to)
  local entries = tree.entries(folder)
  if entries == nil then
    refuse(("there is no %s in %s"):format(tree.MANIFEST, folder:url()), "name a folder that export_git wrote")
  end
  local files = files_of(ctx, folder, entries)
  for _, file in ipairs(files) do
    read_file(ctx, folder, file)
  end
  local anchors, is_new = anchors_of(files), {}
  for _, file in ipairs(files) do
    if is_new[file.cluster] == nil then
      is_new[file.cluster] = tree.unless_missing(to.read, to, file.cluster .. "/config") == nil
    end
  end
  local found = { write = {}, delete = {}, newer = {}, conflict = {}, generated = {}, locked = {}, fault = {} }
  task.map(files, function(file)
    local what = file.locked and "locked"
    if not (file.locked or file.fault) then
      file.before, file.tag = read_object(to, key_of(file))
      what = decide(ctx, file, file.before, anchors, is_new[file.cluster])
      file.fault = fault_of(file, what)
    end
    what = file.fault and "fault" or what
    if what then
      table.insert(found[what], file)
    end
  end)
  for _, list in pairs(found) do
    table.sort(list, function(a, b)
      return key_of(a) < key_of(b)
    end)
  end
  if #found.fault == 0 then
    check_clusters(ctx, to, found)
  end
  return found
end

-- The plan --------------------------------------------------------------------------------------

-- The plan is the result, unless that is JSON.
local function show(ctx, sign, file)
  local say = ctx.flags.json and log.info or print
  say(("%s %s"):format(sign, tree.shown(key_of(file))))
  for line in kstate.diff.show(file.before, file.bytes, { secret = file.is_secret }):gmatch("[^\n]+") do
    say("    " .. line)
  end
end

local function list(files, reason)
  if #files > 0 then
    log.error(reason)
    for _, file in ipairs(files) do
      log.error("  " .. (file.fault or tree.shown(key_of(file))))
    end
  end
end

-- A config that names another place leads kOps there.
local function warn_of_places(to, writes)
  for _, file in ipairs(writes) do
    if file.kind.class == "config" then
      local base = config.parse(file.bytes, key_of(file)).config_base
      -- What is replaced may be broken.
      local parsed, before = pcall(config.parse, file.before or "", key_of(file))
      if base and not (parsed and base == before.config_base) and config.below(to:url() .. "/" .. file.cluster, base) ~= "" then
        log.warn(("%s: its configBase is %s, so kOps works there and not in %s"):format(key_of(file), base, to:url()))
      end
    end
  end
end

-- Shows what would be done. Gives an exit code when nothing may be.
local function present(ctx, to, found)
  for _, file in ipairs(found.write) do
    show(ctx, file.before and "~" or "+", file)
  end
  for _, file in ipairs(ctx.flags.delete and found.delete or {}) do
    show(ctx, "-", file)
  end
  for _, files in ipairs(ctx.flags.newer == "keep" and { found.conflict } or { found.conflict, found.newer }) do
    for _, file in ipairs(files) do
      show(ctx, "!", file)
    end
  end
  for _, file in ipairs(ctx.flags.delete and {} or found.delete) do
    log.warn(("%s is gone in git and stays in the store: --delete deletes it"):format(key_of(file)))
  end
  if #found.generated > 0 then
    log.info(("what kOps and etcd-manager write stays as it is in the store (%d files, such as %s): kops update cluster makes it anew, --generated takes it from git"):format(#found.generated, key_of(found.generated[1])))
  end
  if #found.locked > 0 then
    log.warn(("%d encrypted files are skipped, such as %s: --identity FILE opens them"):format(#found.locked, key_of(found.locked[1])))
  end
  list(found.fault, "these can't be brought into the store:")
  list(found.conflict, "these were changed in git, and in the store since they were exported:")
  if ctx.flags.newer == "keep" then
    for _, file in ipairs(found.newer) do
      log.info(key_of(file) .. " is newer in the store, and stays")
    end
  else
    list(found.newer, "these were changed in the store since they were exported, and not in git:")
  end
  if #found.fault > 0 then
    log.error("nothing was written")
    return 3
  elseif #found.conflict > 0 or (#found.newer > 0 and ctx.flags.newer ~= "keep") then
    log.error("nothing was written: export again and merge in git, leave alone what is newer with --newer keep, or write over it with --newer overwrite")
    return 4
  end
  warn_of_places(to, found.write)
end

-- The writes ------------------------------------------------------------------------------------

-- Does it if the object is as it was looked at. Where the service can't tell, it is looked at once
-- more right before.
local function unless_changed(to, file, conditional, unconditional)
  local asked, done, err = pcall(conditional)
  if not asked and done.kind == "unsupported" then
    local now = to:stat(key_of(file))
    if (now and now.tag) ~= file.tag then
      asked, done, err = true, nil, kstate.error({ kind = "precondition_failed", message = "it changed meanwhile" })
    else
      asked, done = pcall(unconditional)
    end
  end
  if not asked then
    error(done)
  elseif done == nil then
    error(kstate.error({
      kind = "precondition_failed",
      message = ("somebody else wrote %s/%s meanwhile: %s"):format(to:url(), key_of(file), err.message),
      hint = "run it again to see what there is now; kstate undo takes back what was written before",
    }))
  end
end

local function write(to, file)
  local key = key_of(file)
  unless_changed(to, file, function()
    return to:write(key, file.bytes, { if_match = file.tag, if_absent = file.tag == nil or nil })
  end, function()
    return to:write(key, file.bytes)
  end)
end

local function delete(to, file)
  local key = key_of(file)
  unless_changed(to, file, function()
    return to:delete(key, { if_match = file.tag })
  end, function()
    return to:delete(key)
  end)
end

local function carry_out(ctx, to, found)
  local configs, rest = {}, {}
  for _, file in ipairs(found.write) do
    table.insert(file.kind.class == "config" and configs or rest, file)
  end
  task.map(rest, function(file)
    write(to, file)
  end)
  task.map(ctx.flags.delete and found.delete or {}, function(file)
    delete(to, file)
  end)
  for _, file in ipairs(configs) do
    write(to, file)
  end
end

-- The run ---------------------------------------------------------------------------------------

local function keys_of(files)
  local keys = kstate.array({})
  for at, file in ipairs(files) do
    keys[at] = key_of(file)
  end
  return keys
end

local function report(ctx, to, found, is_done, deletes)
  if ctx.flags.json then
    local result = { done = is_done and not ctx.dry_run, dry_run = ctx.dry_run }
    for what, files in pairs(found) do
      result[what] = keys_of(files)
    end
    print(kstate.json.encode(result))
  elseif is_done then
    print(("%s: %d %swritten, %d deleted"):format(to:url(), #found.write, ctx.dry_run and "would be " or "", deletes))
  end
end

local function run(ctx, folder, to)
  local found = look(ctx, folder, to)
  local code = present(ctx, to, found)
  local deletes = ctx.flags.delete and #found.delete or 0
  local is_done = false
  if code == nil and #found.write + deletes > 0 then
    local question = ("Write %d and delete %d objects in %s?"):format(#found.write, deletes, to:url())
    if ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question }) then
      carry_out(ctx, to, found)
      is_done = true
    else
      code = 3
    end
  elseif code == nil and not ctx.flags.json then
    local is_all = #found.locked + #found.newer + #found.delete + #found.generated == 0
    print(is_all and "Nothing to import: the store has all of it." or "Nothing to import but what was named above.")
  end
  report(ctx, to, found, is_done, deletes)
  return code or 0
end

local function main(ctx)
  local to = store.open(ctx.flags.state or "state")
  local folder = tree.open(ctx.flags.from, to)
  return to:lock("store", { ttl = "30s", wait = ctx.flags.lock_wait }, function()
    return run(ctx, folder, to)
  end)
end

return {
  summary = "Bring changes in git back into a state store",
  flags = {
    { name = "from", type = "string", value = "DIR", required = true, doc = "the folder that export_git wrote" },
    { name = "state", type = "string", value = "STORE", doc = "the store to write to (default: the state store)" },
    { name = "cluster", type = "list", value = "NAME", doc = "only this cluster; may be given again" },
    { name = "identity", type = "list", value = "FILE", env = "KSTATE_AGE_IDENTITY", doc = "a file with the age identity that opens encrypted files; may be given again" },
    { name = "delete", type = "boolean", doc = "delete what was deleted in git" },
    { name = "newer", type = "string", choices = { "refuse", "keep", "overwrite" }, default = "refuse", doc = "what to do with objects that changed in the store since they were exported: write nothing, leave them alone, or write over them" },
    { name = "generated", type = "boolean", doc = "also what kOps and etcd-manager write; unasked only into a store that hasn't the cluster" },
    { name = "force_unknown", type = "boolean", doc = "write fields too that kOps doesn't have" },
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to the store" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
