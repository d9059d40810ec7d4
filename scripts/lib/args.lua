-- What a person asked for on the command line.

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

return args
