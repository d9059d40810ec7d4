//! What commands print: results to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};
use std::time::SystemTime;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::context::Context;
use super::exit::Failure;
use crate::session::{Action, Operation};
use crate::store::Meta;
use crate::text;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Sends the log to standard error: warnings, with `-v` what is done, with `-vv` every request.
pub(super) fn log_to_stderr(verbose: u8, quiet: bool, format: LogFormat) {
    // The Kubernetes client calls an error what is only tried again, and so does what looks for
    // credentials in one place after the other.
    let level = match (quiet, verbose) {
        (true, _) => "error,kube_client=off",
        (_, 0) => "kstate=info,script=info,warn,kube_client=off,reqsign_core=off",
        (_, 1) => "kstate=debug,script=debug,warn,kube_client=off,reqsign_core=off",
        // What Azure's requests are signed by holds signatures that let others read.
        (_, _) => "trace,hyper=info,h2=info,rustls=info,reqsign_azure_storage=info",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr);
    // A second logger can only come from a second call, which there is not.
    let _ = match format {
        LogFormat::Json => log.event_format(JsonLines).try_init(),
        LogFormat::Text => log
            .with_ansi(color(&std::io::stderr()))
            .event_format(Lines { place: verbose > 0 })
            .try_init(),
    };
}

/// Log lines as programs read them.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields::default();
        let about = event.metadata();
        fields.set("time", timestamp(SystemTime::now()));
        fields.set("level", about.level().as_str().to_ascii_lowercase());
        fields.set("target", about.target());
        event.record(&mut fields);
        writeln!(writer, "{}", serde_json::Value::Object(fields.0))
    }
}

/// An event's fields, its message among them.
#[derive(Default)]
struct Fields(serde_json::Map<String, serde_json::Value>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
}

/// Log lines as people read them: the message, with a word before it when it needs attention.
struct Lines {
    /// Also where in the script or in kstate it comes from.
    place: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let level = *event.metadata().level();
        let (word, color) = match level {
            Level::ERROR => ("error: ", 31),
            Level::WARN => ("warning: ", 33),
            Level::INFO => ("", 0),
            Level::DEBUG => ("debug: ", 2),
            Level::TRACE => ("trace: ", 2),
        };
        if writer.has_ansi_escapes() && !word.is_empty() {
            write!(writer, "\x1b[{color}m{word}\x1b[0m")?;
        } else {
            write!(writer, "{word}")?;
        }
        if self.place {
            context.format_fields(writer.by_ref(), event)?;
        } else {
            let mut message = Message(writer.by_ref(), Ok(()));
            event.record(&mut message);
            message.1?;
        }
        writeln!(writer)
    }
}

/// Writes an event's message alone.
struct Message<'a>(Writer<'a>, std::fmt::Result);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.1 = write!(self.0, "{value:?}");
        }
    }
}

/// Whether colour helps here: on a terminal, unless `NO_COLOR` is set (no-color.org).
#[expect(
    clippy::disallowed_methods,
    reason = "asked before there is an Env to hand down"
)]
pub(super) fn color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A point in time as RFC 3339 in UTC, to the second.
pub(super) fn timestamp(time: SystemTime) -> Option<String> {
    OffsetDateTime::from(time)
        .replace_nanosecond(0)
        .ok()?
        .format(&Rfc3339)
        .ok()
}

/// An object's metadata for programs.
pub(super) fn meta_json(meta: &Meta) -> serde_json::Value {
    let mut object = json!({ "key": meta.key.as_str(), "size": meta.size });
    let mut set = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            object[name] = value;
        }
    };
    set(
        "modified",
        meta.modified.and_then(timestamp).map(Into::into),
    );
    set("tag", meta.tag.as_ref().map(|tag| tag.0.clone().into()));
    set(
        "checksum",
        meta.checksum
            .as_ref()
            .map(|sum| format!("{}:{}", sum.algorithm.name(), sum.hex()).into()),
    );
    set("content_type", meta.content_type.clone().map(Into::into));
    set("user", (!meta.user.is_empty()).then(|| json!(meta.user)));
    object
}

/// Prints one JSON value on a line of its own.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout().lock(), "{value}")?)
}

/// At the end of a dry run: what would have been done.
pub(super) fn show_operations(context: &Context) -> Result<(), Failure> {
    if !context.dry_run() {
        return Ok(());
    }
    let operations = context.session.operations();
    if context.json {
        let list: Vec<_> = operations.iter().map(operation_json).collect();
        return print_json(&json!({ "dry_run": true, "operations": list }));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for operation in &operations {
        writeln!(out, "(dry run) {}", describe(operation))?;
    }
    let bytes = operations.iter().map(|operation| operation.size).sum();
    writeln!(
        out,
        "(dry run) {}, {}; nothing was written",
        text::count(operations.len() as u64, "change"),
        text::human_size(bytes)
    )?;
    Ok(out.flush()?)
}

fn describe(operation: &Operation) -> String {
    let Operation {
        action,
        store,
        key,
        size,
    } = operation;
    let size = text::human_size(*size);
    match action {
        Action::Create => format!("+ {store}/{key} ({size})"),
        Action::Overwrite => format!("~ {store}/{key} ({size})"),
        Action::Delete => format!("- {store}/{key}"),
        Action::Copy { from, overwrites } => {
            let sign = if *overwrites { '~' } else { '+' };
            format!("{sign} {store}/{key} ({size}) from {from}")
        }
    }
}

fn operation_json(operation: &Operation) -> serde_json::Value {
    let Operation {
        action,
        store,
        key,
        size,
    } = operation;
    let (name, from) = match action {
        Action::Create => ("create", None),
        Action::Overwrite => ("overwrite", None),
        Action::Delete => ("delete", None),
        Action::Copy {
            from,
            overwrites: false,
        } => ("create", Some(from)),
        Action::Copy {
            from,
            overwrites: true,
        } => ("overwrite", Some(from)),
    };
    let mut object = json!({ "action": name, "store": store, "key": key, "size": size });
    if let Some(from) = from {
        object["from"] = from.clone().into();
    }
    object
}
