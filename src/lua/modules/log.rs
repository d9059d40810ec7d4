//! `kstate.log`.

use mlua::{Lua, Table, Value};
use tracing::Level;

use crate::config::mask::mask;
use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::inspect;

/// `kstate.log`.
pub(super) static MODULE: Module = Module {
    name: "log",
    summary: "Messages to the person, on standard error; what is data goes to `print`.",
    functions: &[DEBUG, INFO, WARN, ERROR],
    classes: &[],
};

const PARAMS: &[Param] = &[
    Param::new("message", Type::String, "what happened"),
    Param::optional("fields", Type::Table, "values that belong to it, by name"),
];

const DEBUG: Def = Def {
    name: "log.debug",
    summary: "Says something that helps to find a fault; shown with `-v`.",
    body: "The line of the script is shown with it.",
    params: PARAMS,
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.log.debug("compared", { same = 12 })"#,
    make: |def, lua| def.sync(lua, |lua, said: Said| say(lua, Level::DEBUG, &said)),
};

const INFO: Def = Def {
    name: "log.info",
    summary: "Says what is going on.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.log.info("copied", { key = "config" })"#,
    make: |def, lua| def.sync(lua, |lua, said: Said| say(lua, Level::INFO, &said)),
};

const WARN: Def = Def {
    name: "log.warn",
    summary: "Says what may be wrong.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.log.warn("the bucket keeps no versions")"#,
    make: |def, lua| def.sync(lua, |lua, said: Said| say(lua, Level::WARN, &said)),
};

const ERROR: Def = Def {
    name: "log.error",
    summary: "Says what went wrong, and goes on.",
    body: "To end the script, raise the error instead.",
    params: PARAMS,
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.log.error("cannot copy", { key = "config" })"#,
    make: |def, lua| def.sync(lua, |lua, said: Said| say(lua, Level::ERROR, &said)),
};

type Said = (mlua::LuaString, Option<Table>);

fn say(lua: &Lua, level: Level, (message, fields): &Said) -> mlua::Result<()> {
    let mut text = message.to_string_lossy();
    if let Some(fields) = fields {
        let mut shown = Vec::new();
        for pair in fields.pairs::<Value, Value>() {
            let (name, value) = pair?;
            let value = match &value {
                Value::String(text) if is_word(&text.to_string_lossy()) => text.to_string_lossy(),
                other => inspect::one_line(other),
            };
            shown.push(format!(" {}={value}", name.to_string()?));
        }
        shown.sort();
        text.push_str(&shown.concat());
    }
    let text = mask(&text);
    // Level 0 is this function, 1 who called it.
    let at = lua
        .inspect_stack(1, |frame| {
            let source = frame.source();
            let name = source.short_src.unwrap_or_default();
            format!("{name}:{}", frame.current_line().unwrap_or_default())
        })
        .unwrap_or_default();
    match level {
        Level::DEBUG => tracing::debug!(target: "script", at, "{text}"),
        Level::INFO => tracing::info!(target: "script", at, "{text}"),
        Level::WARN => tracing::warn!(target: "script", at, "{text}"),
        _ => tracing::error!(target: "script", at, "{text}"),
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use crate::lua::testing::passes;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn messages_carry_their_fields_and_the_line_of_the_script() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            passes("local n = 1\nkstate.log.info('copied', { key = 'a/b', n = n, what = 'x y' })");
            passes(
                "kstate.log.warn('s3://me:hunter2@b', { api_token = 'hunter2', of = 'password: hunter2' })",
            );
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("INFO script: copied key=a/b n=1 what=\"x y\""),
            "{text}"
        );
        assert!(text.contains("test.lua:2"), "{text}");
        assert!(
            text.contains("api_token=<hidden>") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
