//! `kstate.test`.

use mlua::{Function, Lua, MultiValue, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::error_object::ErrorObject;
use crate::lua::{inspect, vm};
use crate::text::unified_diff;

/// `kstate.test`.
pub(super) static MODULE: Module = Module {
    name: "test",
    summary: "What tests say beyond Lua's own `assert`; `kstate test` runs them.",
    functions: &[EQUAL, RAISES],
    classes: &[],
};

/// How deep values are compared and shown.
const DEPTH: usize = 64;

const EQUAL: Def = Def {
    name: "test.equal",
    summary: "Fails unless two values are equal, tables by what is in them.",
    body: "The failure shows how they differ.",
    params: &[
        Param::new("actual", Type::Any, "what came"),
        Param::new("expected", Type::Any, "what should have come"),
    ],
    options: &[Param::optional(
        "message",
        Type::String,
        "what the failure begins with",
    )],
    returns: &[],
    errors: &[("other", "they differ")],
    permission: "",
    since: "0.1.0",
    example: r#"
kstate.test.equal({ a = { 1, 2 } }, { a = { 1, 2 } })
local ok, e = pcall(kstate.test.equal, "one", "two")
assert(not ok and e.message:find('expected "two"', 1, true))
"#,
    make: |def, lua| def.sync(lua, equal),
};

fn equal(_: &Lua, (actual, expected, options): (Value, Value, Options)) -> mlua::Result<()> {
    if same(&actual, &expected, DEPTH)? {
        return Ok(());
    }
    let message = options.get::<String>("message")?;
    let message = message.unwrap_or_else(|| "the values differ".to_owned());
    Err(ScriptError::new(
        "other",
        format!("{message}:\n{}", difference(&actual, &expected)),
    )
    .into())
}

fn same(a: &Value, b: &Value, depth: usize) -> mlua::Result<bool> {
    let (Value::Table(a), Value::Table(b)) = (a, b) else {
        return a.equals(b);
    };
    if a.to_pointer() == b.to_pointer() {
        return Ok(true);
    }
    if depth == 0 {
        return Err(ScriptError::invalid("the tables are too deep to be compared").into());
    }
    let mut fields = 0_usize;
    for pair in a.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !same(&value, &b.raw_get(key)?, depth - 1)? {
            return Ok(false);
        }
        fields += 1;
    }
    Ok(b.pairs::<Value, Value>().count() == fields)
}

/// Both values where they are short, else the lines in which they differ.
fn difference(actual: &Value, expected: &Value) -> String {
    let lines = |value: &Value| match value {
        Value::String(text) if text.as_bytes().contains(&b'\n') => text.to_string_lossy(),
        other => inspect::pretty(other, DEPTH),
    };
    let (actual, expected) = (lines(actual), lines(expected));
    if !actual.contains('\n') && !expected.contains('\n') {
        return format!("expected {expected}\n     got {actual}");
    }
    let ended = |text: String| text.trim_end_matches('\n').to_owned() + "\n";
    let (actual, expected) = (ended(actual), ended(expected));
    let diff = unified_diff(("expected", &expected), ("got", &actual), 3);
    if diff.is_empty() {
        return "they only differ in how they end".to_owned();
    }
    diff.trim_end().to_owned()
}

const RAISES: Def = Def {
    name: "test.raises",
    summary: "Fails unless a function raises an error of a kind; returns that error.",
    body: "What a script raises with Lua's `error` is of the kind `other`.",
    params: &[
        Param::new("kind", Type::String, "the kind"),
        Param::new("f", Type::Function, "what to call"),
        Param::new("...", Type::Rest, "its arguments"),
    ],
    options: &[],
    returns: &[("kstate.Error", "the error")],
    errors: &[("other", "nothing, or something else, was raised")],
    permission: "",
    since: "0.1.0",
    example: r#"
local e = kstate.test.raises("invalid", kstate.json.decode, "{")
assert(e.message ~= "")
"#,
    make: |def, lua| def.wait(lua, raises),
};

async fn raises(
    lua: Lua,
    (kind, f, arguments): (String, Function, MultiValue),
) -> mlua::Result<ErrorObject> {
    let error = match vm::call(&lua, f, arguments).await {
        Ok(_) => ScriptError::new("other", format!("no error of the kind {kind} was raised")),
        Err(error) if error.stop().is_some() => return Err(error.into()),
        Err(error) if error.kind() == kind => return Ok(ErrorObject(error)),
        Err(error) => {
            let other = format!(
                "an error of the kind {kind} was expected, got {}",
                error.kind()
            );
            ScriptError::new("other", other).because(error)
        }
    };
    Err(error.into())
}

#[cfg(test)]
mod tests {
    use crate::lua::testing::{fails, passes};

    #[test]
    fn values_are_compared_by_what_is_in_them() {
        passes(
            "local equal = kstate.test.equal
             equal(1, 1.0) equal(nil, nil) equal('a', 'a') equal(kstate.null, kstate.null)
             equal({ 1, { x = {} } }, { 1, { x = {} } })",
        );
        for (values, words) in [
            ("1, '1'", "expected \"1\"\n     got 1"),
            (
                "{ a = 1 }, { a = 1, b = 2 }",
                "expected { a = 1, b = 2 }\n     got { a = 1 }",
            ),
            ("{ a = 1, b = 2 }, { a = 1 }", "got { a = 1, b = 2 }"),
            (
                "{ a = { b = false } }, { a = {} }",
                "got { a = { b = false } }",
            ),
            ("'one\\ntwo', 'one\\n2'", "@@ -1,2 +1,2 @@\n one\n-2\n+two"),
            ("1, 2, { message = 'the sum' }", "the sum:\nexpected 2"),
        ] {
            let error = fails(&format!("kstate.test.equal({values})"));
            assert!(error.message().contains(words), "{values}: {error}");
        }
        let circle = "local a, b = {}, {} a.a, b.a = a, b kstate.test.equal(a, b)";
        assert!(fails(circle).message().contains("too deep"));
    }

    #[test]
    fn an_error_of_a_kind_is_expected() {
        passes("assert(kstate.test.raises('other', error, 'x').message == 'x')");
        let error = fails("kstate.test.raises('invalid', function() end)");
        assert_eq!(error.message(), "no error of the kind invalid was raised");
        let error = fails("kstate.test.raises('not_found', kstate.json.decode, '{')");
        assert!(
            error.message().contains("got invalid") && error.cause().is_some(),
            "{error}"
        );
    }
}
