//! `:help`, from the one definition of each function.

use super::command::COMMANDS;
use super::{Evaluator, names};
use crate::lua::MODULES;
use crate::lua::api::{Class, Def, Module, Param, Type};
use crate::text::did_you_mean;

/// The libraries of Lua that scripts have.
const LIBRARIES: [&str; 6] = ["coroutine", "math", "os", "string", "table", "utf8"];

/// Lua's functions outside of them.
const BASE: [&str; 20] = [
    "assert",
    "collectgarbage",
    "error",
    "getmetatable",
    "ipairs",
    "load",
    "next",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "require",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
];

impl Evaluator {
    /// What there is to say about a name: of a function, with its module or class or a variable
    /// that holds one, of a module, a class or a command.
    ///
    /// # Errors
    /// There is no such name; says which is near.
    pub fn help(&self, topic: &str) -> Result<String, String> {
        let topic = topic.strip_suffix("()").unwrap_or(topic);
        if topic.is_empty() {
            return Ok(overview());
        }
        if let Some(command) = topic.strip_prefix(':') {
            let known = COMMANDS.iter().find(|known| known.name == command);
            return known
                .map(|known| format!(":{} {}\n  {}\n", known.name, known.takes, known.summary))
                .ok_or_else(|| format!("there is no command ':{command}'; :help lists them"));
        }
        let full = topic.strip_prefix("kstate.").unwrap_or(topic);
        if let Some(def) = self.definition(topic) {
            return Ok(function(def));
        }
        if let Some(module) = module(full) {
            return Ok(about_module(module));
        }
        let value = names::get(&self.globals(), topic);
        let of_value = value.as_ref().and_then(names::class_of);
        if let Some(class) = names::class(full).or(of_value) {
            return Ok(about_class(class));
        }
        if let Some(own) = self.about_lua(topic) {
            return Ok(own);
        }
        match &named(full)[..] {
            [] => Err(unknown(topic)),
            [only] => Ok(function(only)),
            several => {
                let several: Vec<_> = several.iter().map(|def| def.name).collect();
                Ok(format!("which one: {}?\n", several.join(", ")))
            }
        }
    }

    /// Where the manual tells of what is Lua's own.
    fn about_lua(&self, name: &str) -> Option<String> {
        let (first, rest) = name
            .split_once('.')
            .map_or((name, None), |(a, b)| (a, Some(b)));
        let found = names::get(&self.globals(), first)?;
        let place = match rest {
            Some(rest) if LIBRARIES.contains(&first) => {
                names::get(found.as_table()?, rest)?;
                format!("pdf-{name}")
            }
            None if LIBRARIES.contains(&first) => "6".to_owned(),
            None if BASE.contains(&first) => format!("pdf-{name}"),
            _ => return None,
        };
        let manual = "https://www.lua.org/manual/5.5/manual.html";
        Some(format!("{name} is Lua's own: {manual}#{place}\n"))
    }

    /// The definition of a function, by its name as one would call it.
    pub(super) fn definition(&self, name: &str) -> Option<&'static Def> {
        let name = name.strip_prefix("_G.").unwrap_or(name);
        if let Some((object, method)) = name.split_once(':') {
            let value = names::get(&self.globals(), object);
            let class = names::class(object).or_else(|| value.as_ref().and_then(names::class_of));
            return class?.methods.iter().find(|def| def.short_name() == method);
        }
        let inner = name.strip_prefix("kstate.").unwrap_or(name);
        let mut functions = MODULES.iter().flat_map(|module| module.functions);
        functions.find(|def| def.name == inner || def.name == name)
    }
}

/// All functions of this short name.
fn named(name: &str) -> Vec<&'static Def> {
    let all = definitions();
    all.filter(|def| def.short_name() == name).collect()
}

fn definitions() -> impl Iterator<Item = &'static Def> {
    let classes = MODULES.iter().flat_map(|module| module.classes);
    let methods = classes.flat_map(|class| class.methods);
    let functions = MODULES.iter().flat_map(|module| module.functions);
    functions.chain(methods)
}

fn module(name: &str) -> Option<&'static Module> {
    let mut modules = MODULES.iter().copied();
    modules.find(|module| module.name == name || module.name.is_empty() && name == "kstate")
}

fn unknown(topic: &str) -> String {
    let modules = MODULES.iter().map(|module| module.name);
    let short = definitions().map(Def::short_name);
    let full = definitions().map(|def| def.name);
    let near = did_you_mean(topic, modules.chain(full).chain(short));
    format!("there is nothing called '{topic}'{near}; :help lists what there is")
}

/// How a function is called: `store.open(url, options?)`.
pub(super) fn signature(def: &Def) -> String {
    let shown = |param: &Param| {
        let mark = if param.optional { "?" } else { "" };
        format!("{}{mark}", param.name)
    };
    let mut params: Vec<_> = def.params.iter().map(shown).collect();
    if !def.options.is_empty() && def.options_before_last().is_none() {
        let needed = def.options.iter().any(|option| !option.optional);
        params.push(if needed { "options" } else { "options?" }.to_owned());
    }
    format!("{}({})", def.name, params.join(", "))
}

