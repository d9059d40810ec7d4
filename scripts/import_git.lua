-- Brings what was changed in a folder that export_git wrote back into a state store.
--
-- The manifest says what the store held when it was exported. An object is written when git has
-- something else than that and the store has not, or has the same already; what changed in the
-- store since then is newer and is never overwritten unasked. Nothing is written before all is
-- known. `config` is written last, so that kOps sees a cluster only when all of it is there.

local kstate = kstate
local config, store, log, task = kstate.config, kstate.store, kstate.log, kstate.task
local tree = require("lib.git_tree")

-- What people write, and may add in git.
local BY_HAND = { config = true, instance_group = true, cluster_addons = true }

local function key_of(file)
  return file.cluster .. "/" .. file.name
end

-- What git has ----------------------------------------------------------------------------------

-- The files of the clusters: those of the manifest, and new ones that a person may add.
local function files_of(ctx, folder, entries)
  local chosen
  for _, name in ipairs(ctx.flags.cluster) do
    chosen = chosen or {}
    chosen[name] = true
  end
  local files, known, clusters, exported = {}, {}, {}, {}
  local function add(cluster, name, entry)
    if not known[cluster .. "/" .. name] then
      known[cluster .. "/" .. name] = true
      files[#files + 1] = { cluster = cluster, name = name, entry = entry, kind = config.classify(name) }
    end
  end
  for key, entry in pairs(entries) do
    local cluster, name = key:match("^([^/]+)/(.+)$")
    known[key] = entry.left_out and true or nil
    local file = tree.file(key, entry)
    if file then
      exported[file] = true
    end
    clusters[cluster] = true
    if not entry.left_out and (chosen == nil or chosen[cluster]) then
      add(cluster, name, entry)
    end
  end
  for _, cluster in ipairs(config.clusters(folder)) do
    clusters[cluster] = true
    if chosen == nil or chosen[cluster] then
      for object in folder:walk(cluster) do
        local name = object.key and object.key:sub(#cluster + 2)
        if name and not exported[object.key] and BY_HAND[config.classify(name).class] then
          add(cluster, name)
        end
      end
    end
  end
  for name in pairs(chosen or {}) do
    if not clusters[name] then
      error(kstate.error({ kind = "refused", message = ("there is no cluster %s in %s"):format(name, folder:url()) }))
    end
  end
  table.sort(files, function(a, b)
    return key_of(a) < key_of(b)
  end)
  return files
end

-- Reads a file of git: `bytes` is nil when it was deleted, `locked` when no identity is there to
-- open it.
local function read_file(ctx, folder, file)
  local bytes = tree.read(folder, tree.file(key_of(file), file.entry or {}))
  local is_sealed = file.entry ~= nil and file.entry.age ~= nil
  file.is_secret = file.kind.secret or is_sealed
  file.locked = is_sealed and #ctx.identities == 0
  if bytes == nil or not is_sealed then
    file.bytes = bytes
  elseif not file.locked then
    local opened, plain = pcall(kstate.age.decrypt, bytes, ctx.identities)
    if not opened then
      error(kstate.error({ kind = plain.kind, message = ("cannot open %s.age: %s"):format(key_of(file), plain.message), hint = plain.hint }))
    end
    file.bytes = plain
    file.is_exported = kstate.hash.sha256(bytes) == file.entry.age
  end
end

-- What is wrong with a manifest that a person wrote; nil when nothing is.
local function fault_of(file)
  local label = key_of(file)
  if file.kind.class == "config" then
    local parsed, manifest = pcall(config.parse, file.bytes, label)
    if not parsed then
      return tostring(manifest)
    elseif manifest.name ~= file.cluster then
      return ("%s: its name is '%s', so kOps would not find it"):format(label, manifest.name)
    end
  elseif file.kind.class == "instance_group" then
    local parsed, group = pcall(kstate.yaml.decode, file.bytes)
    if not parsed then
      return ("%s: %s"):format(label, group.message)
    end
    local is_group = type(group) == "table" and group.kind == "InstanceGroup" and type(group.metadata) == "table"
    if not is_group or "instancegroup/" .. tostring(group.metadata.name) ~= file.name then
      return label .. ": it is no InstanceGroup of this name, and kOps could list none of the groups then"
    end
  elseif file.kind.class == "cluster_addons" then
    local parsed, fault = pcall(kstate.yaml.decode_all, file.bytes)
    if not parsed then
      return ("%s: %s"):format(label, fault.message)
    end
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
local function is_as_exported(file, bytes, anchor)
  local entry = file.entry
  if entry == nil or bytes == nil then
    return false
  elseif entry.sha256 then
    return kstate.hash.sha256(bytes) == entry.sha256
  end
  return anchor ~= nil and entry.digest == tree.digest(anchor, key_of(file), bytes)
end

-- What is to be done with one object: "write", "delete", "newer" when only the store has changed,
-- "conflict" when both have; nil for nothing.
local function decide(ctx, file, bytes, is_base, is_new_cluster)
  if file.bytes == bytes or (file.bytes == nil and bytes == nil) then
    return nil
  elseif is_base then
    return file.bytes and "write" or "delete"
  elseif file.bytes == nil and not ctx.flags.delete then
    return "delete"
  elseif bytes == nil and (file.entry == nil or is_new_cluster) then
    return "write"
  end
  local entry = file.entry
  local is_exported = entry and (file.is_exported or (file.bytes and entry.sha256 == kstate.hash.sha256(file.bytes)))
  return is_exported and "newer" or "conflict"
end

-- The secret from which the digests of each cluster were made, as it was exported.
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
    local file = name and by_key[cluster .. "/" .. name]
    anchors[cluster] = file and file.bytes
  end
  return anchors
end

-- Looks at every object; gives the files by what is to be done with them.
local function look(ctx, folder, to)
  local entries = tree.entries(folder)
  if entries == nil then
    error(kstate.error({
      kind = "invalid",
      message = ("there is no %s in %s"):format(tree.MANIFEST, folder:url()),
      hint = "name a folder that export_git wrote",
    }))
  end
  local files = files_of(ctx, folder, entries)
  task.map(files, function(file)
    read_file(ctx, folder, file)
  end)
  local anchors, is_new = anchors_of(files), {}
  for _, file in ipairs(files) do
    if is_new[file.cluster] == nil then
      is_new[file.cluster] = tree.read(to, file.cluster .. "/config") == nil
    end
  end
  local found = { write = {}, delete = {}, newer = {}, conflict = {}, locked = {}, fault = {} }
  task.map(files, function(file)
    if file.locked then
      table.insert(found.locked, file)
      return
    end
    file.before, file.tag = read_object(to, key_of(file))
    local what = decide(ctx, file, file.before, is_as_exported(file, file.before, anchors[file.cluster]), is_new[file.cluster])
    if (what == "newer" or what == "conflict") and ctx.flags.newer == "overwrite" then
      what = file.bytes and "write" or "delete"
    end
    file.fault = what == "write" and fault_of(file)
    if what == "delete" and file.kind.class == "config" then
      file.fault = key_of(file) .. ": an import deletes no cluster, only kops delete cluster does"
    elseif what == "delete" and (file.name:find("^pki/") or file.name:find("^backups/")) then
      file.fault = key_of(file) .. ": an import deletes no keys and no backups: kOps would make new keys, etcd-manager an empty cluster"
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
  return found
end

-- The plan --------------------------------------------------------------------------------------

local function show(sign, file)
  print(("%s %s"):format(sign, tree.shown(key_of(file))))
  for line in kstate.diff.show(file.before, file.bytes, { secret = file.is_secret }):gmatch("[^\n]+") do
    print("    " .. line)
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
      local before = file.before and config.parse(file.before, key_of(file)).config_base
      if base and base ~= before and config.below(to:url() .. "/" .. file.cluster, base) ~= "" then
        log.warn(("%s: its configBase is %s, so kOps works there and not in %s"):format(key_of(file), base, to:url()))
      end
    end
  end
end

-- Shows what would be done. Gives an exit code when nothing may be.
local function present(ctx, to, found)
  if not ctx.flags.json then
    for _, file in ipairs(found.write) do
      show(file.before and "~" or "+", file)
    end
    local stopping = ctx.flags.newer == "keep" and { found.conflict } or { found.conflict, found.newer }
    for _, files in ipairs(stopping) do
      for _, file in ipairs(files) do
        show("!", file)
      end
    end
    for _, file in ipairs(found.delete) do
      if ctx.flags.delete then
        print("- " .. key_of(file))
      else
        log.warn(("%s is gone in git and stays in the store: --delete deletes it"):format(key_of(file)))
      end
    end
  end
  warn_of_places(to, found.write)
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
    return 3
  elseif #found.conflict > 0 or (#found.newer > 0 and ctx.flags.newer ~= "keep") then
    log.error("nothing was written: export again and merge in git, leave alone what is newer with --newer keep, or write over it with --newer overwrite")
    return 4
  end
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

local function run(ctx, folder, to)
  local found = look(ctx, folder, to)
  local code = present(ctx, to, found)
  local deletes = ctx.flags.delete and #found.delete or 0
  local count = #found.write + deletes
  local done = false
  if code == nil and count > 0 then
    local question = ("Write %d and delete %d objects in %s?"):format(#found.write, deletes, to:url())
    if ctx.flags.yes or ctx.dry_run or kstate.cli.confirm({ prompt = question }) then
      carry_out(ctx, to, found)
      done = true
    else
      code = 3
    end
  end
  if ctx.flags.json then
    local result = { done = done }
    for what, files in pairs(found) do
      result[what] = keys_of(files)
    end
    print(kstate.json.encode(result))
  elseif done then
    print(("%s: %d %swritten, %d deleted"):format(to:url(), #found.write, ctx.dry_run and "would be " or "", deletes))
  elseif code == nil then
    print("Nothing to import: the store has all of it.")
  end
  return code or 0
end

local function main(ctx)
  local to = store.open(ctx.flags.state or "state")
  local folder = tree.open(ctx.flags.from, to)
  ctx.identities = ctx.flags.identity
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
    { name = "lock_wait", type = "duration", default = "1m", doc = "how long to wait for another run that writes to the store" },
    { name = "yes", type = "boolean", doc = "don't ask" },
    { name = "json", type = "boolean", doc = "print the result as JSON" },
  },
  main = main,
}
