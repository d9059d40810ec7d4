//! Files of tests: a table of functions, each of which is run with an empty store in memory.

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::error::ScriptError;
use super::require::Asker;
use super::source::{self, Source};
use super::{traceback, vm};

/// The store that a test gets.
const STORE: &str = "memfs://test";

/// A test in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name in the table.
    pub name: String,
    /// Where it begins.
    pub line: usize,
}

/// The tests of a file, in the order of their lines.
pub(super) async fn tests(lua: &Lua, source: &Source) -> Result<Vec<Test>, ScriptError> {
    let table = load(lua, source).await?;
    let mut tests = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (Value::String(name), Value::Function(function)) = pair? else {
            return Err(ScriptError::invalid(
                "a file of tests returns a table of functions by name",
            )
            .hint(HINT));
        };
        tests.push(Test {
            name: name.to_string_lossy(),
            line: function.info().line_defined.unwrap_or_default(),
        });
    }
    tests.sort_by(|a, b| (a.line, &a.name).cmp(&(b.line, &b.name)));
    Ok(tests)
}

const HINT: &str = "local test = {}\nfunction test.what_it_shows(store) assert(…) end\nreturn test";

/// Runs one test of a file.
pub(super) async fn run(lua: &Lua, source: &Source, name: &str) -> Result<(), ScriptError> {
    let table = load(lua, source).await?;
    let test: Function = table.get(name)?;
    let kstate: Table = vm::of(lua).public.get("kstate")?;
    let open: Function = kstate.get::<Table>("store")?.get("open")?;
    let store: Value = open.call_async(STORE).await?;
    vm::call(lua, test, store).await.map(drop)
}

async fn load(lua: &Lua, source: &Source) -> Result<Table, ScriptError> {
    let chunk = source::compile(lua, &source.name, &source.text, Asker::default())?;
    let results = vm::call(lua, chunk, MultiValue::new()).await?;
    match results.into_iter().next() {
        Some(Value::Table(table)) => Ok(table),
        _ => Err(ScriptError::invalid("a file of tests returns a table of functions").hint(HINT)),
    }
}

/// The line of a file in which an error was raised, or that led there.
pub(super) fn line(error: &ScriptError, file: &str) -> Option<usize> {
    let message = error.to_string();
    let trace = error.traceback().unwrap_or_default();
    let places = std::iter::once(message.as_str()).chain(trace.lines());
    let mut places = places.filter_map(traceback::position);
    places.find(|(name, _)| *name == file).map(|(_, line)| line)
}
