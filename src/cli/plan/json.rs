//! A plan for programs. The fields are described in `docs/plans.md`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::view::View;
use crate::session::plan::summary::{Group, ObjectSummary, effect};
use crate::session::plan::{Expects, PlannedChange, Step};
use crate::text::is_unseen;

/// One line of JSON.
pub(super) fn render(view: &View) -> String {
    let origin = &view.plan.origin;
    let stores: Vec<Value> = view
        .summary
        .stores
        .iter()
        .map(|store| {
            let groups: Vec<_> = store
                .groups
                .iter()
                .map(|group| group_json(view, group))
                .collect();
            json!({
                "url": view.url(store.store),
                "options": view.options(store.store),
                "clusters": groups,
                "totals": store.totals,
            })
        })
        .collect();
    let locks: Vec<Value> = view
        .plan
        .locks
        .iter()
        .map(|lock| json!({ "store": view.url(lock.store), "name": lock.name }))
        .collect();
    let value = json!({
        "id": origin.id,
        "kstate": origin.kstate,
        "created": origin.created,
        "who": origin.who,
        "script": view.script(),
        "script_sha256": origin.script_sha256,
        "args": view.args(),
        "masked": !view.detail.show_secrets,
        "totals": view.summary.totals,
        "stores": stores,
        "locks": locks,
        "observed": {
            "objects": view.plan.observed.objects.len(),
            "listings": view.plan.observed.listings.len(),
        },
    });
    escaped(&value.to_string())
}

fn group_json(view: &View, group: &Group) -> Value {
    let objects: Vec<Value> = group
        .objects
        .iter()
        .map(|object| {
            let steps: Vec<_> = object
                .steps
                .iter()
                .map(|at| step_json(view, object, *at))
                .collect();
            json!({
                "key": object.key,
                "effect": object.net,
                "secret": object.is_secret,
                "steps": steps,
            })
        })
        .collect();
    json!({ "cluster": group.cluster, "objects": objects, "totals": group.totals })
}

fn step_json(view: &View, object: &ObjectSummary, at: usize) -> Value {
    let step = &view.plan.steps[at];
    let mut value = json!({
        "step": at,
        "after": step.after,
        "effect": effect(step),
        "expects": expects_json(view, object, step),
        "size_before": step.size_before,
    });
    match &step.change {
        PlannedChange::Write {
            size, content_type, ..
        } => {
            value["size"] = (*size).into();
            value["sha256"] = view.hash(object, step).into();
            value["content_type"] = content_type.clone().into();
            let user = view.user(step).into_iter();
            value["user"] = user
                .map(|(name, value)| (name, Value::from(value)))
                .collect();
        }
        PlannedChange::Copy { size, .. } => {
            value["size"] = (*size).into();
            value["from"] = view.source(step).into();
        }
        PlannedChange::Delete => {}
    }
    value["diff"] = json!(view.difference(object, step));
    value
}

/// What must be there when the step begins.
fn expects_json(view: &View, object: &ObjectSummary, step: &Step) -> Value {
    match &step.expects {
        Expects::Tag(_) if !view.shows_version(object, step) => json!({ "tag": null }),
        expects => json!(expects),
    }
}

/// The same JSON in one line, with escapes for what isn't seen.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if is_unseen(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}
