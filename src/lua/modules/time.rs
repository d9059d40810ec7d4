//! `kstate.time`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlua::Lua;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::lua::api::{Def, Module, Param, Seconds, Type};
use crate::lua::error::ScriptError;
use crate::units;

/// `kstate.time`.
pub(super) static MODULE: Module = Module {
    name: "time",
    summary: "Points in time as seconds since 1970, as text (RFC 3339, UTC), and durations.",
    functions: &[NOW, FORMAT, PARSE, SECONDS, DURATION],
    classes: &[],
};

const NOW: Def = Def {
    name: "time.now",
    summary: "Returns the current time.",
    body: "",
    params: &[],
    options: &[],
    returns: &[("number", "seconds since 1970 in UTC, with a fraction")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.time.now() > 1700000000)",
    make: |def, lua| {
        def.sync(lua, |_, (): ()| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            Ok(now.unwrap_or(Duration::ZERO).as_secs_f64())
        })
    },
};

const FORMAT: Def = Def {
    name: "time.format",
    summary: "Writes a point in time as RFC 3339 in UTC, to the second.",
    body: "",
    params: &[Param::optional(
        "time",
        Type::Number,
        "seconds since 1970; default: now",
    )],
    options: &[],
    returns: &[("string", "such as `2026-01-31T08:00:00Z`")],
    errors: &[("invalid", "the time is beyond the year 9999")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.time.format(0) == "1970-01-01T00:00:00Z")"#,
    make: |def, lua| def.sync(lua, format),
};

fn format(_: &Lua, seconds: Option<f64>) -> mlua::Result<String> {
    let time = match seconds {
        None => OffsetDateTime::now_utc(),
        #[expect(clippy::cast_possible_truncation, reason = "the year is checked next")]
        Some(seconds) => OffsetDateTime::from_unix_timestamp(seconds.floor() as i64)
            .map_err(|error| ScriptError::invalid(error.to_string()))?,
    };
    let time = time.replace_nanosecond(0).unwrap_or(time);
    Ok(time
        .format(&Rfc3339)
        .map_err(|error| ScriptError::invalid(error.to_string()))?)
}

const PARSE: Def = Def {
    name: "time.parse",
    summary: "Reads an RFC 3339 time, or a date as HTTP's headers have it.",
    body: "",
    params: &[Param::new(
        "text",
        Type::String,
        "such as `2026-01-31T08:00:00Z` or `Sat, 31 Jan 2026 08:00:00 GMT`",
    )],
    options: &[],
    returns: &[("number", "seconds since 1970 in UTC")],
    errors: &[("invalid", "the text is no such time")],
    permission: "",
    since: "0.1.0",
    example: r#"
assert(kstate.time.parse("1970-01-01T01:00:00.5+01:00") == 0.5)
assert(kstate.time.parse("Thu, 01 Jan 1970 00:01:00 GMT") == 60)
"#,
    make: |def, lua| def.sync(lua, parse),
};

fn parse(_: &Lua, text: String) -> mlua::Result<f64> {
    let time = OffsetDateTime::parse(&text, &Rfc3339).or_else(|error| {
        let of_http = OffsetDateTime::parse(&text, &Rfc2822);
        of_http.map_err(|_| ScriptError::invalid(format!("'{text}' is no RFC 3339 time: {error}")))
    })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds are kept until the year 2255"
    )]
    let micros = (time.unix_timestamp_nanos() / 1000) as f64;
    Ok(micros / 1e6)
}

const SECONDS: Def = Def {
    name: "time.seconds",
    summary: "Returns a duration in seconds.",
    body: "",
    params: &[Param::new(
        "duration",
        Type::Duration,
        "such as `\"1m30s\"`",
    )],
    options: &[],
    returns: &[("number", "seconds")],
    errors: &[("invalid", "the text is no duration")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.time.seconds("1m30s") == 90)"#,
    make: |def, lua| {
        def.sync(lua, |_, Seconds(duration): Seconds| {
            Ok(duration.as_secs_f64())
        })
    },
};

const DURATION: Def = Def {
    name: "time.duration",
    summary: "Writes a duration as people do.",
    body: "",
    params: &[Param::new("duration", Type::Duration, "such as `90`")],
    options: &[],
    returns: &[("string", "such as `1m30s`")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.time.duration(90) == "1m30s")"#,
    make: |def, lua| {
        def.sync(lua, |_, Seconds(duration): Seconds| {
            Ok(units::human_duration(duration))
        })
    },
};
