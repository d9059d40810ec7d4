//! What a script's failure is on the Rust side, and how it gets there and back whole.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use mlua::{Lua, RegistryKey, Value};

use super::error_object::ErrorObject;
use super::traceback;
use crate::store;

/// The kinds that an error in a script may have: those of the stores, and the runtime's own.
pub(super) const KINDS: &[&str] = &[
    "not_found",
    "already_exists",
    "precondition_failed",
    "permission_denied",
    "unsupported",
    "invalid_key",
    "throttled",
    "unavailable",
    "corrupt",
    "locked",
    "lock_lost",
    "invalid",
    "refused",
    "partial",
    "timeout",
    "cancelled",
    "other",
];

/// Why a script ends although nothing failed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The script asked for it, with this exit code.
    Exit(u8),
    /// Somebody pressed Ctrl-C or sent a signal.
    Cancelled,
    /// The time that the script was given is over.
    TimedOut,
}

/// A failure in a script, or of a script.
#[derive(Clone)]
pub struct ScriptError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Cow<'static, str>,
    message: String,
    place: Place,
    hint: Option<String>,
    retryable: bool,
    cause: Option<ScriptError>,
    index: Option<usize>,
    traceback: Option<String>,
    thrown: Thrown,
    details: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
    stop: Option<Stop>,
    usage: bool,
    is_own_refusal: bool,
}

/// What was attempted, and on what.
#[derive(Clone, Default)]
struct Place {
    operation: Option<String>,
    url: Option<String>,
    key: Option<String>,
}

/// What the script itself raised.
#[derive(Clone)]
enum Thrown {
    /// The error was made by the host.
    Nothing,
    /// A string, which is the message.
    Text,
    /// Anything else, kept in the VM that raised it.
    Value(Arc<RegistryKey>),
}

impl ScriptError {
    /// An error of one of the kinds that scripts know.
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind: kind.into(),
            message: message.into(),
            place: Place::default(),
            hint: None,
            retryable: false,
            cause: None,
            index: None,
            traceback: None,
            thrown: Thrown::Nothing,
            details: None,
            stop: None,
            usage: false,
            is_own_refusal: false,
        }))
    }

    /// An argument, setting or value that can't work.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// What kstate itself doesn't let the script do.
    pub fn denied(message: impl Into<String>) -> Self {
        let mut error = Self::new("permission_denied", message);
        error.0.is_own_refusal = true;
        error
    }

    /// A mistake on the script's command line, found before it ran.
    pub fn usage(message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message);
        error.0.usage = true;
        error
    }

    /// The end of a script that is no failure in it.
    #[must_use]
    pub fn stopped(stop: Stop) -> Self {
        let (kind, message) = match stop {
            Stop::Exit(code) => ("cancelled", format!("the script exits with code {code}")),
            Stop::Cancelled => (
                "cancelled",
                "interrupted; what was done stays done".to_owned(),
            ),
            Stop::TimedOut => ("timeout", "the script took longer than it may".to_owned()),
        };
        let mut error = Self::new(kind, message);
        error.0.stop = Some(stop);
        error
    }

    /// Says what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says what was attempted, and on what.
    #[must_use]
    pub fn at(
        mut self,
        operation: Option<String>,
        url: Option<String>,
        key: Option<String>,
    ) -> Self {
        self.0.place = Place {
            operation,
            url,
            key,
        };
        self
    }

    /// Keeps the error beneath.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Adds fields that only errors of this sort have.
    #[must_use]
    pub fn details(mut self, details: serde_json::Map<String, serde_json::Value>) -> Self {
        self.0.details = Some(Arc::new(details));
        self
    }

    /// Says whether the same call may succeed a moment later.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Says which task of several failed, counted from 1.
    #[must_use]
    pub fn of_task(mut self, index: usize) -> Self {
        self.0.index = Some(index);
        self
    }

    /// Adds a traceback where there is none yet: the first is the nearest to the cause.
    #[must_use]
    pub(super) fn traced(mut self, text: &str) -> Self {
        if self.0.traceback.is_none() {
            self.0.traceback = Some(traceback::trim(text)).filter(|text| !text.is_empty());
        }
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What went wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The verb that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.place.operation.as_deref()
    }

    /// The store.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.0.place.url.as_deref()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.place.key.as_deref()
    }

    /// What to do now.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The error beneath.
    #[must_use]
    pub fn cause(&self) -> Option<&Self> {
        self.0.cause.as_ref()
    }

    /// Which task of several failed, counted from 1.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        self.0.index
    }

    /// Where it was raised, innermost first, one call a line, without the runtime's own frames.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether kstate itself refused, and nobody else was asked.
    #[must_use]
    pub fn is_own_refusal(&self) -> bool {
        self.0.is_own_refusal
    }

    /// Why the script ended, when nothing failed in it.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.0.stop
    }

    /// A field that only errors of this sort have.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&serde_json::Value> {
        self.0.details.as_ref()?.get(name)
    }

    /// Whether the same run may succeed later, since all that failed was a service that couldn't be
    /// reached.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.kind() == "unavailable" || self.kind() == "partial" && self.0.retryable
    }

    /// The exit code of a process whose script ended so: what the script asked for, 124 after a
    /// timeout, 130 after Ctrl-C, 2 for a mistake on the command line; else by the error's kind
    /// 3 for a refusal of the script or of kstate, 4 for a conflict, 5 when part was done, 1 for
    /// all others.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.0.stop {
            Some(Stop::Exit(code)) => code,
            Some(Stop::Cancelled) => 130,
            Some(Stop::TimedOut) => 124,
            None if self.0.usage => 2,
            None if self.0.is_own_refusal => 3,
            None => match self.kind() {
                "refused" => 3,
                "already_exists" | "precondition_failed" | "locked" | "lock_lost" => 4,
                "partial" => 5,
                _ => 1,
            },
        }
    }

    /// What a script catches: the very value that was raised, or the error object.
    pub(super) fn to_value(&self, lua: &Lua) -> mlua::Result<Value> {
        if self.0.index.is_none() {
            match &self.0.thrown {
                Thrown::Text => return lua.create_string(&self.0.message).map(Value::String),
                Thrown::Value(_) => return self.thrown(lua).map(Option::unwrap_or_default),
                Thrown::Nothing => {}
            }
        }
        lua.create_userdata(ErrorObject(self.clone()))
            .map(Value::UserData)
    }

    /// The table (or other value) that the script raised.
    pub(super) fn thrown(&self, lua: &Lua) -> mlua::Result<Option<Value>> {
        match &self.0.thrown {
            Thrown::Value(key) if lua.owns_registry_value(key) => lua.registry_value(key).map(Some),
            _ => Ok(None),
        }
    }

    /// The error that a value raised in Lua stands for.
    pub(super) fn from_value(lua: &Lua, value: &Value) -> Self {
        match value {
            Value::Error(error) => Self::from(&**error),
            Value::String(text) => Self::from_text(&text.to_string_lossy()),
            Value::UserData(data) => match data.borrow::<ErrorObject>() {
                Ok(object) => object.0.clone(),
                Err(_) => Self::from_other(lua, value),
            },
            other => Self::from_other(lua, other),
        }
    }

    fn from_text(text: &str) -> Self {
        let mut error = Self::new("other", text);
        error.0.thrown = Thrown::Text;
        if let Some(hint) = known_hint(text) {
            error = error.hint(hint);
        }
        error
    }

    fn from_other(lua: &Lua, value: &Value) -> Self {
        let field = |name: &str| {
            let table = value.as_table()?;
            table.raw_get::<Option<String>>(name).ok().flatten()
        };
        let message = field("message").unwrap_or_else(|| super::inspect::one_line(value));
        let mut error = Self::new("other", message).at(field("op"), field("url"), field("key"));
        if let Some(kind) = field("kind") {
            error.0.kind = kind.into();
        }
        error.0.hint = field("hint");
        if let Ok(key) = lua.create_registry_value(value) {
            error.0.thrown = Thrown::Value(Arc::new(key));
        }
        error
    }
}

