//! Who and when.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::store::registry::Env;

/// `user@host`, as people know them.
pub(super) fn who(env: &Env) -> String {
    let user = env.get("USER").or_else(|| env.get("LOGNAME"));
    let user = user.map_or_else(
        || format!("uid {}", rustix::process::getuid().as_raw()),
        str::to_owned,
    );
    let system = rustix::system::uname();
    format!("{user}@{}", system.nodename().to_string_lossy())
}

/// The time, in UTC, as RFC 3339 with microseconds: two runs of one second have an order.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.truncate_to_microsecond();
    // Every time of a four-digit year can be written so.
    now.format(&Rfc3339).unwrap_or_default()
}

/// A time that was written so; the beginning of all times when it was not.
pub(super) fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
