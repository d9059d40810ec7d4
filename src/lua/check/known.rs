//! What is known of a value without running anything.

use std::collections::{BTreeMap, BTreeSet};

use mlua::{Lua, Table, Value};

use crate::lua::api::{Class, Def, Module};
use crate::lua::modules::{MODULES, NOT_FOR_BACKENDS};
use crate::lua::vm;

/// What a value is known to be.
#[derive(Clone, Copy, Default)]
pub(super) enum Known<'a> {
    /// Anything.
    #[default]
    Nothing,
    /// `kstate`.
    Kstate,
    /// A module of it.
    Module(&'static Module),
    /// A function or method.
    Function(&'static Def),
    /// A method that was taken off its object.
    Method(&'static Def),
    /// An object, or `nil`.
    Object(&'static Class),
    /// A list of objects.
    List(&'static Class),
    /// What goes through such a list in a loop.
    Elements(&'static Class),
    /// A library of Lua's own: its name, and what is in it.
    Library(&'a str, &'a BTreeSet<String>),
    /// Lua's `require`.
    Require,
    /// Lua's `ipairs`.
    Ipairs,
    /// What `main` gets.
    Context,
    /// The flags in it.
    Flags,
    /// The arguments in it.
    Arguments,
}

impl Known<'_> {
    /// Whether a script may give it fields of its own.
    pub(super) fn takes_fields(self) -> bool {
        matches!(
            self,
            Self::Object(_) | Self::Context | Self::Flags | Self::Arguments
        )
    }
}

/// The globals that scripts see.
pub(super) struct Globals {
    names: BTreeMap<String, BTreeSet<String>>,
    /// Whether the script may make its own.
    pub(super) open: bool,
}

impl Globals {
    /// Those of a VM.
    pub(super) fn of(lua: &Lua, open: bool) -> Self {
        let public = vm::of(lua).public.clone();
        let mut names: BTreeMap<_, _> = public
            .pairs::<String, Value>()
            .flatten()
            .map(|(name, value)| (name, value.as_table().map(contents).unwrap_or_default()))
            .collect();
        // Set for each script when it runs.
        names.insert("arg".to_owned(), BTreeSet::new());
        names.insert("_ENV".to_owned(), BTreeSet::new());
        names.insert("_G".to_owned(), BTreeSet::new());
        Self { names, open }
    }

    /// What a global is; `None` when there is none.
    pub(super) fn get(&self, name: &str) -> Option<Known<'_>> {
        let (name, inner) = self.names.get_key_value(name)?;
        Some(match name.as_str() {
            "kstate" => Known::Kstate,
            "require" => Known::Require,
            "ipairs" => Known::Ipairs,
            _ if inner.is_empty() => Known::Nothing,
            name => Known::Library(name, inner),
        })
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}

/// The names in a read-only table, which is a view of another one.
fn contents(view: &Table) -> BTreeSet<String> {
    let behind = view
        .metatable()
        .and_then(|meta| meta.raw_get("__index").ok());
    let behind: Option<Table> = behind;
    let names = behind.iter().flat_map(Table::pairs::<String, Value>);
    names.flatten().map(|(name, _)| name).collect()
}

/// The values of `kstate` that are no functions and no modules.
const CONSTANTS: [&str; 3] = ["null", "version", "dry_run"];

/// What a field of `kstate` is; the names that it has when it is none of them.
pub(super) fn of_kstate(name: &str, in_backend: bool) -> Result<Known<'static>, Vec<&'static str>> {
    let there =
        |module: &&&'static Module| !(in_backend && NOT_FOR_BACKENDS.contains(&module.name));
    if let Some(module) = MODULES
        .iter()
        .filter(there)
        .find(|module| module.name == name)
    {
        return Ok(Known::Module(module));
    }
    let own = MODULES.iter().find(|module| module.name.is_empty());
    let own = own.map_or(&[][..], |module| module.functions);
    if let Some(function) = own.iter().find(|function| function.short_name() == name) {
        return Ok(Known::Function(function));
    }
    if CONSTANTS.contains(&name) {
        return Ok(Known::Nothing);
    }
    let modules = MODULES.iter().filter(there).map(|module| module.name);
    let names = modules
        .chain(own.iter().map(Def::short_name))
        .chain(CONSTANTS);
    Err(names.filter(|name| !name.is_empty()).collect())
}

/// What a call of a function gives.
pub(super) fn results(function: &'static Def) -> Vec<Known<'static>> {
    let kinds = function.returns.iter().map(|(kind, _)| *kind);
    kinds.map(of_annotation).collect()
}

/// What a loop over an iterator of this class goes through.
pub(super) fn elements(class: &'static Class) -> Known<'static> {
    let kind = class.call.strip_prefix("fun(): ");
    kind.map_or(Known::Nothing, of_annotation)
}

/// What an annotation such as `kstate.Meta|nil` says.
fn of_annotation(kind: &str) -> Known<'static> {
    let kind = kind.trim_end_matches("|nil").trim_end_matches('?');
    let (kind, is_list) = match kind.strip_suffix("[]") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let mut classes = MODULES.iter().flat_map(|module| module.classes);
    let class = kind
        .strip_prefix("kstate.")
        .and_then(|name| classes.find(|class| class.name == name));
    match (class, is_list) {
        (Some(class), true) => Known::List(class),
        (Some(class), false) => Known::Object(class),
        (None, _) => Known::Nothing,
    }
}

/// Whether objects of a class may have fields beyond those in its definition: an error keeps what
/// a script raised it with.
pub(super) fn is_open(class: &Class) -> bool {
    class.name == "Error"
}
