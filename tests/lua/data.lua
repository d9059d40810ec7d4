-- Data, text, printing.
local yaml, json = kstate.yaml, kstate.json

local text = [[
kind: Cluster
spec:
  zebra: "1.30"
  apple: null
  list: []
  map: {}
  on: yes
  number: 9007199254740993
]]
local doc = yaml.decode(text)
assert(doc.spec.zebra == "1.30" and doc.spec.apple == kstate.null and doc.spec.on == "yes")
assert(doc.spec.number == 9007199254740993)
assert(yaml.encode(doc) == [[
kind: Cluster
spec:
  zebra: "1.30"
  apple: null
  list: []
  map: {}
  "on": "yes"
  number: 9007199254740993
]])
assert(json.encode(yaml.decode("1: a\ntrue: b\n")) == '{"1":"a","true":"b"}')
assert(yaml.decode("base: &b {x: 1}\nother:\n  <<: *b\n  y: 2\n").other.x == 1)
local ok, e = pcall(yaml.decode, "a: [")
assert(not ok and e:is("invalid") and e.message:find("line"))
assert(not pcall(yaml.decode, "a: 1\n---\nb: 2\n"))

assert(json.encode({ 1, 2 }, { pretty = true }) == "[\n  1,\n  2\n]")
assert(json.encode(1.0) == "1.0" and json.decode("1.0") == 1.0)
assert(not pcall(json.encode, 0 / 0))

-- printing
assert(kstate.inspect({ 1, "two", { 3 } }) == '{ 1, "two", { 3 } }')
assert(kstate.inspect({ ["a b"] = 1, [true] = 2 }) == '{ ["a b"] = 1, [true] = 2 }')
assert(kstate.inspect("\0\255") == '"\\u{0}\\xff"')
local cycle = {}
cycle.me = cycle
assert(kstate.inspect(cycle) == "{ me = {<cycle>} }")
assert(kstate.inspect({ { { {} } } }, { depth = 2 }) == "{ { {…} } }")
assert(kstate.inspect(kstate.path):find("normalize = function"))
local long = kstate.inspect({ a = ("x"):rep(50), b = ("y"):rep(50) })
assert(long == '{\n  a = "' .. ("x"):rep(50) .. '",\n  b = "' .. ("y"):rep(50) .. '",\n}')

-- errors of a script's own, and try
local value, err = kstate.try(function(x) return x + 1 end, 1)
assert(value == 2 and err == nil)
value, err = kstate.try(function() local t; return t.x end)
assert(value == nil and err:find("attempt to index a nil value"))
local made = kstate.error({ message = "m", op = "read", url = "s3://b/", key = "k" })
assert(tostring(made) == "cannot read s3://b/k: m" and made.kind == "other")
local wrapped = kstate.error({ message = "outer", cause = made })
assert(wrapped.cause.key == "k" and wrapped.cause:is("other"))
