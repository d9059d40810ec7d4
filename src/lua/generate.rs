//! What is written from the definitions: the editor's stubs and the reference.

use std::fmt::Write;

use super::api::{Class, Def, Module, Param, Type};
use super::modules::MODULES;

const STUB_HEAD: &str = "\
---@meta kstate
-- Written from the definitions in kstate's sources; changes here are lost.
error(\"this file is for editors; scripts have `kstate` without it\")

---@class kstate
---@field null lightuserdata stands for null, which unlike nil can be in a table
---@field version string kstate's version
---@field dry_run boolean whether nothing is written
kstate = {}
";

const REFERENCE_HEAD: &str = "\
# The Lua reference

Written from the definitions in the sources; changes here are lost. Scripts have one global,
`kstate`, with everything below in it, beside Lua's own `string`, `table`, `math`, `utf8`,
`coroutine` and the clock of `os`. An options table comes last, an unknown option is an error;
durations are `\"30s\"` or seconds, sizes `\"8MiB\"` or bytes. What is expected is a value: a
missing key is `nil`, a precondition that failed is `nil, err`. Everything else is raised as an
error object.

`kstate.null` stands for null, `kstate.version` is kstate's version, and `kstate.dry_run` tells
whether nothing is written.

A script runs from top to bottom, or returns `{ summary, flags, args, permissions, main }`:
`permissions` says what `main` needs beyond stores, as `{ http = { \"api.example.com\" },
process = { \"kops\" }, env = { \"API_TOKEN\" } }`, each of which may be left out. It grants
nothing; [Permissions](permissions.md) tells what does.
";

/// Whether a text is the stubs for editors, of any version.
#[must_use]
pub fn is_stubs(text: &str) -> bool {
    text.lines().next() == STUB_HEAD.lines().next()
}

/// The stubs for editors, in the annotations of the Lua language server.
#[must_use]
pub fn stubs() -> String {
    let mut text = STUB_HEAD.to_owned();
    for module in MODULES {
        for class in module.classes {
            stub_class(&mut text, class);
        }
        if !module.name.is_empty() {
            put(&mut text, &format!("\n---{}", module.summary));
            put(&mut text, &format!("kstate.{} = {{}}", module.name));
        }
        for function in module.functions {
            stub_function(&mut text, function, &in_kstate(function));
        }
    }
    text
}

/// The reference, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    for module in MODULES {
        section(&mut text, module);
    }
    text
}

fn put(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The name as scripts write it.
fn in_kstate(function: &Def) -> String {
    if function.name.starts_with("kstate.") {
        return function.name.to_owned();
    }
    format!("kstate.{}", function.name)
}

fn optional(param: &Param) -> &'static str {
    if param.optional { "?" } else { "" }
}

fn stub_class(text: &mut String, class: &Class) {
    put(text, &format!("\n---{}", class.summary));
    let call = if class.call.is_empty() {
        String::new()
    } else {
        format!(": {}", class.call)
    };
    put(text, &format!("---@class kstate.{}{call}", class.name));
    for field in class.fields {
        let (name, mark, kind) = (field.name, optional(field), field.kind.name());
        put(
            text,
            &format!("---@field {name}{mark} {kind} {}", field.doc),
        );
    }
    put(text, &format!("local {} = {{}}", class.name));
    for method in class.methods {
        stub_function(text, method, method.name);
    }
}

fn stub_function(text: &mut String, function: &Def, name: &str) {
    put(text, "");
    if !function.options.is_empty() {
        put(text, &format!("---@class {}", options_type(name)));
        for option in function.options {
            let (name, mark, kind) = (option.name, optional(option), option.kind.name());
            put(
                text,
                &format!("---@field {name}{mark} {kind} {}", option.doc),
            );
        }
        put(text, "");
    }
    put(text, &format!("---{}", function.summary));
    if !function.body.is_empty() {
        put(text, &format!("---\n---{}", function.body));
    }
    for param in function.params {
        let (mark, kind) = match param.kind {
            Type::Options => ("?", options_type(name)),
            _ => (optional(param), param.kind.name()),
        };
        put(
            text,
            &format!("---@param {}{mark} {kind} {}", param.name, param.doc),
        );
    }
    if has_options_last(function) {
        let mark = if needs_options(function) { "" } else { "?" };
        put(
            text,
            &format!("---@param options{mark} {}", options_type(name)),
        );
    }
    if let Some(left_out) = function.options_before_last() {
        put(text, &overload(function, left_out));
    }
    for (kind, doc) in function.returns {
        put(text, &format!("---@return {kind} # {doc}"));
    }
    let names: Vec<_> = parameters(function).collect();
    put(text, &format!("function {name}({}) end", names.join(", ")));
}

/// How a function is called without the options that stand before its last argument.
fn overload(function: &Def, left_out: usize) -> String {
    let this = function
        .name
        .split_once(':')
        .map(|(class, _)| format!("self: kstate.{class}"));
    let others = function.params.iter().enumerate();
    let others = others.filter(|(position, _)| *position != left_out);
    let others = others
        .map(|(_, param)| format!("{}{}: {}", param.name, optional(param), param.kind.name()));
    let taken: Vec<_> = this.into_iter().chain(others).collect();
    let given: Vec<_> = function.returns.iter().map(|(kind, _)| *kind).collect();
    format!(
        "---@overload fun({}): {}",
        taken.join(", "),
        given.join(", ")
    )
}

