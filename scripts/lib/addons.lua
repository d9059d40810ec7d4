-- Add-ons: objects of Kubernetes that kOps keeps beside a cluster's manifests and applies.

local kstate = kstate
local args = require(".args")
local refuse = args.refuse

-- The parts that kOps splits a file into: it sees no other separator than a line of just `---`.
local function sections(text)
  local all = {}
  for section in (text:gsub("\r\n", "\n"):gsub("\n%-%-%-\n", "\0") .. "\0"):gmatch("([^\0]*)\0") do
    all[#all + 1] = section
  end
  return all
end

local function check(path, text)
  local ok, wrong = pcall(kstate.yaml.decode_all, text)
  if not ok then
    refuse(path .. ": " .. wrong.message)
  end
  for _, section in ipairs(sections(text)) do
    local objects = 0
    for _, object in ipairs(kstate.yaml.decode_all(section)) do
      local api = type(object) == "table" and object.apiVersion
      if object == kstate.null then
        goto continue
      elseif type(api) ~= "string" or type(object.kind) ~= "string" then
        refuse(path .. " has something that is no object of Kubernetes", "each has an apiVersion and a kind")
      elseif api:find("^kops%.k8s%.io/") then
        refuse(("%s has a %s of kOps, which is no add-on"):format(path, object.kind), "give it with -f")
      end
      objects = objects + 1
      ::continue::
    end
    if objects > 1 then
      refuse(path .. " separates objects in a way that kOps doesn't see, and it would drop all but the first", "write --- alone in its line, without blanks or a comment")
    end
  end
end

local addons = {}

-- The add-ons of these files as one text.
function addons.text(paths)
  local texts = {}
  for i, path in ipairs(paths) do
    local text = args.read_file(path)
    check(path, text)
    text = i > 1 and text:gsub("^%-%-%-[ \t]*\r?\n", "") or text
    texts[i] = (i == #paths or text:find("\n$")) and text or text .. "\n"
  end
  return table.concat(texts, "---\n")
end

return addons
