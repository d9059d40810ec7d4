//! What could stand at the cursor. Nothing of the script's runs for it: tables are read raw, and
//! stores are asked with a limit and a deadline.

mod paths;
mod place;
#[cfg(test)]
mod tests;

use std::path::Path;

use mlua::Value;

use self::place::{Chain, Place, place};
use super::command::COMMANDS;
use super::help::signature;
use super::{Evaluator, names};
use crate::lua::MODULES;
use crate::lua::api::{Class, Def};
use crate::scripts;

/// What could replace the text from `start` to the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where that text begins, in bytes.
    pub start: usize,
    /// All that it could be.
    pub candidates: Vec<Candidate>,
}

/// One of the things that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What is put there.
    pub text: String,
    /// How it is listed.
    pub shown: String,
}

impl Candidate {
    fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        let shown = text.clone();
        Self { text, shown }
    }

    fn of(def: &Def) -> Self {
        let all = signature(def);
        let params = all.split_once('(').map_or("", |(_, params)| params);
        Self {
            text: def.short_name().to_owned(),
            shown: format!("{}({params}", def.short_name()),
        }
    }
}

const KEYWORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// What is known of a value without making it.
enum Known {
    Value(Value),
    /// An object that a call would return.
    Object(&'static Class),
}

impl Evaluator {
    /// What could stand at a place in what is typed.
    #[must_use]
    pub fn complete(&self, line: &str, cursor: usize) -> Completion {
        let Some(before) = line.get(..cursor) else {
            return Completion::default();
        };
        if before.starts_with(':') && !before.starts_with("::") {
            return self.complete_command(before);
        }
        let (start, place) = place(before);
        let typed = &before[start..];
        let found = match place {
            Place::Nothing => Vec::new(),
            Place::Name => self.free_names(),
            Place::Field(chain) => self.fields(&chain),
            Place::Method(chain) => self.methods(&chain),
            Place::Option(chain, given) => self.options(&chain, &given),
            Place::Text(chain, others) => return self.complete_text(&chain, others, typed, start),
        };
        Completion {
            start,
            candidates: matching(found, typed),
        }
    }

    fn complete_command(&self, before: &str) -> Completion {
        let Some((command, rest)) = before.split_once(' ') else {
            let all = COMMANDS.iter().map(|command| Candidate {
                text: format!(":{}", command.name),
                shown: format!(":{} {}", command.name, command.takes)
                    .trim_end()
                    .to_owned(),
            });
            return Completion {
                start: 0,
                candidates: matching(all.collect(), before),
            };
        };
        let start = before.len() - rest.trim_start().len();
        let typed = &before[start..];
        match command {
            ":type" | ":time" => {
                let inner = self.complete(rest, rest.len());
                Completion {
                    start: before.len() - rest.len() + inner.start,
                    ..inner
                }
            }
            ":help" => {
                let modules = MODULES.iter().map(|module| Candidate::plain(module.name));
                let functions = MODULES.iter().flat_map(|module| module.functions);
                let methods = MODULES
                    .iter()
                    .flat_map(|module| module.classes)
                    .flat_map(|class| class.methods);
                let all = functions
                    .chain(methods)
                    .map(|def| Candidate::plain(def.name));
                Completion {
                    start,
                    candidates: matching(modules.chain(all).collect(), typed),
                }
            }
            ":store" => self.complete_store(typed, start),
            ":load" => {
                let names = scripts::names().map(Candidate::plain).collect();
                let mut completion = self.complete_store(typed, start);
                let files = completion.candidates.into_iter();
                let is_script = |name: &str| {
                    name.ends_with('/')
                        || Path::new(name)
                            .extension()
                            .is_some_and(|ending| ending == "lua")
                };
                let files = files.filter(|file| is_script(&file.text));
                completion.candidates = matching(names, typed).into_iter().chain(files).collect();
                completion
            }
            _ => Completion::default(),
        }
    }

    fn free_names(&self) -> Vec<Candidate> {
        let names = names::of_table(&self.globals()).into_iter();
        let names = names.map(|name| self.shown(name, None));
        names.chain(KEYWORDS.map(Candidate::plain)).collect()
    }

