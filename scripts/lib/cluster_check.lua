-- What is wrong with a cluster in a state store.

local kstate = kstate
local config, task, time, yaml = kstate.config, kstate.task, kstate.time, kstate.yaml
local args, keys_check, notes, survey = require(".args"), require(".keys_check"), require(".notes"), require(".survey")

local check = {}

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

-- Counts the files by what they are, and tells those that nobody knows, and old ones. Gives all of
-- them by key, and whether kOps generated any.
local function look_at_files(cluster, note)
  local keysets, addons, secret, generated = 0, 0, 0, 0
  local all, lists = {}, { unknown = {}, legacy = {} }
  for object in cluster.base:walk() do
    local key = object.key or object.foreign
    local kind = config.classify(key)
    all[key] = object
    secret, generated = secret + (kind.secret and 1 or 0), generated + (kind.regenerated and 1 or 0)
    keysets, addons = keysets + (kind.class == "pki_private" and 1 or 0), addons + (kind.class == "addon" and 1 or 0)
    table.insert(lists[kind.class] or {}, key)
  end
  if #lists.unknown > 0 then
    note.odd("kOps doesn't know these files: " .. notes.names(lists.unknown), "`kops delete cluster` refuses while they are there: move them away")
  end
  if #lists.legacy > 0 then
    note.know(("%d files of kOps before 1.22, which nothing reads: %s"):format(#lists.legacy, notes.names(lists.legacy)))
  end
  note.know(("%d files with secrets, %d keysets, %d addons; %d files are generated"):format(secret, keysets, addons, generated))
  return { all = all, is_generated = generated > 0 }
end

-- What was written by hand after kOps last generated the rest.
local function look_at_times(cluster, completed, note)
  local edited = {}
  local function look(object)
    local is_newer = object and object.modified and completed.modified and object.modified > completed.modified + 1
    edited[#edited + 1] = is_newer and object.key or nil
  end
  look(cluster.tree:stat("config"))
  for object in cluster.tree:walk("instancegroup") do
    look(object)
  end
  if #edited > 0 then
    note.odd(("edited after the last `kops update cluster`: %s"):format(notes.names(edited)), "machines that start now get what was there before")
  end
end

-- The addons are those that the list of them names, byte for byte.
local function look_at_addons(cluster, all, note)
  local text = all["addons/bootstrap-channel.yaml"] and cluster.base:read("addons/bootstrap-channel.yaml")
  local spec = args.table_of(args.table_of(yaml.decode(text or "")).spec)
  local wanted = {}
  for _, addon in ipairs(args.table_of(spec.addons)) do
    local manifest = args.table_of(addon).manifest
    if type(manifest) == "string" and not manifest:find("://", 1, true) then
      wanted[#wanted + 1] = { key = "addons/" .. manifest, sum = addon.manifestHash }
    end
  end
  local missing, changed = {}, {}
  task.map(wanted, function(addon)
    if all[addon.key] == nil then
      missing[#missing + 1] = addon.key
    elseif addon.sum and cluster.base:sha256(addon.key) ~= addon.sum then
      changed[#changed + 1] = addon.key
    end
  end, { concurrency = 8 })
  for what, list in pairs({ ["are missing"] = missing, ["are not those of its checksums"] = changed }) do
    if #list > 0 then
      table.sort(list)
      note.odd(("addons that bootstrap-channel.yaml names %s: %s"):format(what, notes.names(list)), "`kops update cluster` writes them anew")
    end
  end
end

local function look_at_generated(cluster, all, note)
  local completed = all["cluster-completed.spec"]
  if completed == nil then
    return note.odd("cluster-completed.spec is missing, though `kops update cluster` ran", "that writes it anew; run it when nothing is said of missing keys here")
  end
  local made = config.parse(cluster.base:read("cluster-completed.spec"), "cluster-completed.spec").config_base
  if made and config.below(made, cluster.base:url()) ~= "" then
    note.odd("what kOps generated names another place: " .. made, "run `kops update cluster`, and roll its control plane")
  end
  look_at_times(cluster, completed, note)
  look_at_addons(cluster, all, note)
end

-- Notes the commands that wait; gives the etcd clusters with their backups, and whether any ran.
local function list_etcd(cluster, note)
  local all, has_run = survey.etcd(cluster), false
  for _, etcd in ipairs(all) do
    local others
    etcd.backups, etcd.incomplete, others = survey.backups(etcd)
    for _, key in ipairs(others) do
      etcd.is_created = etcd.is_created or key == "control/etcd-cluster-created"
      if key:match("^control/.*_command%.json$") then
        note.odd(("etcd %s has a command that waits: %s"):format(etcd.name, key), "etcd-manager carries it out at its next start, such as to restore a backup")
      end
    end
    has_run = has_run or etcd.is_created or #etcd.backups + #etcd.incomplete > 0
  end
  return { all = all, has_run = has_run }
end

local function look_at_backups(ctx, etcd, note)
  local newest, log = etcd.backups[#etcd.backups], "look at etcd-manager's log on its control plane"
  if newest == nil then
    note.odd(("etcd %s has no complete backup"):format(etcd.name), log)
  elseif newest.time < time.now() - ctx.flags.max_backup_age then
    note.odd(("etcd %s was last backed up %s ago"):format(etcd.name, survey.age(newest.time)), log)
  end
  local folders = {}
  for i, backup in ipairs(etcd.incomplete) do
    folders[i] = backup.folder
  end
  if #folders > 0 then
    note.odd(("backups of etcd %s are not complete: %s"):format(etcd.name, notes.names(folders)), "they can't be restored; `kstate run prune_backups` deletes them when they are old")
  end
end

local function look_at_etcd(ctx, etcd, has_run, note)
  for _, one in ipairs(etcd.all) do
    if one.is_created then
      look_at_backups(ctx, one, note)
    elseif has_run then
      note.bad(("etcd %s has no control/etcd-cluster-created"):format(one.name), "a control plane that starts now moves its data aside and begins with an EMPTY etcd: bring the marker back")
    else
      note.know(("etcd %s was not created yet"):format(one.name))
    end
  end
end

local function look_at_config(from, name, note)
  for _, found in ipairs(config.validate(from, name)) do
    local say = found.severity == "error" and note.bad or note.odd
    say(found.text)
  end
end

-- Notes what there is to say of a cluster. What can't be read is noted, and all else looked at.
function check.look(ctx, from, name, note)
  local cluster = note.look(survey.cluster, from, name)
  if cluster == nil then
    return
  end
  note.look(look_at_config, from, name, note)
  note.look(look_at_places, cluster, note)
  local files = note.look(look_at_files, cluster, note)
  local keys = note.look(keys_check.list, cluster)
  local etcd = note.look(list_etcd, cluster, note)
  local has_run = files and files.is_generated or keys and keys_check.are_made(keys) or etcd and etcd.has_run
  if has_run and files then
    note.look(look_at_generated, cluster, files.all, note)
  elseif files and keys and etcd then
    note.odd("`kops update cluster` never ran for it here", "run it if the cluster is new; if it runs, bring its files back to " .. cluster.base:url() .. " first: it would get new keys")
  end
  if keys then
    note.look(keys_check.keysets, cluster, keys, has_run, note)
    note.look(has_run and keys_check.secrets or function() end, cluster, keys, note)
  end
  if etcd then
    note.look(look_at_etcd, ctx, etcd, etcd.has_run, note)
  end
end

return check
