//! Whether an object has only fields that kOps knows, holding what they should.

use serde_yaml::Value;

use super::cluster::short;
use super::report::{Report, Severity, at};
use crate::config::fields::{
    self, Field, Kind, Problem, Refusal, Type, boolean_word, from_internal, known_version, misfits,
    nearest, words,
};
use crate::merge::document::{Document, Path, Step};

/// Checks the version, the kind and each field. `false` when the rest makes no sense of it.
pub(super) fn check(report: &mut Report<'_>, kind: Kind) -> bool {
    let object = report.object;
    let root = object.get(&[]).filter(|value| value.is_mapping());
    let Some(root) = root else {
        report.error(&Path::default(), format!("holds no {kind}"));
        return false;
    };
    match object.text(&["kind"]) {
        Some(found) if found == kind.name() => {}
        Some(found) if found.eq_ignore_ascii_case(kind.name()) => {
            let message = format!("kind is '{}', which kOps doesn't know", short(found));
            report.error_with(&at(&["kind"]), message, format!("write {kind}"));
            return false;
        }
        Some(found) => {
            let message = format!("is a {}, not a {kind}", short(found));
            report.error(&at(&["kind"]), message);
            return false;
        }
        None => {
            report.error(&at(&["kind"]), "kind is missing");
            return false;
        }
    }
    let version = object.text(&["apiVersion"]).map(known_version);
    let missing = || Refusal::new("apiVersion is missing").hint("write kops.k8s.io/v1alpha2");
    if let Err(refusal) = version.unwrap_or_else(|| Err(missing())) {
        let Refusal { message, hint } = refusal;
        report.push(Severity::Error, &at(&["apiVersion"]), message, hint);
        return false;
    }
    super::check_name(report);
    for misfit in misfits(Field::root(kind), root, &Path::default(), report.room()) {
        match misfit.problem {
            Problem::Unknown => unknown(report, kind, &misfit.path),
            Problem::Wrong(refusal) => wrong(report, kind, &misfit.path, refusal),
        }
    }
    for path in words(Field::root(kind), root, report.room()) {
        if is_plain(object.document, object.part, &path) {
            report.error_with(
                &path,
                format!("{path} is no string to kOps, which reads YAML 1.1"),
                "put it in quotes".to_owned(),
            );
        }
    }
    true
}

fn unknown(report: &mut Report<'_>, kind: Kind, path: &Path) {
    let message =
        format!("kOps 1.37 knows no field {path} of {kind} and drops it when it writes the file");
    let hint = match from_internal(kind, path) {
        Some(stored) => Some(format!("in v1alpha2 it is {stored}")),
        None => nearest(kind, path).map(|near| format!("did you mean {near}?")),
    };
    report.key_error(path, message, hint);
}

fn wrong(report: &mut Report<'_>, kind: Kind, path: &Path, refusal: Refusal) {
    let object = report.object;
    let value = object.document.get(object.part, path);
    let is_boolean = fields::field(kind, path).is_some_and(|field| field.holds() == Type::Boolean);
    let meant = value.and_then(Value::as_str).and_then(boolean_word);
    if let (true, Some(meant)) = (is_boolean, meant)
        && is_plain(object.document, object.part, path)
    {
        let message =
            format!("{path} is {meant} to kOps, which reads YAML 1.1, but a string to most");
        report.push(Severity::Warning, path, message, refusal.hint);
        return;
    }
    let moved = value
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten()
        .find_map(|(key, _)| {
            let inner = path.then(Step::Key(key.as_str()?.to_owned()));
            let stored = from_internal(kind, &inner)?;
            Some(format!("in v1alpha2 {inner} is {stored}"))
        });
    report.push(
        Severity::Error,
        path,
        format!("{path} {}", refusal.message),
        moved.or(refusal.hint),
    );
}

/// Whether a scalar stands in the text without quotes, tag or anchor.
fn is_plain(document: &Document, part: usize, path: &Path) -> bool {
    let (line, column) = document.position(part, path);
    let line = document.text().lines().nth(line - 1).unwrap_or_default();
    let line = line.trim_start_matches('\u{feff}');
    let first = line.chars().nth(column - 1);
    first.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-'))
}
