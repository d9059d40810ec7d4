-- What a person asked for, on the command line and in files.

local kstate = kstate

local args = {}

-- Ends the run: what was asked for can't be done so.
function args.refuse(message, hint)
  error(kstate.error({ kind = "refused", message = message, hint = hint }), 0)
end

-- What a function makes of something that a person named; what it finds wrong is refused.
function args.asked(f, ...)
  local results = table.pack(pcall(f, ...))
  local err = results[2]
  if results[1] then
    return table.unpack(results, 2, results.n)
  elseif type(err) == "string" or err.kind == "other" then
    error(err, 0)
  end
  args.refuse(tostring(err), err.hint)
end

-- The name of a cluster as it was typed.
function args.cluster(typed)
  local name = typed:gsub("/$", "")
  if name == "" or name:find("/", 1, true) or name:find("^%.") then
    args.refuse(("'%s' is no name of a cluster"):format(typed))
  end
  return name
end

-- What should be a table; people write anything into manifests.
function args.table_of(value)
  return type(value) == "table" and value or {}
end

-- The elements of a flag that may be given again and may have commas.
function args.list(flag)
  local all = {}
  for _, given in ipairs(flag) do
    for element in given:gmatch("[^,]+") do
      all[#all + 1] = element:match("^%s*(.-)%s*$")
    end
  end
  return all
end

-- At most this many names are listed of one cluster, or for one reason.
local SHOWN = 50

-- Names one below the other, for a person to read.
function args.listed(names)
  local shown = table.move(names, 1, math.min(#names, SHOWN), 1, {})
  if #names > SHOWN then
    shown[#shown + 1] = ("and %d more"):format(#names - SHOWN)
  end
  return table.concat(shown, "\n  ")
end

-- Refuses flags that were given without a value, such as by a variable that is empty.
function args.refuse_empty(flags)
  for name, value in pairs(flags) do
    for _, given in ipairs(type(value) == "table" and value or { value }) do
      if type(given) == "string" and not given:find("[^%s,]") then
        args.refuse(("--%s has no value"):format(name:gsub("_", "-")), "leave it out to keep what is there")
      end
    end
  end
end

local function read(path)
  if path == "-" then
    return kstate.cli.input()
  end
  local folder = kstate.path.dir(path)
  return kstate.store.open(folder == "" and "." or folder):read(kstate.path.base(path))
end

local texts = {}

-- The text of a file that a person named; `-` is standard input, which can be read once only.
function args.read_file(path)
  if texts[path] == nil then
    local ok, text = pcall(read, path)
    if not ok and text.kind ~= "not_found" then
      error(text, 0)
    end
    texts[path] = ok and text or args.refuse("there is no file " .. path)
  end
  return texts[path]
end

return args
