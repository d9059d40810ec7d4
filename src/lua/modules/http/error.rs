//! What an answer means that is no success.

use mlua::{Lua, Table};

use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::error_object::ErrorObject;
use crate::store::{ErrorKind, rest};

pub(super) const ERROR: Def = Def {
    name: "http.error",
    summary: "Makes the error object that an answer stands for; raise it with `error`.",
    body: "Its kind is that of the status: `permission_denied` (401, 403, 407), `not_found` (404, \
           410), `unsupported` (405, 501), `precondition_failed` (412), `throttled` (429, 503), \
           `unavailable` (408, 500, 502, 504), else `other`. Those that may pass are `retryable`.",
    params: &[Param::new(
        "answer",
        Type::Table,
        "what `http.request` returned",
    )],
    options: &[
        Param::optional("message", Type::String, "the service's own words"),
        Param::optional("hint", Type::String, "what to do now"),
    ],
    returns: &[("kstate.Error", "the error object")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local e = kstate.http.error({ status = 503 }, { message = "back soon" })
assert(e:is("throttled") and e.retryable and e.message == "the server answered 503: back soon")
"#,
    make: |def, lua| def.sync(lua, error),
};

fn error(_: &Lua, (answer, options): (Table, Options)) -> mlua::Result<ErrorObject> {
    let Some(status) = answer.raw_get::<Option<u16>>("status")? else {
        return Err(ScriptError::invalid("the answer has no 'status'").into());
    };
    let mut message = format!("the server answered {status}");
    if let Some(words) = options.get::<String>("message")? {
        message = format!("{message}: {words}");
    }
    let kind = rest::by_status(status).unwrap_or(ErrorKind::Other);
    let error = ScriptError::new(kind.name(), message).retryable(kind.is_retryable());
    Ok(ErrorObject(match options.get::<String>("hint")? {
        Some(hint) => error.hint(hint),
        None => error,
    }))
}
