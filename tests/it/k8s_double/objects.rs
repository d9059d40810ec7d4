//! The verbs: get, list, create, update and delete, each in one step.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::{
    Answer, already_exists, bad_request, conflict, deleted, expired, group_of, not_found,
};
use super::selector::Selector;
use super::state::State;
use super::validate::{LEASE_TIMES, check, kind_of, micro_time};

/// What a request is about.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest \
     version and try again";

fn api_version(resource: &str) -> String {
    match group_of(resource) {
        "" => "v1".to_owned(),
        group => format!("{group}/v1"),
    }
}

pub(super) fn get(state: &State, target: Target<'_>) -> Answer {
    match state.get(target.resource, target.namespace, target.name) {
        Some(object) => Answer::new(200, (**object).clone()),
        None => not_found(target.resource, target.name),
    }
}

/// The object in a body, as its place makes it.
fn decode(target: Target<'_>, body: &[u8]) -> Result<Value, Answer> {
    let mut object: Value = serde_json::from_slice(body)
        .map_err(|error| bad_request(&format!("the object provided is unrecognized: {error}")))?;
    let (kind, version) = (kind_of(target.resource), api_version(target.resource));
    // What isn't said is what the place is for.
    let is_other = |field: &Value, wanted: &str| !field.is_null() && field != wanted;
    if is_other(&object["kind"], kind) || is_other(&object["apiVersion"], &version) {
        let message = format!("the object provided is unrecognized: want {version} {kind}");
        return Err(bad_request(&message));
    }
    let namespace = &object["metadata"]["namespace"];
    if !namespace.is_null() && namespace != target.namespace {
        let message =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(bad_request(message));
    }
    object["kind"] = kind.into();
    object["apiVersion"] = version.into();
    for field in LEASE_TIMES {
        if let Some(time) = object["spec"][field].as_str().and_then(micro_time) {
            object["spec"][field] = time.into();
        }
    }
    if target.resource == "secrets" && object["type"].is_null() {
        object["type"] = "Opaque".into();
    }
    Ok(object)
}

pub(super) fn create(state: &mut State, target: Target<'_>, body: &[u8]) -> Answer {
    let object = match decode(target, body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    let version = &object["metadata"]["resourceVersion"];
    if version.as_str().is_some_and(|version| !version.is_empty()) {
        return bad_request("resourceVersion should not be set on objects to be created");
    }
    if !state.namespaces.contains(target.namespace) {
        return not_found("namespaces", target.namespace);
    }
    if let Err(answer) = check(target.resource, &object, None) {
        return answer;
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if state.get(target.resource, target.namespace, name).is_some() {
        return already_exists(target.resource, name);
    }
    let stored = state.put(target.resource, target.namespace, object);
    Answer::new(201, (*stored).clone())
}

pub(super) fn update(state: &mut State, target: Target<'_>, body: &[u8]) -> Answer {
    let Target {
        resource,
        namespace,
        name,
    } = target;
    let object = match decode(target, body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    let metadata = &object["metadata"];
    if metadata["name"] != name {
        return bad_request("the name of the object does not match the name on the URL");
    }
    let old = state.get(resource, namespace, name).cloned();
    let uid = metadata["uid"].as_str().filter(|uid| !uid.is_empty());
    let found = old.as_ref().and_then(|old| old["metadata"]["uid"].as_str());
    if let Some(uid) = uid
        && found != Some(uid)
    {
        let why = format!(
            "StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed: UID \
             in precondition: {uid}, UID in object meta: {}",
            found.unwrap_or_default()
        );
        return conflict(resource, name, &why);
    }
    let Some(old) = old else {
        return not_found(resource, name);
    };
    let version = metadata["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && old["metadata"]["resourceVersion"] != version {
        return conflict(resource, name, MODIFIED);
    }
    if version.is_empty() && resource == "leases" {
        return super::answer::invalid(
            "Lease",
            name,
            "metadata.resourceVersion",
            "Invalid value: 0x0: must be specified for an update",
        );
    }
    if let Err(answer) = check(resource, &object, Some(&old)) {
        return answer;
    }
    let stored = state.put(resource, namespace, object);
    Answer::new(200, (*stored).clone())
}

pub(super) fn delete(state: &mut State, target: Target<'_>, body: &[u8]) -> Answer {
    let Target {
        resource,
        namespace,
        name,
    } = target;
    let options: Value = match body {
        [] => Value::Null,
        body => match serde_json::from_slice(body) {
            Ok(options) => options,
            Err(error) => return bad_request(&error.to_string()),
        },
    };
    let Some(old) = state.get(resource, namespace, name).cloned() else {
        return not_found(resource, name);
    };
    for (field, precondition, label) in [
        ("uid", "uid", "UID"),
        ("resourceVersion", "resourceVersion", "ResourceVersion"),
    ] {
        let wanted = &options["preconditions"][precondition];
        let found = &old["metadata"][field];
        if !wanted.is_null() && wanted != found {
            let why = format!(
                "Precondition failed: {label} in precondition: {wanted}, {label} in object meta: \
                 {found}"
            );
            return conflict(resource, name, &why);
        }
    }
    state.remove(resource, namespace, name);
    deleted(resource, name, &old["metadata"]["uid"])
}

/// A page of a listing as of the moment when it began.
pub(super) fn list(
    state: &mut State,
    target: Target<'_>,
    query: &HashMap<String, String>,
) -> Answer {
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let selector = match Selector::parse(text("labelSelector")) {
        Ok(selector) => selector,
        Err(why) => return bad_request(&why),
    };
    let limit: usize = match text("limit").parse() {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let (version, start, all) = match text("continue") {
        "" => {
            let all = state.list(target.resource, target.namespace);
            let all: Vec<Arc<Value>> = all.cloned().collect();
            (state.version(), String::new(), all)
        }
        token => {
            let Some((version, start)) = parse_token(token) else {
                return bad_request("continue key is not valid: illegal base64 data");
            };
            match state.moment(version) {
                Some(all) => (version, start, all.clone()),
                None => return expired(&make_token(state.version(), &start)),
            }
        }
    };
    let name = |object: &Value| {
        object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut items = Vec::new();
    let mut token = String::new();
    for object in &all {
        if !start.is_empty() && name(object) < start || !selector.matches(object) {
            continue;
        }
        if items.len() == limit {
            token = make_token(version, &name(object));
            break;
        }
        let mut item = (**object).clone();
        // Items of typed lists don't say what they are.
        if let Some(item) = item.as_object_mut() {
            item.remove("kind");
            item.remove("apiVersion");
        }
        items.push(item);
    }
    if !token.is_empty() && text("continue").is_empty() {
        state.remember(all);
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !token.is_empty() {
        metadata["continue"] = token.into();
    }
    let body = json!({
        "kind": format!("{}List", kind_of(target.resource)),
        "apiVersion": api_version(target.resource),
        "metadata": metadata,
        "items": items,
    });
    Answer::new(200, body)
}

fn make_token(version: u64, start: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
    BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

fn parse_token(token: &str) -> Option<(u64, String)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let token: Value = serde_json::from_slice(&bytes).ok()?;
    Some((token["rv"].as_u64()?, token["start"].as_str()?.to_owned()))
}

/// Leaves the metadata alone, as `as=PartialObjectMetadata` asks for.
pub(super) fn only_metadata(body: &Value) -> Value {
    let partial = |object: &Value| {
        json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        })
    };
    match body["items"].as_array() {
        Some(items) => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": body["metadata"],
            "items": items.iter().map(partial).collect::<Vec<_>>(),
        }),
        None => partial(body),
    }
}
