//! Where a cluster keeps its keys and its state.

use super::cluster::short;
use super::report::{Report, at};
use crate::config::SCHEMES;
use crate::store::split_authority;
use crate::text::did_you_mean;

/// The form of `spec.configBase`; which tree that is, is looked at where the store is at hand.
pub(super) fn check(report: &mut Report<'_>) {
    let object = report.object;
    let path = at(&["spec", "configBase"]);
    let Some(base) = object.text(&["spec", "configBase"]) else {
        return;
    };
    if let Err((message, hint)) = form(base) {
        let message = format!("spec.configBase '{}' {message}", short(base));
        report.error_with(&path, message, hint);
        return;
    }
    let last = base.trim_end_matches('/').rsplit('/').next();
    if let Some(name) = object.text(&["metadata", "name"])
        && last != Some(name)
    {
        let message = format!("spec.configBase '{}' doesn't end in {name}", short(base));
        report.warning(&path, message);
    }
}

/// What is wrong with a place, and what to write.
fn form(base: &str) -> Result<(), (String, String)> {
    let example = || "write it like s3://bucket/name.example.com".to_owned();
    let Some((scheme, rest)) = base.split_once("://") else {
        let wrong = || ("is no URL and no absolute path".to_owned(), example());
        return base.starts_with('/').then_some(()).ok_or_else(wrong);
    };
    // kOps reads single files by http, and had keys and secrets in a vault.
    let known = SCHEMES
        .into_iter()
        .filter(|known| !["http", "vault"].contains(known));
    let known: Vec<&str> = known.collect();
    if !known.contains(&scheme) {
        let near = did_you_mean(short(scheme), known.iter().copied());
        let message = format!("is no place for a cluster's state{near}");
        return Err((message, format!("kOps knows {}", known.join(", "))));
    }
    if rest.split('/').any(|segment| segment == "..") {
        return Err(("has a '..' in it".to_owned(), example()));
    }
    if scheme != "file" && split_authority(scheme, rest).0.trim_matches('/').is_empty() {
        return Err(("names no bucket".to_owned(), example()));
    }
    Ok(())
}