fn options_type(name: &str) -> String {
    let name = name.strip_prefix("kstate.").unwrap_or(name);
    format!("kstate.options.{}", name.replace(':', "."))
}

fn has_options_last(function: &Def) -> bool {
    !function.options.is_empty() && function.options_before_last().is_none()
}

fn needs_options(function: &Def) -> bool {
    function.options.iter().any(|option| !option.optional)
}

fn parameters(function: &Def) -> impl Iterator<Item = &'static str> {
    let options = has_options_last(function).then_some("options");
    function
        .params
        .iter()
        .map(|param| param.name)
        .chain(options)
}

fn section(text: &mut String, module: &Module) {
    let title = match module.name {
        "" => "kstate".to_owned(),
        name => format!("kstate.{name}"),
    };
    put(text, &format!("\n## {title}\n\n{}", module.summary));
    for function in module.functions {
        entry(text, function, &in_kstate(function));
    }
    for class in module.classes {
        put(text, &format!("\n### {}\n\n{}", class.name, class.summary));
        list(text, "Fields", class.fields);
        for method in class.methods {
            entry(text, method, method.name);
        }
    }
}

fn entry(text: &mut String, function: &Def, name: &str) {
    let names: Vec<_> = parameters(function).collect();
    put(
        text,
        &format!(
            "\n### `{name}({})`\n\n{}",
            names.join(", "),
            function.summary
        ),
    );
    if !function.body.is_empty() {
        put(text, &format!("\n{}", function.body));
    }
    list(text, "Parameters", function.params);
    list(text, "Options", function.options);
    pairs(text, "Returns", function.returns);
    pairs(text, "Errors", function.errors);
    if !function.permission.is_empty() {
        put(text, &format!("\nPermission: {}", function.permission));
    }
    put(text, &format!("\nSince {}.", function.since));
    put(text, &format!("\n```lua\n{}\n```", function.example.trim()));
}

fn list(text: &mut String, title: &str, params: &[Param]) {
    let described = |param: &&Param| param.kind != Type::Options;
    if !params.iter().any(|param| described(&param)) {
        return;
    }
    put(text, &format!("\n{title}:"));
    put(text, "");
    for param in params.iter().filter(described) {
        let mark = match (param.optional, param.kind) {
            (true, _) => ", optional",
            (false, Type::Rest) => ", any number",
            (false, _) => "",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "- `{}` ({}{mark}): {}",
            param.name,
            param.kind.name(),
            param.doc
        );
    }
}

fn pairs(text: &mut String, title: &str, pairs: &[(&str, &str)]) {
    if pairs.is_empty() {
        return;
    }
    put(text, &format!("\n{title}:"));
    put(text, "");
    for (kind, doc) in pairs {
        put(text, &format!("- `{kind}`: {doc}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::testing::Bench;
    use super::*;

    /// Compares a generated file with what it should be, or writes it when `KSTATE_BLESS` is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "the files are part of the sources"
    )]
    fn is_current(path: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("KSTATE_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            now == text,
            "{} is stale: run `KSTATE_BLESS=1 cargo test generate`",
            path.display()
        );
    }

    #[test]
    fn the_editor_stubs_are_current() {
        is_current("scripts/types/kstate.lua", &stubs());
    }

    #[test]
    fn the_reference_is_current() {
        is_current("docs/reference.md", &reference());
    }

    fn definitions() -> impl Iterator<Item = &'static Def> {
        let methods = |class: &&'static Class| class.methods;
        MODULES.iter().flat_map(move |module| {
            let classes = module.classes.iter().flat_map(methods);
            module.functions.iter().chain(classes)
        })
    }

    #[test]
    fn the_vm_has_the_functions_that_are_defined_and_no_others() {
        let bench = Bench::new();
        bench
            .run(
                "for name, value in pairs(kstate) do
                   if type(value) == 'function' then print('kstate.' .. name) end
                   if type(value) == 'table' then
                     for inner in pairs(value) do print(name .. '.' .. inner) end
                   end
                 end",
            )
            .unwrap();
        let printed = bench.printed.text();
        let live: BTreeSet<&str> = printed.lines().collect();
        let defined: BTreeSet<&str> = MODULES
            .iter()
            .flat_map(|module| module.functions.iter().map(|function| function.name))
            .collect();
        assert_eq!(live, defined);
    }

    #[test]
    fn names_say_where_functions_are() {
        for module in MODULES {
            let place = if module.name.is_empty() {
                "kstate"
            } else {
                module.name
            };
            for function in module.functions {
                assert_eq!(function.name, format!("{place}.{}", function.short_name()));
            }
            for class in module.classes {
                for method in class.methods {
                    assert_eq!(
                        method.name,
                        format!("{}:{}", class.name, method.short_name())
                    );
                }
            }
        }
    }

    #[test]
    fn every_example_runs() {
        for definition in definitions() {
            assert!(!definition.example.is_empty(), "{}", definition.name);
            if let Err(error) = Bench::new().run(definition.example) {
                panic!("the example of {}: {error}", definition.name);
            }
        }
    }

    #[test]
    fn the_stubs_are_lua() {
        let stubs = stubs();
        let error = Bench::new()
            .run(&format!("--- @kstate allow-globals\n{stubs}"))
            .unwrap_err();
        assert!(error.message().contains("for editors"), "{error}");
    }
}
