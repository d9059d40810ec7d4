//! `kstate.diff`: what changes in a text, as a person may see it.

use std::fmt::{self, Write};

use mlua::{Lua, LuaString};

use crate::config::mask;
use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::session::plan::difference::{
    Detail, Difference, FieldDifference, Line, Listed, TextDifference, compare,
};
use crate::text::{count, visible};

/// `kstate.diff`.
pub(super) static MODULE: Module = Module {
    name: "diff",
    summary: "What changes in a text, with the secrets in it hidden.",
    functions: &[SHOW, MASK],
    classes: &[],
};

const SHOW: Def = Def {
    name: "diff.show",
    summary: "Tells how an object's bytes change, as a plan does.",
    body: "Field by field where both are YAML, else line by line; long ones are cut. What looks \
           like a secret is hidden.",
    params: &[
        Param::optional(
            "before",
            Type::String,
            "the old bytes; `nil` for a new object",
        ),
        Param::optional(
            "after",
            Type::String,
            "the new bytes; `nil` for one that is deleted",
        ),
    ],
    options: &[Param::optional(
        "secret",
        Type::Boolean,
        "the object is a secret as a whole, and nothing of it is shown",
    )],
    returns: &[("string", "the lines; empty when nothing may be shown")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local shown = kstate.diff.show("a: 1\nb: 2\n", "a: 1\nb: 3\n")
assert(shown == "~ b: 2 → 3\n")
"#,
    make: |def, lua| def.sync(lua, show),
};

fn show(
    _: &Lua,
    (before, after, options): (Option<LuaString>, Option<LuaString>, Options),
) -> mlua::Result<String> {
    let is_secret = options.get("secret")?.unwrap_or(false);
    let [before, after] = [before, after].map(|bytes| bytes.map(|bytes| bytes.as_bytes().to_vec()));
    let difference = compare(
        before.as_deref(),
        after.as_deref(),
        is_secret,
        Detail::default(),
    );
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_difference(&mut out, &difference);
    Ok(out)
}

fn write_difference(out: &mut String, difference: &Difference) -> fmt::Result {
    match difference {
        Difference::Text(text) if text.fields.first.is_empty() => write_lines(out, &text.lines, ""),
        Difference::Text(text) => write_fields(out, text),
        Difference::Secret => writeln!(out, "(a secret: not shown)"),
        Difference::Binary => writeln!(out, "(no text)"),
        Difference::TooLarge => writeln!(out, "(too large to compare)"),
        Difference::Same | Difference::Deleted | Difference::Unknown => Ok(()),
    }
}

fn write_fields(out: &mut String, text: &TextDifference) -> fmt::Result {
    let mut document = &None;
    for field in &text.fields.first {
        if let Some(name) = &field.document
            && field.document != *document
        {
            writeln!(out, "{}", visible(name))?;
        }
        document = &field.document;
        let path = visible(&field.path);
        match &field.change {
            FieldDifference::Added { value } => writeln!(out, "+ {path}: {}", visible(value))?,
            FieldDifference::Removed { value } => writeln!(out, "- {path}: {}", visible(value))?,
            FieldDifference::Changed { old, new } => {
                writeln!(out, "~ {path}: {} → {}", visible(old), visible(new))?;
            }
            FieldDifference::Hidden => writeln!(out, "~ {path}: changed (hidden)")?,
            FieldDifference::Reordered => writeln!(out, "~ {path}: in another order")?,
            FieldDifference::Text { lines } => {
                writeln!(out, "~ {path}:")?;
                write_lines(out, lines, "    ")?;
            }
        }
    }
    write_more(out, text.fields.more, "field")
}

fn write_lines(out: &mut String, lines: &Listed<Line>, indent: &str) -> fmt::Result {
    for line in &lines.first {
        writeln!(out, "{indent}{}{}", line.kind.sign(), visible(&line.text))?;
    }
    write_more(out, lines.more, "line")
}

fn write_more(out: &mut String, number: usize, what: &str) -> fmt::Result {
    if number == 0 {
        return Ok(());
    }
    writeln!(out, "… {}", count(number as u64, &format!("more {what}")))
}

const MASK: Def = Def {
    name: "diff.mask",
    summary: "Hides what looks like a secret in a text.",
    body: "By the names of fields, variables and flags, as part of a Kubernetes `Secret`, as a \
           private key or as a password in a URL. Lines stay where they are.",
    params: &[Param::new("text", Type::String, "any text")],
    options: &[],
    returns: &[("string", "the same text with `<hidden>` for each secret")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.diff.mask("password: x1") == "password: <hidden>")"#,
    make: |def, lua| {
        def.sync(lua, |lua, text: LuaString| {
            match std::str::from_utf8(&text.as_bytes()) {
                Ok(text) => lua.create_string(mask::mask(text)),
                // What is no text has no fields; the bytes are the caller's own.
                Err(_) => Ok(text.clone()),
            }
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::lua::testing::Bench;

    #[test]
    fn what_changes_is_shown_and_what_is_secret_or_unseen_is_not() {
        let script = r#"
            local show = kstate.diff.show
            assert(show("a", "a") == "" and show(nil, nil) == "")
            assert(show(nil, "a: 1\n") == "+a: 1\n" and show("a: 1\n", nil) == "-a: 1\n")
            assert(show("password: one\n", "password: two\n") == "~ password: changed (hidden)\n")
            assert(show("one", "two", { secret = true }) == "(a secret: not shown)\n")
            assert(show("\0", "\1\0") == "(no text)\n")
            assert(not show("a: 1\n", 'a: "\\e[2J"\n'):find("\27"))
            assert(not show("x\n", "\27[2J\n"):find("\27"))
            local long = show(nil, ("line\n"):rep(1000))
            assert(long:find("more lines\n$") and #long < 1000)
            assert(kstate.diff.mask("\xff") == "\xff")
        "#;
        Bench::new().run(script).unwrap();
    }
}
