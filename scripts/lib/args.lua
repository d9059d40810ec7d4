-- What a person asked for on the command line.

local kstate = kstate

local args = {}

-- Ends the run: what was asked for can't be done so.
function args.refuse(message, hint)
  error(kstate.error({ kind = "refused", message = message, hint = hint }), 0)
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

return args
