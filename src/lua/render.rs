//! How a script's failure looks on a terminal.

use std::collections::HashMap;
use std::fmt::Write;

use super::error::ScriptError;
use super::traceback;
use crate::config::mask::mask;
use crate::text::visible_lines;

/// The message, the line of the script, the causes, the calls and the hint. Ends in a newline.
pub(super) fn render(error: &ScriptError, sources: &HashMap<String, String>) -> String {
    let full = error.to_string();
    let position = traceback::position(&full);
    let from_message = known(position, sources);
    // The position before Lua's own messages is shown below, with the line.
    let message = match position {
        Some((name, line)) if from_message.is_some() => full
            .strip_prefix(&format!("{name}:{line}: "))
            .unwrap_or(&full),
        _ => &full,
    };
    let innermost = error.traceback().and_then(|trace| {
        trace
            .lines()
            .find_map(|line| known(traceback::position(line), sources))
    });
    let mut text = format!("error: {}\n", mask(message));
    // A refusal says all that the person needs; where in the script it stands tells nothing.
    let is_refusal = error.kind() == "refused";
    if let Some((name, line)) = from_message.or(innermost).filter(|_| !is_refusal) {
        excerpt(&mut text, name, line, sources);
    }
    let mut cause = error.cause();
    while let Some(beneath) = cause {
        line(
            &mut text,
            &format!("caused by: {}", mask(&beneath.to_string())),
        );
        cause = beneath.cause();
    }
    if let Some(trace) = error.traceback().filter(|_| !is_refusal) {
        line(&mut text, "called from:");
        for call in trace.lines() {
            line(&mut text, &format!("  {call}"));
        }
    }
    if let Some(hint) = hint(error) {
        line(&mut text, &format!("\nhint: {}", mask(hint)));
    }
    visible_lines(&text).into_owned()
}

/// The nearest hint on the way to the cause.
fn hint(error: &ScriptError) -> Option<&str> {
    error.hint_text().or_else(|| error.cause().and_then(hint))
}

/// A position in a script that we have. Lua shortens long names at the front (`...ts/x.lua`).
fn known<'a>(
    position: Option<(&str, usize)>,
    sources: &'a HashMap<String, String>,
) -> Option<(&'a str, usize)> {
    let (name, line) = position?;
    let is_it = |full: &&String| match name.strip_prefix("...") {
        Some(end) => full.ends_with(end),
        None => *full == name,
    };
    sources.keys().find(is_it).map(|full| (full.as_str(), line))
}

fn excerpt(text: &mut String, name: &str, number: usize, sources: &HashMap<String, String>) {
    line(text, &format!("  --> {name}:{number}"));
    let source = sources
        .get(name)
        .and_then(|source| source.lines().nth(number.checked_sub(1)?));
    if let Some(source) = source {
        let margin = " ".repeat(number.to_string().len());
        line(text, &format!(" {margin} |"));
        line(text, &format!(" {number} | {}", source.trim_end()));
        let indent = source.len() - source.trim_start().len();
        let carets = "^".repeat(source.trim().chars().count().max(1));
        let (pad, _) = source.split_at(indent);
        line(text, &format!(" {margin} | {pad}{carets}"));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
