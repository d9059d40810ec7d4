//! Pieces of Lua, one after the other.

use std::cell::{Cell, RefCell};

use mlua::{Function, MultiValue, Table, Value};

use super::locals;
use crate::lua::lexer::words;
use crate::lua::{Exit, Runtime, ScriptError, Source};
use crate::text::did_you_mean;

/// What came of a text that ran as one.
pub enum Ran {
    /// It returned these.
    Returned(MultiValue),
    /// Its `main` ended so.
    Ended(Exit),
}

/// Runs pieces of Lua that see each other's variables, also the local ones.
pub struct Evaluator {
    runtime: Runtime,
    globals: RefCell<Table>,
    entries: Cell<usize>,
}

impl Evaluator {
    /// An evaluator with globals of its own.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn new(runtime: Runtime) -> Result<Self, ScriptError> {
        let globals = runtime.globals()?;
        Ok(Self::with(runtime, globals))
    }

    /// An evaluator with these globals.
    #[must_use]
    pub fn with(runtime: Runtime, globals: Table) -> Self {
        Self {
            runtime,
            globals: RefCell::new(globals),
            entries: Cell::new(0),
        }
    }

    /// The runtime.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The variables.
    pub(super) fn globals(&self) -> Table {
        self.globals.borrow().clone()
    }

    /// Forgets all variables, and all modules that were loaded.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn reset(&self) -> Result<(), ScriptError> {
        self.runtime.forget_modules();
        let globals = self.runtime.globals()?;
        self.globals.replace(globals);
        Ok(())
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn set(&self, name: &str, value: Value) -> Result<(), ScriptError> {
        Ok(self.globals().raw_set(name, value)?)
    }

    /// Whether a text is statements.
    pub(super) fn is_chunk(&self, text: &str) -> bool {
        let globals = self.globals();
        self.runtime.load("input", text, &globals).is_ok()
    }

    /// Whether a text is an expression or statements.
    pub(super) fn is_whole(&self, text: &str) -> bool {
        self.expression("input", text).is_ok() || self.is_chunk(text)
    }

    /// Whether a text is the beginning of a longer one.
    #[must_use]
    pub fn is_incomplete(&self, text: &str) -> bool {
        let Err(as_expression) = self.expression("input", text) else {
            return false;
        };
        let Err(as_statements) = self.runtime.load("input", text, &self.globals()) else {
            return false;
        };
        [as_expression, as_statements].iter().any(|error| {
            matches!(
                error,
                mlua::Error::SyntaxError { incomplete_input: true, message }
                    // A quoted string can't go on in the next line.
                    if !message.contains("unfinished string")
            )
        })
    }

    /// Runs an expression or statements, under a name of its own. `_` is the first result then,
    /// `_err` what was raised.
    ///
    /// # Errors
    /// A mistake in the text, what it raised, or why it was stopped.
    pub async fn eval(&self, text: &str) -> Result<MultiValue, ScriptError> {
        self.entries.update(|entries| entries + 1);
        let name = format!("in[{}]", self.entries.get());
        self.eval_as(&name, text).await
    }

    /// As [`eval`](Self::eval), of a text with a name.
    ///
    /// # Errors
    /// As [`eval`](Self::eval).
    pub async fn eval_as(&self, name: &str, text: &str) -> Result<MultiValue, ScriptError> {
        self.runtime.remember(name, text);
        let result = match self.compile(name, text) {
            Ok(function) => self.runtime.call(function, ()).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(values) => {
                if let Some(first) = values.front() {
                    self.set("_", first.clone())?;
                }
            }
            Err(error) => self.set("_err", self.runtime.error_value(error))?,
        }
        result.map_err(|error| self.explained(error))
    }

    /// Runs a script to its end, `main` included; its outermost locals are variables afterwards.
    ///
    /// # Errors
    /// As [`Runtime::run_script`].
    pub async fn load(&self, source: &Source, args: &[String]) -> Result<Exit, ScriptError> {
        self.runtime.enter(source, args)?;
        let returned = self.eval_as(&source.name, source.text_for_prompt()).await?;
        self.runtime.finish_script(source, args, &returned).await
    }

    /// Runs a text as one, with its locals as they are, and its `main` if it returns one.
    ///
    /// # Errors
    /// As [`Runtime::run_script`].
    pub async fn run_whole(&self, source: &Source) -> Result<Ran, ScriptError> {
        let text = source.text_for_prompt();
        self.runtime.enter(source, &[])?;
        self.runtime.remember(&source.name, text);
        let chunk = self.runtime.load(&source.name, text, &self.globals())?;
        let returned = self.runtime.call(chunk, ()).await?;
        let table = returned.front().and_then(Value::as_table);
        let main = table.and_then(|table| table.raw_get::<Value>("main").ok());
        if !main.is_some_and(|main| main.is_function()) {
            return Ok(Ran::Returned(returned));
        }
        let ended = self.runtime.finish_script(source, &[], &returned).await;
        ended.map(Ran::Ended)
    }

    /// Makes a function of the host that panics.
    #[cfg(test)]
    pub(super) fn set_bug(&self) {
        let bug = self.runtime.panicking().unwrap();
        self.set("bug", Value::Function(bug)).unwrap();
    }

    fn compile(&self, name: &str, text: &str) -> Result<Function, ScriptError> {
        let as_expression = match self.expression(name, text) {
            Ok(function) => return Ok(function),
            Err(error) => error,
        };
        match self.runtime.load(name, text, &self.globals()) {
            Err(error) if is_at_first_word(&error, text) => Err(as_expression.into()),
            Err(error) => Err(error.into()),
            Ok(unchanged) => {
                let changed = locals::surviving(text);
                Ok(self
                    .runtime
                    .load(name, &changed, &self.globals())
                    .unwrap_or(unchanged))
            }
        }
    }

    fn expression(&self, name: &str, text: &str) -> mlua::Result<Function> {
        let text = format!("return {text}");
        self.runtime.load(name, &text, &self.globals())
    }

    /// A misspelt variable gets a hint.
    fn explained(&self, error: ScriptError) -> ScriptError {
        let name = error
            .message()
            .split_once("a nil value (global '")
            .and_then(|(_, rest)| rest.split_once('\''));
        let Some((name, _)) = name.filter(|_| error.hint_text().is_none()) else {
            return error;
        };
        let known = super::names::of_table(&self.globals());
        let near = did_you_mean(name, known.iter().map(|known| known.name.as_str()));
        match near.trim().trim_matches(['(', ')']) {
            "" => error,
            near => {
                let hint = near.to_owned();
                error.hint(hint)
            }
        }
    }
}

