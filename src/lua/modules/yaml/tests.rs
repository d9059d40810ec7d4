//! Tests of `YamlDocument`.

use crate::lua::testing::{Bench, fails, passes};

const CLUSTER: &str = r#"
local TEXT = [[
# The production cluster.
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
metadata:
  name: "c.example.com"   # quoted
spec:
  kubernetesVersion: 1.29.1 # tested
  # Who may come in.
  sshAccess:
  - 10.0.0.0/8   # office
  - 192.0.2.1/32 # Ann
  subnets:
  - name: a # the first
    cidr: 10.1.0.0/16
    zone: eu-1a
  # The second one.
  - {name: b, cidr: 10.2.0.0/16, zone: eu-1b}
---
kind: InstanceGroup # of workers
spec: {maxSize: 3}
]]
local doc = kstate.yaml.edit(TEXT, "s3://state/c/config")
--- The lines that only one of two texts has.
local function changed(after)
  local gone, come, before = {}, {}, {}
  for line in TEXT:gmatch("[^\n]*\n") do before[line] = (before[line] or 0) + 1 end
  for line in after:gmatch("[^\n]*\n") do
    if before[line] then
      before[line] = before[line] > 1 and before[line] - 1 or nil
    else
      come[#come + 1] = "+" .. line
    end
  end
  for line in TEXT:gmatch("[^\n]*\n") do
    if before[line] then
      gone[#gone + 1] = "-" .. line
      before[line] = nil
    end
  end
  return table.concat(gone) .. table.concat(come)
end
"#;

/// Runs a script on the cluster above; it must end well.
#[track_caller]
fn edits(script: &str) {
    passes(&format!("{CLUSTER}{script}"));
}

#[test]
fn each_kind_of_edit_changes_its_lines_and_no_comment() {
    for (edit, expected) in [
        (
            "doc:set('spec.kubernetesVersion', '1.30')",
            "-  kubernetesVersion: 1.29.1 # tested\n+  kubernetesVersion: \"1.30\" # tested\n",
        ),
        (
            "doc:set('metadata.name', 'd')",
            "-  name: \"c.example.com\"   # quoted\n+  name: \"d\"   # quoted\n",
        ),
        (
            "doc:set('spec.subnets[name=b].zone', 'eu-1c')",
            "-  - {name: b, cidr: 10.2.0.0/16, zone: eu-1b}\n+  - {name: b, cidr: 10.2.0.0/16, zone: eu-1c}\n",
        ),
        (
            "doc:set('spec.subnets[*].zone', 'z')",
            "-    zone: eu-1a\n-  - {name: b, cidr: 10.2.0.0/16, zone: eu-1b}\n+    zone: z\n\
             +  - {name: b, cidr: 10.2.0.0/16, zone: z}\n",
        ),
        (
            "doc:set('spec.sshAccess[0]', '10.0.0.0/9')",
            "-  - 10.0.0.0/8   # office\n+  - 10.0.0.0/9   # office\n",
        ),
        (
            "doc:set('spec.kubelet.maxPods', 110)",
            "+  kubelet:\n+    maxPods: 110\n",
        ),
        (
            "doc:set('spec.share', 0.5) doc:set('spec.none', kstate.null) doc:set('spec.on', true)",
            "+  none: null\n+  \"on\": true\n+  share: 0.5\n",
        ),
        (
            "doc:set('spec.maxSize', 4, { document = 2 })",
            "-spec: {maxSize: 3}\n+spec: {maxSize: 4}\n",
        ),
        (
            "assert(doc:unset('spec.sshAccess[1]'))",
            "-  - 192.0.2.1/32 # Ann\n",
        ),
        (
            "assert(doc:unset('spec.subnets[*].zone'))",
            "-    zone: eu-1a\n-  - {name: b, cidr: 10.2.0.0/16, zone: eu-1b}\n\
             +  - {name: b, cidr: 10.2.0.0/16}\n",
        ),
        (
            "doc:append('spec.sshAccess', '198.51.100.1/32')",
            "+  - 198.51.100.1/32\n",
        ),
        (
            "doc:merge({ spec = { subnets = { { name = 'a', zone = 'z' }, { name = 'c' } } } },
               { lists = 'kops' })",
            "-    zone: eu-1a\n+    zone: z\n+  - name: c\n",
        ),
        (
            "doc:merge({ spec = { sshAccess = { '10.0.0.0/8', 'x' } } },
               { lists = { ['spec.sshAccess'] = 'union' } })",
            "+  - x\n",
        ),
        (
            "doc:merge({ spec = { maxSize = 5 } }, { document = 2 })",
            "-spec: {maxSize: 3}\n+spec: {maxSize: 5}\n",
        ),
        (
            "local value = doc:value()
             value.spec.kubernetesVersion = nil
             table.insert(value.spec.sshAccess, 1, 'first')
             doc:apply(value)",
            "-  kubernetesVersion: 1.29.1 # tested\n+  - first\n",
        ),
    ] {
        edits(&format!(
            "{edit}\nlocal diff = changed(doc:text())\nassert(diff == {expected:?}, diff)"
        ));
    }
}