fn function(def: &Def) -> String {
    let mut text = String::new();
    let returns: Vec<_> = def.returns.iter().map(|(kind, _)| *kind).collect();
    let arrow = if returns.is_empty() { "" } else { " -> " };
    line(
        &mut text,
        &format!("{}{arrow}{}", signature(def), returns.join(", ")),
    );
    line(&mut text, &format!("  {}", def.summary));
    if !def.body.is_empty() {
        line(&mut text, "");
        for wrapped in wrapped(def.body) {
            line(&mut text, &format!("  {wrapped}"));
        }
    }
    let param = |param: &'static Param| {
        let mark = if param.optional { "?" } else { "" };
        (
            format!("{}{mark}", param.name),
            format!("{} ({})", param.doc, param.kind.name()),
        )
    };
    let pair = |(kind, doc): &(&str, &str)| ((*kind).to_owned(), (*doc).to_owned());
    let params = def
        .params
        .iter()
        .filter(|param| param.kind != Type::Options);
    rows(&mut text, "", params.map(param));
    rows(&mut text, "options", def.options.iter().map(param));
    rows(&mut text, "returns", def.returns.iter().map(pair));
    rows(&mut text, "raises", def.errors.iter().map(pair));
    if !def.permission.is_empty() {
        line(&mut text, &format!("\npermission\n  {}", def.permission));
    }
    line(&mut text, "\nexample");
    for code in def.example.trim().lines() {
        line(&mut text, &format!("  {code}"));
    }
    text
}

fn about_module(module: &Module) -> String {
    let mut text = format!("{}\n\n", module.summary);
    for def in module.functions {
        entry(&mut text, def);
    }
    for class in module.classes {
        line(&mut text, &format!("\n{}: {}", class.name, class.summary));
        for def in class.methods {
            entry(&mut text, def);
        }
    }
    text
}

fn about_class(class: &Class) -> String {
    let mut text = format!("{}\n", class.summary);
    let fields = class.fields.iter();
    rows(
        &mut text,
        "fields",
        fields.map(|field| (field.name.to_owned(), field.doc.to_owned())),
    );
    line(&mut text, "");
    for def in class.methods {
        entry(&mut text, def);
    }
    text
}

fn entry(text: &mut String, def: &Def) {
    line(
        text,
        &format!("  {}\n      {}", signature(def), def.summary),
    );
}

fn overview() -> String {
    let mut text =
        "Lua runs at once; a result is also in `_`, an error in `_err`.\n\ncommands\n".to_owned();
    for command in &COMMANDS {
        let usage = format!(":{} {}", command.name, command.takes);
        line(&mut text, &format!("  {usage:<22}{}", command.summary));
    }
    line(&mut text, "\nmodules (:help NAME tells more)");
    for module in MODULES {
        let name = if module.name.is_empty() {
            "kstate"
        } else {
            module.name
        };
        line(&mut text, &format!("  {name:<22}{}", module.summary));
    }
    text
}

fn rows(text: &mut String, title: &str, rows: impl Iterator<Item = (String, String)>) {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    for (at, (name, doc)) in rows.iter().enumerate() {
        if at == 0 {
            line(text, "");
            if !title.is_empty() {
                line(text, title);
            }
        }
        line(text, &format!("  {name:<width$}{doc}"));
    }
}

/// A text in lines that fit a terminal.
fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 76;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.len() + word.len() < WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end_matches(' '));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn every_function_module_and_class_has_help() {
        let bench = Bench::new();
        for def in definitions() {
            let text = bench.evaluator.help(def.name).unwrap();
            assert!(
                text.starts_with(def.name) && text.contains(def.summary),
                "{text}"
            );
        }
        for module in MODULES {
            let name = if module.name.is_empty() {
                "kstate"
            } else {
                module.name
            };
            assert!(bench.evaluator.help(name).unwrap().contains(module.summary));
            for class in module.classes {
                let text = bench.evaluator.help(class.name).unwrap();
                assert!(text.contains(class.summary), "{text}");
            }
        }
    }

    #[test]
    fn names_are_found_as_people_type_them() {
        let bench = Bench::new();
        bench.eval("s = store.open('memfs://help')").unwrap();
        for (topic, first) in [
            (
                "kstate.store.open",
                "store.open(url, options?) -> kstate.Store\n",
            ),
            ("s:read", "Store:read(key, options?)"),
            ("s", "A place"),
            (":plan", ":plan [FILE]"),
            ("json.decode()", "json.decode("),
            ("", "Lua runs at once"),
            ("decode", "which one: "),
            ("three_way", "merge.three_way("),
            (
                "string.format",
                "string.format is Lua's own: https://www.lua.org/manual/5.5/manual.html#pdf-string.format\n",
            ),
            ("table", "table is Lua's own: "),
            ("pcall", "pcall is Lua's own: "),
        ] {
            let text = bench.evaluator.help(topic).unwrap();
            assert!(topic == "s" || text.starts_with(first), "{topic}: {text}");
        }
        let error = bench.evaluator.help("store.opne").unwrap_err();
        assert!(error.contains("did you mean 'store.open'?"), "{error}");
    }
}
