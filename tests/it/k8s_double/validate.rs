//! What the API server checks before it stores an object (k8s.io/kubernetes/pkg/apis/core/validation
//! and k8s.io/apimachinery/pkg/api/validation).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::answer::{Answer, invalid, status};

/// `MaxSecretSize`.
const MAX_SECRET: usize = 1 << 20;
/// `TotalAnnotationSizeLimitB`.
const MAX_ANNOTATIONS: usize = 256 << 10;
/// etcd's `--max-request-bytes`.
const MAX_ETCD: usize = 1_572_864;

pub(super) fn kind_of(resource: &str) -> &'static str {
    match resource {
        "leases" => "Lease",
        _ => "Secret",
    }
}

/// Checks an object to be stored, beside the one that it replaces.
pub(super) fn check(resource: &str, object: &Value, old: Option<&Value>) -> Result<(), Answer> {
    let kind = kind_of(resource);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let bad = |field: &str, why: &str| Err(invalid(kind, name, field, why));
    if !is_subdomain(name) {
        return bad(
            "metadata.name",
            "Invalid value: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
        );
    }
    for (key, value) in entries(&object["metadata"]["labels"]) {
        if !is_qualified(key) || !value.as_str().is_some_and(is_label) {
            return bad(
                "metadata.labels",
                "Invalid value: must be no more than 63 characters and a valid label",
            );
        }
    }
    let mut annotations = 0;
    for (key, value) in entries(&object["metadata"]["annotations"]) {
        let Some(text) = value.as_str().filter(|_| is_qualified(&key.to_lowercase())) else {
            return bad(
                "metadata.annotations",
                "Invalid value: must be a qualified name with a text",
            );
        };
        annotations += key.len() + text.len();
    }
    if annotations > MAX_ANNOTATIONS {
        return bad(
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        );
    }
    let bytes = if resource == "secrets" {
        check_secret(object, old, &bad)?
    } else {
        check_lease(object, &bad)?;
        0
    };
    if bytes + annotations > MAX_ETCD {
        let message = "etcdserver: request is too large";
        return Err(status(500, "InternalError", message, &Value::Null));
    }
    Ok(())
}

type Bad<'a> = dyn Fn(&str, &str) -> Result<(), Answer> + 'a;

/// Gives the size of the data in bytes.
fn check_secret(object: &Value, old: Option<&Value>, bad: &Bad<'_>) -> Result<usize, Answer> {
    let mut total = 0;
    for (key, value) in entries(&object["data"]) {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if key.is_empty() || key.len() > 253 || !key.chars().all(is_good) {
            bad(
                "data",
                "Invalid value: a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            )?;
        }
        let bytes = value
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        let Some(bytes) = bytes else {
            let message =
                "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data";
            return Err(super::answer::bad_request(message));
        };
        total += bytes.len();
    }
    if total > MAX_SECRET {
        bad("data", "Too long: may not be more than 1048576 bytes")?;
    }
    if let Some(old) = old {
        if old["type"] != object["type"] {
            bad("type", "Invalid value: field is immutable")?;
        }
        if old["immutable"] == true && old["data"] != object["data"] {
            bad(
                "data",
                "Forbidden: field is immutable when `immutable` is set",
            )?;
        }
    }
    Ok(total)
}

fn check_lease(object: &Value, bad: &Bad<'_>) -> Result<(), Answer> {
    let spec = &object["spec"];
    let number = |field: &str| spec[field].as_i64();
    if number("leaseDurationSeconds").is_some_and(|seconds| seconds <= 0) {
        bad(
            "spec.leaseDurationSeconds",
            "Invalid value: must be greater than 0",
        )?;
    }
    if number("leaseTransitions").is_some_and(|count| count < 0) {
        bad(
            "spec.leaseTransitions",
            "Invalid value: must be greater than or equal to 0",
        )?;
    }
    for field in LEASE_TIMES {
        let time = spec[field].as_str().and_then(micro_time);
        if !spec[field].is_null() && time.is_none() {
            let message = format!(
                "Lease in version \"v1\" cannot be handled as a Lease: parsing time {}",
                spec[field]
            );
            return Err(super::answer::bad_request(&message));
        }
    }
    Ok(())
}

pub(super) const LEASE_TIMES: [&str; 2] = ["acquireTime", "renewTime"];

/// A `MicroTime` as the server writes it, in UTC, where it may come in any zone.
pub(super) fn micro_time(text: &str) -> Option<String> {
    let micro = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]\
         [offset_hour sign:mandatory]:[offset_minute]"
    );
    let zoned = match text.strip_suffix('Z') {
        Some(start) => format!("{start}+00:00"),
        None => text.to_owned(),
    };
    let time = OffsetDateTime::parse(&zoned, micro).ok()?;
    let utc = time.to_offset(UtcOffset::UTC).format(micro).ok()?;
    Some(utc.replace("+00:00", "Z"))
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flatten()
}

fn is_subdomain(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.chars().all(is_good)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// The name part of a label's key, or its value.
fn is_label(text: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends_well = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(is_good)
        && ends_well(text.chars().next())
        && ends_well(text.chars().next_back())
}

fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && !name.is_empty() && is_label(name),
        None => !key.is_empty() && is_label(key),
    }
}