#[test]
fn values_are_read_with_their_types() {
    edits(
        r#"
        assert(doc:documents() == 2 and tostring(doc) == TEXT)
        assert(doc:get("kind") == "Cluster" and doc:get("kind", { document = 2 }) == "InstanceGroup")
        assert(math.type(doc:get("spec.maxSize", { document = 2 })) == "integer")
        assert(doc:get("spec.subnets[*].name") == "a" and doc:get("spec.subnets[1].name") == "b")
        assert(table.concat(doc:all("spec.subnets[*].zone"), " ") == "eu-1a eu-1b")
        assert(doc:get("spec.subnets[name=a]").cidr == "10.1.0.0/16")
        assert(doc:value({ document = 2 }).spec.maxSize == 3)
        for _, path in ipairs { "none", "kind.none", "spec.subnets[name=x].zone", "spec.subnets[7]" } do
          assert(doc:get(path) == nil and #doc:all(path) == 0 and doc:unset(path) == false)
        end
        assert(kstate.json.encode(doc:all("none")) == "[]")
        assert(doc:text() == TEXT)
        local line, column = doc:position("spec.subnets[name=b].zone")
        assert(line == 17 and column == 40, line .. ":" .. column)
        line, column = doc:position("spec.subnets[name=a].none.at.all")
        assert(line == 13 and column == 5, line .. ":" .. column)
        assert(doc:position("spec.maxSize", { document = 2 }) == 20)
        local some = kstate.yaml.edit("a: [{x: 1}, {y: 2}, {x: 3}, 4]")
        assert(table.concat(some:all("a[*].x"), " ") == "1 3")
        some:set("b", 1.0)
        some:set("c", { 2, { d = "3" } })
        assert(some:text() == 'a: [{x: 1}, {y: 2}, {x: 3}, 4]\nb: 1.0\nc:\n- 2\n- d: "3"', some:text())
        "#,
    );
}

#[test]
fn what_lua_has_no_place_for_stays() {
    passes(
        r#"
        local text = [[
base: &base {100: one, "y": two}
copy: *base
big: 18446744073709551615
list:
- !Ref thing # tagged
- {1: a, 2: [x, !Sub y]}
- 18446744073709551614
merged:
  <<: *base
  z: 0x10
2: !map {a: 1}
]]
        local doc = kstate.yaml.edit(text)
        local value = doc:value()
        doc:apply(value)
        doc:merge(value)
        doc:merge(value, { lists = "union" })
        for key, inner in pairs(value) do doc:set(key, inner) end
        assert(doc:text() == text, doc:text())
        value.list[2]["1"] = "b"
        value["2"].a = 2
        value.list[#value.list + 1] = "new"
        doc:apply(value)
        local expected = text:gsub("{1: a,", "{1: b,"):gsub("{a: 1}", "{a: 2}")
          :gsub("614\n", "614\n- new\n")
        assert(doc:text() == expected, doc:text())
        table.remove(value.list, 1)
        doc:apply(value)
        assert(doc:text() == expected:gsub("%- !Ref[^\n]*\n", ""), doc:text())
        "#,
    );
}

/// Runs pieces of script on the cluster above: each must fail, leave the text as it is, and say
/// something.
#[track_caller]
fn refuses(pieces: &[(&str, &str)]) {
    for (script, said) in pieces {
        let error = fails(&format!(
            "{CLUSTER}local ok, e = pcall(function() {script} end)
             assert(doc:text() == TEXT)
             error(e, 0)"
        ));
        assert_eq!(error.kind(), "invalid", "{script}: {error}");
        assert!(error.message().contains(said), "{script}: {error}");
    }
}

#[test]
fn errors_name_the_text_the_line_and_the_column() {
    refuses(&[
        (
            "kstate.yaml.edit('a: 1\\nb: [', 'x.yaml')",
            "x.yaml: line 3, column 1: did not find",
        ),
        (
            "kstate.yaml.edit('a: 1\\na: 2\\n')",
            "the text: line 2, column 1: duplicate key a: line 1 has it already",
        ),
        (
            "kstate.yaml.edit('a: 1\\nb: \\xff\\n', 'x')",
            "x: line 2, column 4: the text is no UTF-8 here",
        ),
        (
            "doc:set('spec.subnets[name=x].zone', 1)",
            "s3://state/c/config: line 13, column 3: spec.subnets: no element has name=x; there is a, b",
        ),
        (
            "doc:set('metadata.name.first', 1)",
            "s3://state/c/config: line 5, column 9: metadata.name: has no key first: it is a string",
        ),
        (
            "doc:append('metadata.name', 1)",
            "s3://state/c/config: line 5, column 9: metadata.name: is no list",
        ),
        (
            "doc:set('spec.sshAccess[5]', 1)",
            "s3://state/c/config: line 10, column 3: spec.sshAccess: has no element [5]",
        ),
        (
            "doc:unset('.')",
            "s3://state/c/config: line 2, column 1: the document can't be removed as a whole",
        ),
        (
            "doc:get('kind', { document = 3 })",
            "s3://state/c/config: there is no document 3: the text has 2 documents",
        ),
        (
            "doc:get('kind', { document = 0 })",
            "option 'document' must be at least 1",
        ),
    ]);
}

#[test]
fn errors_name_the_argument_that_is_wrong() {
    refuses(&[
        ("doc:get('spec.a[')", "column 8 of the path \"spec.a[\": "),
        (
            "doc:all('')",
            "column 1 of the path \"\": a key was expected",
        ),
        ("doc:unset('a..b')", "column 3 of the path \"a..b\": "),
        ("doc:position('a b')", "column 2 of the path \"a b\": "),
        ("doc:append('a[0', 1)", "column 4 of the path \"a[0\": "),
        (
            "doc:set('a', nil)",
            "'value' has no value; kstate.null stands for null",
        ),
        (
            "doc:apply()",
            "'value' has no value; kstate.null stands for null",
        ),
        ("doc:set('a', print)", "a function is no data"),
        ("doc:merge({ 1, x = 2 })", "the list also has the key \"x\""),
        (
            "doc:merge({}, { lists = 'unoin' })",
            "\"unoin\" is no strategy (did you mean 'union'?)",
        ),
        (
            "local d = kstate.yaml.edit('a: &x {b: 1}\\nc: *x\\n', 'l') d:set('c.b', 2)",
            "l: line 2, column 4: c.b is behind the alias *x",
        ),
        ("doc.set('a', 1)", "'YamlDocument:set' is a method"),
        (
            "doc:sett('a', 1)",
            "YamlDocument has no 'sett' (did you mean 'set'?)",
        ),
    ]);
}

#[test]
fn every_document_of_a_text_is_edited_alone() {
    passes(
        r#"
        local doc = kstate.yaml.edit("a: 1 # x\r\n---\r\nb: 2 # y\r\n---\r\n# empty\r\n")
        assert(doc:documents() == 3 and doc:value({ document = 3 }) == kstate.null)
        doc:set("b", 3, { document = 2 })
        doc:append("list", "z", { document = 1 })
        doc:apply({ c = 4 }, { document = 3 })
        assert(doc:text() == "a: 1 # x\r\nlist:\r\n- z\r\n---\r\nb: 3 # y\r\n---\r\n# empty\r\nc: 4\r\n", doc:text())
        local empty = kstate.yaml.edit("")
        assert(empty:documents() == 1 and empty:value() == kstate.null and empty:get(".") == kstate.null)
        empty:append(".", { name = "a" })
        assert(empty:text() == "- name: a\n", empty:text())
        "#,
    );
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    for (script, said) in [
        ("kstate.yaml.edit(('x'):rep(17 << 20))", "at most 16 MiB are read"),
        ("kstate.yaml.edit(('['):rep(100000))", "line 1, column "),
        (
            "local text = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\\n'
             for i = 1, 9 do text = text .. ('a%d: &a%d ['):format(i, i) .. (('*a%d, '):format(i - 1)):rep(10) .. ']\\n' end
             kstate.yaml.edit(text, 'bomb')",
            "bomb: line ",
        ),
        (
            "local deep = 1 for _ = 1, 100 do deep = { deep } end
             kstate.yaml.edit('a: 1'):set('a', deep)",
            "deeper than 64 levels",
        ),
        (
            "local wide = 1 for _ = 1, 100 do wide = { wide, wide } end
             kstate.yaml.edit('a: 1'):set('a', wide)",
            "there is more than 64.0 MiB up to here",
        ),
        (
            "local self = {} self[1] = self kstate.yaml.edit('a: 1'):merge(self)",
            "the table contains itself",
        ),
        (
            "local doc = kstate.yaml.edit(('- a\\n'):rep(10000))
             doc:set('[*]', ('x'):rep(1 << 20))",
            "too large to be written in 10000 places",
        ),
        (
            "kstate.yaml.edit('a: 1'):set('a', ('x\\n'):rep(9 << 20))",
            "at most 16 MiB",
        ),
        ("kstate.yaml.edit('a: 1'):get(('a.'):rep(5000) .. 'a')", "at most 4096 bytes"),
        ("kstate.yaml.edit('{1: a, \"1\": b}'):value()", "two keys are written '1'"),
        ("kstate.yaml.edit('a: .inf'):value()", "is no finite number"),
        ("kstate.yaml.edit('? [a]\\n: b\\n'):value()", "a key is a list or an object"),
    ] {
        let error = fails(script);
        assert_eq!(error.kind(), "invalid", "{script}: {error}");
        assert!(error.message().contains(said), "{script}: {error}");
    }
}

#[test]
fn many_places_are_changed_at_once() {
    passes(
        r#"
        local doc = kstate.yaml.edit("items:\n" .. ("- {x: 1, y: [1, 2]} # keep\n"):rep(5000))
        doc:set("items[*].x", 2)
        doc:set("items[*].z", "new")
        assert(doc:unset("items[*].y[0]"))
        assert(doc:text() == "items:\n" .. ("- {x: 2, y: [2], z: new} # keep\n"):rep(5000))
        doc:unset("items[x=2].z")
        doc:unset("items[*]")
        assert(#doc:get("items") == 0, doc:text())
        "#,
    );
}

#[test]
fn hostile_texts_and_paths_end_in_errors() {
    let bench = Bench::new();
    let script = r#"
        local texts = {
          "", "\0", "\u{feff}", "%YAML 1.1\n---\na", "a: *x", "&a a: *a", "- - - -", "{", "}", "[[", "? ", "!!binary x",
          "<<: 1", "<<: {a: 1}\na: 2", "a: |\n  x", "a: >+\n\n\n", "--- a\n--- b", "...\n...", "\t", "'", '"', "!<",
          "a:\r  b", "? ? ?", "- ? a", "{a}", "[a: b]", "!t", "!t {}", "&a", "1", "~", ".nan", "0x", "a: !t null",
        }
        local paths = { ".", "a", "[0]", "[+]", "[*]", "[a=]", "a.b[0].c", "''", "<<", "a[*][+].x", "null", "1", "\0", "a\xff" }
        local values = { kstate.null, 1, -0.0, "", "\n", "- x", "\u{feff}", "a: b", {}, kstate.array {}, { a = 1 }, { "x", { 1 } }, "\r\n", "\u{2028}" }
        local calls = 0
        for _, text in ipairs(texts) do
          if pcall(kstate.yaml.edit, text) then
            for _, path in ipairs(paths) do
              for _, value in ipairs(values) do
                for _, method in ipairs { "get", "all", "set", "append", "merge", "apply", "unset", "position" } do
                  local doc = kstate.yaml.edit(text)
                  local args = { path, value }
                  if method == "merge" or method == "apply" then args = { value } end
                  if method == "get" or method == "all" or method == "unset" or method == "position" then args = { path } end
                  local ok, e = pcall(doc[method], doc, table.unpack(args))
                  assert(ok or e.kind == "invalid", tostring(e))
                  if not ok then assert(doc:text() == text) end
                  kstate.yaml.edit(doc:text())
                  calls = calls + 1
                end
              end
            end
          end
        end
        print(calls)
    "#;
    if let Err(error) = bench.run(script) {
        panic!("{error}");
    }
    let calls: usize = bench.printed.text().trim().parse().unwrap();
    assert!(calls > 20_000, "{calls}");
}