    /// A name with the signature of the function that it is, if that is known.
    fn shown(&self, name: names::Name, path: Option<&str>) -> Candidate {
        let full = match path {
            Some(path) => format!("{path}.{}", name.name),
            None => name.name.clone(),
        };
        match self.definition(&full).filter(|_| name.is_function) {
            Some(def) => Candidate::of(def),
            None => Candidate::plain(name.name),
        }
    }

    fn fields(&self, chain: &Chain) -> Vec<Candidate> {
        match self.known(chain) {
            Some(Known::Value(Value::Table(table))) => {
                let path = chain.path();
                let names = names::of_table(&table).into_iter();
                names.map(|name| self.shown(name, Some(&path))).collect()
            }
            Some(known) => match known.class() {
                Some(class) => class
                    .fields
                    .iter()
                    .map(|field| Candidate::plain(field.name))
                    .collect(),
                None => Vec::new(),
            },
            None => Vec::new(),
        }
    }

    fn methods(&self, chain: &Chain) -> Vec<Candidate> {
        let functions = |table: &mlua::Table| {
            let names = names::of_table(table).into_iter();
            let functions = names.filter(|name| name.is_function);
            functions.map(|name| Candidate::plain(name.name)).collect()
        };
        match self.known(chain) {
            Some(Known::Value(Value::Table(table))) => functions(&table),
            Some(Known::Value(Value::String(_))) => match names::get(&self.globals(), "string") {
                Some(Value::Table(string)) => functions(&string),
                _ => Vec::new(),
            },
            Some(known) => {
                let class = known.class();
                let methods = class.into_iter().flat_map(|class| class.methods);
                methods.map(Candidate::of).collect()
            }
            None => Vec::new(),
        }
    }

    fn options(&self, chain: &Chain, given: &[String]) -> Vec<Candidate> {
        let Some(def) = self.called(chain) else {
            return self.free_names();
        };
        let options = def.options.iter();
        let left = options.filter(|option| !given.iter().any(|given| given == option.name));
        left.map(|option| Candidate {
            text: format!("{} = ", option.name),
            shown: format!("{} = {}", option.name, option.kind.name()),
        })
        .collect()
    }

    fn complete_text(&self, chain: &Chain, others: usize, typed: &str, start: usize) -> Completion {
        let Some(def) = self.called(chain).filter(|_| others == 0) else {
            return Completion::default();
        };
        if matches!(def.name, "store.open" | "Store:open") {
            return self.complete_store(typed, start);
        }
        match self.receiver(chain) {
            Some(Known::Value(Value::UserData(store))) if def.name.starts_with("Store:") => {
                self.complete_key(&store, typed, start)
            }
            _ => Completion::default(),
        }
    }

    /// What a chain of names is, without a function being called.
    fn known(&self, chain: &Chain) -> Option<Known> {
        if chain.is_call {
            let def = self.called(chain)?;
            let (kind, _) = def.returns.first()?;
            return Some(Known::Object(names::class(kind.strip_prefix("kstate.")?)?));
        }
        if chain.is_text {
            return Some(Known::Value(Value::String(self.runtime().text("")?)));
        }
        let mut names = chain.names.iter();
        let mut value = names::get(&self.globals(), names.next()?)?;
        for name in names {
            value = names::get(value.as_table()?, name)?;
        }
        Some(Known::Value(value))
    }

    /// What a method is called on.
    fn receiver(&self, chain: &Chain) -> Option<Known> {
        let (_, object) = chain.names.split_last().filter(|_| chain.is_method)?;
        self.known(&Chain {
            names: object.to_vec(),
            ..Chain::default()
        })
    }

    /// The definition of what is called.
    fn called(&self, chain: &Chain) -> Option<&'static Def> {
        if !chain.is_method {
            return self.definition(&chain.path());
        }
        let class = self.receiver(chain)?.class()?;
        let name = chain.names.last()?;
        class.methods.iter().find(|def| def.short_name() == name)
    }
}

impl Known {
    fn class(&self) -> Option<&'static Class> {
        match self {
            Self::Object(class) => Some(class),
            Self::Value(value) => names::class_of(value),
        }
    }
}

/// Those that begin with what is typed, in order, each once.
fn matching(mut found: Vec<Candidate>, typed: &str) -> Vec<Candidate> {
    found.retain(|candidate| !candidate.text.is_empty() && candidate.text.starts_with(typed));
    found.sort();
    found.dedup_by(|a, b| a.text == b.text);
    found
}