/// What to do about messages of Lua itself that say little.
fn known_hint(message: &str) -> Option<&'static str> {
    if message.contains("attempt to yield across a C-call boundary") {
        return Some(
            "a function that waits can't be called from within string.gsub, table.sort or a \
             metamethod like __tostring: collect first, then loop",
        );
    }
    if message.contains("not enough memory") {
        return Some("the script reached its memory limit; keep less of it at a time");
    }
    None
}

impl From<&mlua::Error> for ScriptError {
    fn from(error: &mlua::Error) -> Self {
        match error {
            mlua::Error::CallbackError { traceback, cause } => {
                Self::from(&**cause).traced(traceback)
            }
            mlua::Error::ExternalError(cause) => match cause.downcast_ref::<Self>() {
                Some(error) => error.clone(),
                None => Self::new("other", cause.to_string()),
            },
            mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => {
                match text.split_once("\nstack traceback:\n") {
                    Some((message, trace)) => Self::from_text(message).traced(trace),
                    None => Self::from_text(text),
                }
            }
            mlua::Error::WithContext { context, cause } => {
                let mut error = Self::from(&**cause);
                error.0.message = format!("{context}: {}", error.0.message);
                error
            }
            mlua::Error::SyntaxError { message, .. } => Self::invalid(message.clone()),
            other => Self::invalid(other.to_string()),
        }
    }
}

impl From<mlua::Error> for ScriptError {
    fn from(error: mlua::Error) -> Self {
        Self::from(&error)
    }
}

impl From<store::Error> for ScriptError {
    fn from(error: store::Error) -> Self {
        let place = (
            Some(error.operation().to_owned()),
            Some(error.store().to_owned()).filter(|url| !url.is_empty()),
            error.key().map(str::to_owned),
        );
        let mut made = Self::new(error.kind().name(), error.message())
            .at(place.0, place.1, place.2)
            .retryable(error.is_retryable());
        made.0.hint = error.hint_text().map(str::to_owned);
        made.0.is_own_refusal = error.is_own_refusal();
        made.0.cause = causes(std::error::Error::source(&error));
        made
    }
}

fn causes(source: Option<&(dyn std::error::Error + 'static)>) -> Option<ScriptError> {
    let source = source?;
    let mut error = ScriptError::new("other", source.to_string());
    error.0.cause = causes(source.source());
    Some(error)
}

impl From<ScriptError> for mlua::Error {
    fn from(error: ScriptError) -> Self {
        Self::external(error)
    }
}

impl From<store::Error> for mlua::Error {
    fn from(error: store::Error) -> Self {
        ScriptError::from(error).into()
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.0.index {
            write!(f, "task {index}: ")?;
        }
        if let (Some(operation), Some(url)) = (self.operation(), self.url()) {
            write!(f, "cannot {operation} {}", url.trim_end_matches('/'))?;
            match self.key() {
                Some(key) => write!(f, "/{key}: ")?,
                None => write!(f, ": ")?,
            }
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.0.kind)
    }
}

impl std::error::Error for ScriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}