/// Whether Lua found fault with the very first word: then it was no statement at all.
fn is_at_first_word(error: &mlua::Error, text: &str) -> bool {
    let (words, _) = words(text);
    let first = words.first().map(|word| &text[word.span.clone()]);
    first.is_some_and(|first| error.to_string().contains(&format!("near '{first}'")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, shown};

    #[test]
    fn expressions_are_tried_before_statements() {
        let bench = Bench::new();
        for (text, result) in [
            ("1 + 1", "2"),
            ("return 1, 'a'", "1 \"a\""),
            ("x = 5", ""),
            ("x", "5"),
            ("local y = x + 1", ""),
            ("y, _", "6 5"),
            (
                "local function f(n) return n < 2 and n or f(n - 1) + f(n - 2) end",
                "",
            ),
            ("f(10)", "55"),
            ("local n = 0; function up() n = n + 1 end", ""),
            ("up() up()", ""),
            ("n", "2"),
            ("nil", "nil"),
            ("print()", ""),
            ("-- nothing", ""),
            ("load('return y')()", "6"),
            ("_G.z = 3", ""),
            ("z", "3"),
            ("kstate.json == json, store ~= nil", "true true"),
            ("getmetatable(_G)", "false"),
        ] {
            assert_eq!(bench.eval(text), Ok(result.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_set_at_the_prompt_is_not_seen_by_modules() {
        let bench = Bench::new();
        bench.eval("local type, print = 1, 2; next = 3").unwrap();
        let module = "require('lib.args') ~= nil";
        assert_eq!(bench.eval(module), Ok("true".to_owned()));
    }

    #[test]
    fn errors_name_the_entry_and_can_be_looked_at() {
        let bench = Bench::new();
        bench
            .eval("local function f() error({ code = 7 }) end")
            .unwrap();
        let error = bench.eval("local a = 1\nf()").unwrap_err();
        assert!(error.contains("in[1]:1"), "{error}");
        assert_eq!(bench.eval("_err.code"), Ok("7".to_owned()));
        let error = bench.eval("x.y = 1").unwrap_err();
        assert!(error.contains("--> in[4]:1\n"), "{error}");
        let error = bench.eval("stroe.open('x')").unwrap_err();
        assert!(error.contains("hint: did you mean 'store'?"), "{error}");
        let error = bench.eval("1 +* 2").unwrap_err();
        assert!(error.contains("near '*'"), "{error}");
        let error = bench
            .eval("error('a\\27[2J password: hunter2')")
            .unwrap_err();
        assert!(
            error.starts_with("error: a\\u{1b}[2J password: <hidden>\n"),
            "{error}"
        );
        let error = bench.eval("x.y = 1").unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
        let error = bench.eval("for x").unwrap_err();
        assert!(error.contains("'=' or 'in' expected"), "{error}");
    }

    #[test]
    fn the_parser_says_what_is_incomplete() {
        let bench = Bench::new();
        for text in [
            "for i = 1, 2 do",
            "x = [[",
            "f(",
            "return 1 +",
            "{",
            "1 +",
            "not",
            "--[[",
            "local x =",
        ] {
            assert!(bench.is_incomplete(text), "{text}");
        }
        for text in ["x = 'abc", "x + 1", "x = 1", ")", "", "-- x", "f()", "end"] {
            assert!(!bench.is_incomplete(text), "{text}");
        }
    }

    #[test]
    fn a_panic_and_a_stop_leave_the_evaluator_usable() {
        let bench = Bench::new();
        bench.evaluator.set_bug();
        for text in ["bug()", "bug('x')"] {
            let error = bench.eval(text).unwrap_err();
            assert!(
                error.starts_with("error: this is a bug in kstate\n"),
                "{error}"
            );
        }
        for text in ["pcall(bug)", "xpcall(bug, function(e) return e end)"] {
            let caught = "false \"this is a bug in kstate\"";
            assert_eq!(bench.eval(text), Ok(caught.to_owned()), "{text}");
        }
        let stop = bench.eval("pcall(kstate.exit, 3)").unwrap_err();
        assert!(!stop.contains("bug"), "{stop}");
        assert_eq!(bench.eval("1"), Ok("1".to_owned()));
    }

    #[test]
    fn results_are_bounded_and_masked() {
        for (text, result) in [
            ("{ b = 1, a = { 2 } }", "{ a = { 2 }, b = 1 }"),
            (
                "{ password = 'hunter2', user = 'u' }",
                "{ password = <hidden>, user = \"u\" }",
            ),
            ("'token: abcdefgh'", "\"token: <hidden>\""),
            (
                "'{\"Data\":\"c2VjcmV0\"}'",
                "\"{\\\"Data\\\":\\\"<hidden>\\\"}\"",
            ),
            ("'a\u{202e}b'", "\"a\\u{202e}b\""),
            (
                "{ password = { 'hunter2', a = { 1 } } }",
                "{ password = { <hidden>, a = { <hidden> } } }",
            ),
            ("{ ['db-pass'] = 12345 }", "{ [\"db-pass\"] = <hidden> }"),
            ("'\\xffpassword: hunter2'", "\"\\xffpassword: <hidden>\""),
            (
                "{ Authorization = 'Bearer abc' }",
                "{ Authorization = <hidden> }",
            ),
            (
                "{ { name = 'HCLOUD_TOKEN', value = 's3cr3t' } }",
                "{ { name = \"HCLOUD_TOKEN\", value = <hidden> } }",
            ),
            (
                "{ kind = 'Secret', data = { a = 'b' } }",
                "{ data = { a = <hidden> }, kind = \"Secret\" }",
            ),
            (
                "yaml.edit('password: hunter2\\nuser: u\\n')",
                "password: <hidden>\nuser: u\n",
            ),
            (
                "select(2, pcall(kstate.error, { message = 'password: hunter2 \\27[2J' }))",
                "password: <hidden>",
            ),
        ] {
            assert_eq!(shown(text), result, "{text}");
        }
        let long = shown("('x'):rep(1100)");
        assert!(long.ends_with("x\"… 100 more characters"), "{long}");
        let many = shown("(function() local t = {} for i = 1, 300 do t[i] = i end return t end)()");
        assert!(many.ends_with("  … 200 more\n}"), "{many}");
        let nested = "(function() local function f(n) local t = {} for i = 1, 100 do
            t[i] = n == 0 and i or f(n - 1) end return t end return f(2), f(2) end)()";
        let lines = shown(nested);
        assert!(
            lines.lines().count() < 1100 && lines.ends_with("… 1 more"),
            "{lines}"
        );
        let wide =
            "(function() local t = {} for i = 1, 300000 do t['k' .. i] = 1 end return t end)()";
        assert!(shown(wide).contains("\n  … at least 1998"));
        let cycle = shown("(function() local t = {} t.t = t return t end)()");
        assert_eq!(cycle, "{ t = {<cycle>} }");
    }
}
