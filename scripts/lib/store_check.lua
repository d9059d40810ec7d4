-- What is wrong with a state store itself: its bucket, and what the run may do there.

local kstate = kstate
local config = kstate.config
local notes = require(".notes")

local check = {}

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

-- What the store says that it can do, in one line.
local function card(can)
  local said = { able = {}, unable = {}, limits = {} }
  for name, value in pairs(can) do
    if type(value) == "boolean" then
      table.insert(value and said.able or said.unable, name)
    elseif type(value) ~= "table" then
      table.insert(said.limits, ("%s %s"):format(name, value))
    end
  end
  for _, list in pairs(said) do
    table.sort(list)
  end
  local function line(list)
    return #list > 0 and table.concat(list, ", ") or "nothing"
  end
  return ("it says that it can: %s; not: %s; limits: %s"):format(line(said.able), line(said.unable), line(said.limits))
end

-- Whether it was this run that was not to write, rather than the store that refused.
local function is_our_own(err)
  local hint = type(err) ~= "string" and err.hint or ""
  return hint:find("--read-only", 1, true) or hint:find("--allow-write", 1, true)
end

-- What is said of a permission, by the error that there was.
local function verdict(err)
  return err == nil and "yes" or type(err) ~= "string" and err.kind == "permission_denied" and "refused" or "failed"
end

-- Writes and deletes a probe; gives what it showed, and whether it could be written and deleted.
local function look_at_writes(ctx, from, can, note)
  if ctx.flags.no_probe or ctx.dry_run then
    note.know("not probed: whether it can be written and locked isn't known")
    return nil, "not tried", "not tried"
  end
  local ok, result = pcall(from.lock, from, "doctor", function(lock)
    return { strength = lock.strength, probe = from:probe() }
  end)
  if not ok and (result.kind == "locked" or is_our_own(result)) then
    note.know("not probed: " .. tostring(result))
    return nil, "not tried", "not tried"
  elseif not ok then
    note.odd("it can't be written or locked: " .. tostring(result), result.hint)
    if result.op == "delete" then
      return nil, "yes", verdict(result)
    end
    return nil, verdict(result), "not tried"
  end
  note.know("it can be written; a lock there is " .. result.strength)
  if result.strength == "advisory" then
    note.odd("a lock there excludes others only as far as clocks agree", "let one machine at a time change it")
  end
  for _, claim in ipairs({ "if_absent", "if_match" }) do
    if can[claim] and not result.probe[claim] then
      note.odd(("it says that it can do %s, and ignores it"):format(claim), "two writers overwrite each other there: let one at a time change it")
    end
  end
  return result.probe, "yes", "yes"
end

-- The folders that are no clusters.
local function look_at_folders(from, clusters, note)
  local known, left = { [".kstate"] = true }, {}
  for _, name in ipairs(clusters) do
    known[name] = true
  end
  for entry in from:list() do
    local folder = entry.prefix and entry.prefix:sub(1, -2)
    if folder and not known[folder] then
      left[#left + 1] = folder
    end
  end
  if #left > 0 then
    note.odd("folders without a config: " .. notes.names(left), "kOps doesn't list them; what is left of a deleted cluster still has its keys")
  end
end

-- Notes what there is to say of a store. Gives its clusters, and its `capabilities`, what it `honours`
-- and the `permissions` of this run.
function check.look(ctx, from, note)
  local clusters, unlisted = note.look(config.clusters, from)
  local said, read, write, delete = {}, "not tried", "not tried", "not tried"
  if clusters then
    note.know(("%d clusters"):format(#clusters))
    note.look(look_at_folders, from, clusters, note)
  end
  if clusters and clusters[1] then
    local _, unread = note.look(from.read, from, clusters[1] .. "/config")
    read = verdict(unread)
  end
  said.capabilities = from:capabilities()
  note.know(card(said.capabilities))
  note.look(look_at_bucket, from, note)
  -- A probe would make the folder of a path that somebody mistyped.
  if clusters or unlisted.kind ~= "not_found" then
    said.honours, write, delete = look_at_writes(ctx, from, said.capabilities, note)
  end
  said.permissions = { list = verdict(unlisted), read = read, write = write, delete = delete }
  note.know(("permissions: list %s, read %s, write %s, delete %s"):format(said.permissions.list, read, write, delete))
  return clusters or {}, said
end

return check
