//! `kstate.cli`.

use mlua::{Lua, LuaString, Table, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::script::cannot_print;
use crate::lua::vm;

/// `kstate.cli`.
pub(super) static MODULE: Module = Module {
    name: "cli",
    summary: "The person at the terminal, and the streams of the process.",
    functions: &[CONFIRM, IS_TERMINAL, INPUT, TABLE, OUT],
    classes: &[],
};

const CONFIRM: Def = Def {
    name: "cli.confirm",
    summary: "Asks whether to go on.",
    body: "With `--yes` the answer is yes, and in a rehearsal (`--dry-run`, `kstate plan`), which \
           writes nothing. Where nobody can answer (cron, a pipe) it is an \
           error, so that nothing dangerous goes on by itself and nothing waits forever. With \
           `expect`, only that word is a yes; without, `y` or `yes`.",
    params: &[],
    options: &[
        Param::new("prompt", Type::String, "the question"),
        Param::optional(
            "expect",
            Type::String,
            "the word to type, such as a cluster's name",
        ),
    ],
    returns: &[("boolean", "whether the answer was yes")],
    errors: &[("refused", "nobody can answer, and `--yes` was not given")],
    permission: "",
    since: "0.1.0",
    example: r#"
local ok, e = pcall(kstate.cli.confirm, { prompt = "Delete the old copy?", expect = "delete" })
assert(not ok and e:is("refused")) -- nobody is there to answer
"#,
    make: |def, lua| def.wait(lua, confirm),
};

async fn confirm(lua: Lua, options: Options) -> mlua::Result<bool> {
    let vm = vm::of(&lua);
    if vm.host.assume_yes || vm.is_dry_run() {
        return Ok(true);
    }
    let prompt = options.get::<String>("prompt")?.unwrap_or_default();
    let expect = options.get::<String>("expect")?;
    if !vm.host.terminal.is_interactive() {
        return Err(
            ScriptError::new("refused", format!("nobody is there to answer: {prompt}"))
                .hint("run it on a terminal, or pass --yes")
                .into(),
        );
    }
    let question = match &expect {
        Some(word) => format!("{prompt}\nType '{word}' to go on: "),
        None => format!("{prompt} [y/N] "),
    };
    let terminal = vm.host.terminal.clone();
    // A question that nobody answers any more must not keep a cancelled script.
    let answer = vm
        .host
        .io
        .spawn_blocking(move || terminal.ask(&question))
        .await
        .map_err(|error| ScriptError::new("other", error.to_string()))?
        .map_err(|error| ScriptError::new("other", format!("cannot ask: {error}")))?;
    let answer = answer.unwrap_or_default();
    let answer = answer.trim();
    Ok(match expect {
        Some(word) => answer == word,
        None => matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"),
    })
}

const IS_TERMINAL: Def = Def {
    name: "cli.is_terminal",
    summary: "Tells whether a person can answer.",
    body: "",
    params: &[],
    options: &[],
    returns: &[("boolean", "whether a person can answer")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.cli.is_terminal() == false)",
    make: |def, lua| {
        def.sync(lua, |lua, (): ()| {
            Ok(vm::of(lua).host.terminal.is_interactive())
        })
    },
};

/// The most that is read of standard input.
const LARGEST_INPUT: u64 = 64 << 20;

const INPUT: Def = Def {
    name: "cli.input",
    summary: "Reads standard input to its end.",
    body: "At most 64 MiB. A second call finds nothing any more. Where a person types, \
           it waits for Ctrl-D.",
    params: &[],
    options: &[],
    returns: &[("string", "the bytes")],
    errors: &[("unsupported", "there is more than 64 MiB")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.cli.input() == "") -- nothing is piped into it here"#,
    make: |def, lua| def.wait(lua, input),
};

async fn input(lua: Lua, (): ()) -> mlua::Result<LuaString> {
    let host = &vm::of(&lua).host;
    let terminal = host.terminal.clone();
    let bytes = host
        .io
        .spawn_blocking(move || terminal.input(LARGEST_INPUT + 1))
        .await
        .map_err(|error| ScriptError::new("other", error.to_string()))?
        .map_err(|error| {
            ScriptError::new("other", format!("cannot read standard input: {error}"))
        })?;
    if bytes.len() as u64 > LARGEST_INPUT {
        let message = "standard input has more than 64 MiB";
        return Err(ScriptError::new("unsupported", message).into());
    }
    lua.create_string(bytes)
}

const TABLE: Def = Def {
    name: "cli.table",
    summary: "Prints rows in aligned columns.",
    body: "Numbers are aligned to the right.",
    params: &[Param::new("rows", Type::Table, "a list of lists")],
    options: &[Param::optional(
        "header",
        Type::Table,
        "the names of the columns",
    )],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.cli.table({ { "config", 12 }, { "pki", 7 } }, { header = { "what", "files" } })"#,
    make: |def, lua| def.sync(lua, table),
};

fn table(lua: &Lua, (rows, options): (Table, Options)) -> mlua::Result<()> {
    let mut lines = Vec::new();
    if let Some(header) = options.get::<Table>("header")? {
        lines.push(cells(lua, &header)?);
    }
    for row in rows.sequence_values::<Table>() {
        lines.push(cells(lua, &row?)?);
    }
    let text = aligned(&lines);
    let stdout = &vm::of(lua).host.stdout;
    Ok(stdout.write(text.as_bytes()).map_err(cannot_print)?)
}

/// A cell's text, and whether it is a number.
type Cell = (String, bool);

fn cells(lua: &Lua, row: &Table) -> mlua::Result<Vec<Cell>> {
    row.sequence_values::<Value>()
        .map(|value| {
            let value = value?;
            let number = value.is_integer() || value.is_number();
            let text = match lua.coerce_string(value.clone())? {
                Some(text) => text.to_string_lossy(),
                None => value.to_string()?,
            };
            Ok((text, number))
        })
        .collect()
}

fn aligned(lines: &[Vec<Cell>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells
            .map(|(text, _)| text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for ((cell, number), width) in line.iter().zip(&widths) {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if *number { (&*pad, "") } else { ("", &*pad) };
            shown.push_str(before);
            shown.push_str(cell);
            shown.push_str(after);
            shown.push_str("  ");
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

const OUT: Def = Def {
    name: "cli.out",
    summary: "Writes bytes to standard output as they are.",
    body: "",
    params: &[Param::new("bytes", Type::String, "the bytes")],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.cli.out("no newline")"#,
    make: |def, lua| {
        def.sync(lua, |lua, bytes: LuaString| {
            let stdout = &vm::of(lua).host.stdout;
            Ok(stdout.write(&bytes.as_bytes()).map_err(cannot_print)?)
        })
    },
};

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use crate::lua::testing::{Bench, with};
    use crate::lua::{Source, Terminal};

    struct Answers(&'static str);

    impl Terminal for Answers {
        fn is_interactive(&self) -> bool {
            true
        }

        fn ask(&self, _: &str) -> io::Result<Option<String>> {
            Ok(Some(format!("{}\n", self.0)))
        }

        fn input(&self, _: u64) -> io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
    }

    fn confirms(answer: &'static str, options: &str) -> bool {
        let bench = Bench::new();
        let mut host = bench.host();
        host.terminal = Arc::new(Answers(answer));
        let source = Source::new("t", format!("return kstate.cli.confirm({options})"));
        with(host, async |runtime| {
            runtime.run_script(&source, &[]).await.unwrap().0 == 0
        })
    }

    #[test]
    fn only_a_clear_yes_is_one() {
        assert!(confirms("y", "{ prompt = 'Go on?' }"));
        assert!(confirms("YES", "{ prompt = 'Go on?' }"));
        assert!(!confirms("", "{ prompt = 'Go on?' }"));
        assert!(!confirms(
            "yes",
            "{ prompt = 'Go on?', expect = 'c.example.com' }"
        ));
        assert!(confirms(
            "c.example.com",
            "{ prompt = 'Go on?', expect = 'c.example.com' }"
        ));
    }

    #[test]
    fn columns_are_aligned() {
        let bench = Bench::new();
        bench
            .run("kstate.cli.table({ { 'a', 1 }, { 'bcd', 20 } }, { header = { 'name', 'n' } })")
            .unwrap();
        assert_eq!(bench.printed.text(), "name  n\na      1\nbcd   20\n");
    }
}
