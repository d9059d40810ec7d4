-- What a script finds wrong, place by place, each with what to do about it.

local notes = {}

-- At most this many names stand in one finding.
local SHOWN = 5

function notes.names(list)
  local shown = table.concat(list, ", ", 1, math.min(#list, SHOWN))
  return #list > SHOWN and ("%s and %d more"):format(shown, #list - SHOWN) or shown
end

-- Collects what is found about one place. `look` calls a function, and notes what it dies of, so
-- that the rest is looked at all the same; gives its result, or nil and the error.
function notes.of(findings, place)
  local note = {}
  local function add(severity, message, hint)
    findings[#findings + 1] = { severity = severity, place = place, message = message, hint = hint }
  end
  function note.bad(message, hint) add("error", message, hint) end
  function note.odd(message, hint) add("warning", message, hint) end
  function note.know(message) add("info", message) end
  function note.look(f, ...)
    local ok, result = pcall(f, ...)
    if not ok then
      note.bad(tostring(result), type(result) ~= "string" and result.hint or nil)
    end
    return ok and result or nil, not ok and result or nil
  end
  return note
end

return notes
