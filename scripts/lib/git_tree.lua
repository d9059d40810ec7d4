-- How a state store lies in a folder of a git work tree: what export_git and import_git agree on.
--
-- Each object is a file of the same name; one that is a secret is encrypted, and its name ends in
-- `.age`. The manifest beside the clusters says of each object what was exported, or why not.

local kstate = kstate
local config, hash, json = kstate.config, kstate.hash, kstate.json
local args = require("lib.args")

local tree = {}

tree.MANIFEST = "kstate-export.json"

-- Line ends are part of an object, and git would change them (core.autocrlf).
tree.ATTRIBUTES = ".gitattributes"
tree.KEEP_BYTES = "* -text\n"

local VERSION = 1

-- How many hashes a guess at a secret costs where no private key stands behind its digest.
local ROUNDS = 1 << 14

-- What a function gives of a store; nil when it isn't there yet.
function tree.unless_missing(f, ...)
  local done, result = pcall(f, ...)
  if done then
    return result
  elseif type(result) ~= "string" and result.kind == "not_found" then
    return nil
  end
  error(result, 0)
end

-- A file's bytes; nil when it is not there.
function tree.read(folder, file)
  return args.asked(tree.unless_missing, folder.read, folder, file)
end

-- The files below a cluster's folder. One of kOps's that can't be read, such as a link that leads
-- elsewhere, is refused.
function tree.walk(folder, cluster)
  local entries = args.asked(tree.unless_missing, function()
    return folder:walk(cluster):collect()
  end)
  local keys = {}
  for _, entry in ipairs(entries or {}) do
    keys[#keys + 1] = entry.key
    if entry.foreign and config.classify(entry.foreign:sub(#cluster + 2)).class ~= "unknown" then
      args.refuse(("%s in %s can't be read: %s"):format(tree.shown(entry.foreign), folder:url(), entry.reason), "put the file itself there")
    end
  end
  return keys
end

-- What the manifest says of each object, by its key; nil when there is no manifest.
function tree.entries(folder)
  local text = tree.read(folder, tree.MANIFEST)
  if text == nil then
    return nil
  end
  local function broken(why)
    args.refuse(
      ("%s/%s: %s"):format(folder:url(), tree.MANIFEST, why),
      "export_git writes it: take one side of a merge as it is, or the file of an earlier commit"
    )
  end
  local parsed, manifest = pcall(json.decode, text)
  if not parsed then
    broken(manifest.message)
  elseif type(manifest) ~= "table" or type(manifest.objects) ~= "table" then
    broken("it is no manifest of an export")
  elseif manifest.kstate_export ~= VERSION then
    broken(("it has version %s, and this kstate reads version %d"):format(kstate.inspect(manifest.kstate_export), VERSION))
  end
  local entries = {}
  for key, entry in pairs(manifest.objects) do
    local sum = type(entry) == "table" and (entry.sha256 or entry.age)
    local is_object = type(entry) == "table" and (entry.left_out or type(sum) == "string" and not tree.is_foreign(key))
    if not is_object or not key:find("^[^/]+/.") then
      broken(("what it says of %s is not what export_git writes"):format(kstate.inspect(key)))
    end
    entries[key] = entry
  end
  return entries
end

-- The manifest: one object a line, so that git shows and merges it well.
function tree.manifest(entries)
  local lines = {}
  for key, entry in pairs(entries) do
    lines[#lines + 1] = { key, json.encode(key) .. ": " .. json.encode(entry) }
  end
  table.sort(lines, function(a, b)
    return a[1] < b[1]
  end)
  for at, line in ipairs(lines) do
    lines[at] = line[2]
  end
  return ('{"kstate_export": %d, "objects": {\n%s\n}}\n'):format(VERSION, table.concat(lines, ",\n"))
end

-- The file that an object lies in; nil for one that was left out.
function tree.file(key, entry)
  if entry == nil or entry.left_out then
    return nil
  end
  return entry.age and key .. ".age" or key
end

-- The SHA-256 of a file as it was exported.
function tree.sum(entry)
  return entry and (entry.age or entry.sha256)
end

-- A name on one line.
function tree.shown(name)
  return (name:gsub("%c", "?"))
end

-- Whether a name is git's own or kstate's own: neither goes from one to the other.
function tree.is_foreign(name)
  local padded = ("/" .. name .. "/"):lower()
  return padded:find("/.git/", 1, true) ~= nil or padded:find("/.kstate/", 1, true) ~= nil
end

function tree.cluster(key)
  return key:match("^[^/]+")
end

-- The keyset that stands for all secrets of a cluster, of the names of its objects.
function tree.anchor(names)
  local first
  for _, name in ipairs(names) do
    if name == "pki/private/kubernetes-ca/keyset.yaml" then
      return name
    elseif name:match("^pki/private/[^/]+/keyset%.yaml$") and (first == nil or name < first) then
      first = name
    end
  end
  return first
end

-- A digest of a secret that tells whether it changed. It is keyed with a private key of the
-- cluster, so that nobody without one can guess: a short password could be found from a plain hash.
-- A cluster that has none yet leaves only to make each guess dear.
function tree.digest(anchor, key, bytes)
  local secret = hash.sha256("kstate export\n" .. (anchor or key .. "\n" .. bytes))
  for _ = 1, anchor and 0 or ROUNDS do
    secret = hash.sha256(secret)
  end
  return hash.sha256(secret .. "\n" .. key .. "\n" .. hash.sha256(bytes))
end

-- Whether a file is what was exported but for its line ends.
function tree.has_other_line_ends(entry, bytes)
  local sum = tree.sum(entry)
  if sum == nil or hash.sha256(bytes) == sum then
    return false
  end
  local lf = bytes:gsub("\r\n", "\n")
  return hash.sha256(lf) == sum or hash.sha256((lf:gsub("\n", "\r\n"))) == sum
end

-- Refuses what a person put in the clear where the export has it encrypted, or not at all.
function tree.check_strays(folder, clusters, entries, is_known)
  local found = {}
  for _, cluster in ipairs(clusters) do
    for _, key in ipairs(tree.walk(folder, cluster)) do
      if not is_known(key) and not key:find("%.age$") and not tree.is_foreign(key) then
        local entry = entries[key]
        if entry and not entry.sha256 or config.classify(key:sub(#cluster + 2)).secret then
          found[#found + 1] = tree.shown(key)
        end
      end
    end
  end
  if #found > 0 then
    args.refuse(
      "these lie in the clear where the export has them encrypted, or not at all:\n  " .. args.listed(found),
      "delete them from " .. folder:url() .. " before they are committed; what was committed and pushed is known, and must be replaced"
    )
  end
end

-- The folder that a person named, as a store; refuses one that is not apart from the state store.
function tree.open(name, state)
  local folder = args.asked(kstate.store.open, name)
  local function refuse(message, hint)
    args.refuse(folder:url() .. " " .. message, hint)
  end
  if config.scheme(folder:url()) ~= "file" then
    refuse("is no folder of this machine", "name a folder of a git work tree")
  elseif state:relation(folder) ~= "apart" then
    refuse("is not apart from the state store " .. state:url(), "kOps takes each */config in a store for a cluster, also that of .git: name a folder elsewhere")
  elseif tree.is_foreign(folder:url()) then
    refuse("lies in a folder of git's or kstate's own", "name a folder of the work tree")
  end
  return folder
end

return tree
