//! Script texts: where they come from, and what happens to them before Lua sees them.

use std::path::{Path, PathBuf};

use mlua::{Function, Lua, Table};

use super::error::ScriptError;
use super::require::Asker;
use super::{require, vm};

/// The first line of every script begins with this, which makes assigning to a global a
/// compile error (Lua 5.5). On the same line, so that line numbers hold.
const STRICT: &str = "global <const> * ; ";

/// A comment at the start of a module that opts out, for modules from elsewhere.
const ALLOW_GLOBALS: &str = "--- @kstate allow-globals";

/// A script's text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name that errors show: the path as it was given, or the name of an embedded script.
    pub name: String,
    /// The text.
    pub text: String,
    /// The folder whose modules it may `require`; embedded scripts have none.
    pub folder: Option<PathBuf>,
    /// Whether it ships with kstate, unchanged: then it may do what it declares.
    is_shipped: bool,
}

impl Source {
    /// A text that is no file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            folder: None,
            is_shipped: false,
        }
    }

    /// The text as the prompt runs it, where globals may be made.
    #[must_use]
    pub fn text_for_prompt(&self) -> &str {
        bare(&self.text)
    }

    /// Whether it begins with a line for the system, as a program does.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.text.trim_start_matches('\u{feff}').starts_with('#')
    }

    /// A text that ships with kstate.
    pub fn shipped(name: impl Into<String>, text: &'static str) -> Self {
        Self {
            is_shipped: true,
            ..Self::new(name, text)
        }
    }

    /// Whether it ships with kstate, unchanged.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.is_shipped
    }

    /// Reads a script file.
    ///
    /// # Errors
    /// `not_found` and the like, with what the system said.
    #[expect(
        clippy::disallowed_methods,
        reason = "scripts are code, not state: they are read here and in `require` alone"
    )]
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| cannot_read(&name, &error))?;
        Ok(Self {
            text: text_of(&name, bytes)?,
            folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
            is_shipped: false,
            name,
        })
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> ScriptError {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => "not_found",
        std::io::ErrorKind::PermissionDenied => "permission_denied",
        _ => "other",
    };
    ScriptError::new(kind, format!("cannot read the script {name}: {error}"))
}

/// A script's bytes as text; bytecode is refused.
pub(super) fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, ScriptError> {
    if bytes.starts_with(b"\x1bLua") {
        return Err(ScriptError::invalid(format!(
            "{name} is compiled Lua; only text is run"
        )));
    }
    String::from_utf8(bytes).map_err(|_| ScriptError::invalid(format!("{name} is not UTF-8 text")))
}

/// Makes a script or module a function.
pub(super) fn compile(
    lua: &Lua,
    name: &str,
    text: &str,
    asker: Asker,
) -> Result<Function, ScriptError> {
    vm::of(lua)
        .sources
        .borrow_mut()
        .insert(name.to_owned(), text.to_owned());
    let globals = globals(lua, asker)?;
    vm::load(lua, name, &prepared(text), globals).map_err(|error| explain(&error, text))
}

/// The globals of one file: everybody's, and a `require` of its own.
fn globals(lua: &Lua, asker: Asker) -> mlua::Result<Table> {
    let public = vm::of(lua).public.clone();
    let globals = lua.create_table()?;
    globals.raw_set("require", require::function(lua, asker)?)?;
    let behind = lua.create_table()?;
    behind.raw_set("__index", &public)?;
    behind.raw_set("__newindex", &public)?;
    behind.raw_set("__metatable", false)?;
    globals.set_metatable(Some(behind))?;
    Ok(globals)
}

/// The text as Lua gets it: no byte-order mark, no shebang, globals read-only.
fn prepared(text: &str) -> String {
    let text = bare(text);
    if allows_globals(text) {
        return text.to_owned();
    }
    format!("{STRICT}{text}")
}

/// The text without a byte-order mark and a shebang, whose line stays as an empty one.
pub(super) fn bare(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with('#') {
        return text.find('\n').map_or("", |end| &text[end..]);
    }
    text
}

/// Whether a bare text opts out of read-only globals.
pub(super) fn allows_globals(text: &str) -> bool {
    text.trim_start().starts_with(ALLOW_GLOBALS)
}

/// A syntax error with a hint where Lua's words need one.
pub(super) fn explain(error: &mlua::Error, text: &str) -> ScriptError {
    let explained = ScriptError::from(error);
    let Some(name) = explained
        .message()
        .split_once("attempt to assign to const variable '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(name, _)| name.to_owned())
    else {
        return explained;
    };
    if is_declared(text, &name) {
        return explained.hint(format!(
            "loop variables and <const> locals are read-only; copy '{name}' to another local"
        ));
    }
    explained.hint("globals are read-only in scripts; add `local`")
}

/// Whether a name is a loop variable or a constant somewhere in the text.
fn is_declared(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let words: Vec<_> = line
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        let named = words.contains(&name);
        named && (words.first() == Some(&"for") || line.contains("<const>"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preparing_keeps_the_line_numbers() {
        assert_eq!(prepared("a\nb"), "global <const> * ; a\nb");
        assert_eq!(
            prepared("#!/usr/bin/env kstate\nb"),
            "global <const> * ; \nb"
        );
        assert_eq!(prepared("\u{feff}a"), "global <const> * ; a");
        assert_eq!(prepared("#!only"), "global <const> * ; ");
        let open = "--- @kstate allow-globals\nx = 1";
        assert_eq!(prepared(open), open);
    }

    #[test]
    fn bytecode_is_refused() {
        let error = text_of("x.lua", b"\x1bLua\x55".to_vec()).unwrap_err();
        assert!(error.to_string().contains("compiled Lua"), "{error}");
    }
}
