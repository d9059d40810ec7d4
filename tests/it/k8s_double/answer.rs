//! What is answered: objects, and Statuses in the words of the real server.

use serde_json::{Value, json};

/// An HTTP status and a JSON body.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn new(code: u16, body: Value) -> Self {
        Self { code, body }
    }
}

/// A failure, as a Status.
pub(super) fn status(code: u16, reason: &str, message: &str, details: &Value) -> Answer {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    });
    Answer { code, body }
}

fn about(resource: &str, name: &str) -> Value {
    let group = group_of(resource);
    match (group, name) {
        ("", "") => json!({"kind": resource}),
        ("", name) => json!({"name": name, "kind": resource}),
        (group, name) => json!({"name": name, "group": group, "kind": resource}),
    }
}

pub(super) fn group_of(resource: &str) -> &'static str {
    match resource {
        "leases" => "coordination.k8s.io",
        _ => "",
    }
}

/// The resource as messages name it.
fn qualified(resource: &str) -> String {
    match group_of(resource) {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    }
}

pub(super) fn not_found(resource: &str, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", qualified(resource));
    status(404, "NotFound", &message, &about(resource, name))
}

pub(super) fn already_exists(resource: &str, name: &str) -> Answer {
    let message = format!("{} \"{name}\" already exists", qualified(resource));
    status(409, "AlreadyExists", &message, &about(resource, name))
}

pub(super) fn conflict(resource: &str, name: &str, why: &str) -> Answer {
    let message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": {why}",
        qualified(resource)
    );
    status(409, "Conflict", &message, &about(resource, name))
}

pub(super) fn invalid(kind: &str, name: &str, field: &str, why: &str) -> Answer {
    let message = format!("{kind} \"{name}\" is invalid: {field}: {why}");
    let details = json!({
        "name": name,
        "kind": kind,
        "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field}],
    });
    status(422, "Invalid", &message, &details)
}

pub(super) fn bad_request(message: &str) -> Answer {
    status(400, "BadRequest", message, &Value::Null)
}

pub(super) fn unauthorized() -> Answer {
    status(401, "Unauthorized", "Unauthorized", &Value::Null)
}

pub(super) fn forbidden(
    user: &str,
    verb: &str,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Answer {
    let what = match name {
        "" => qualified(resource),
        name => format!("{} \"{name}\"", qualified(resource)),
    };
    let message = format!(
        "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \
         \"{}\" in the namespace \"{namespace}\"",
        group_of(resource)
    );
    status(403, "Forbidden", &message, &about(resource, name))
}

pub(super) fn expired(token: &str) -> Answer {
    let message = "The provided continue parameter is too old to display a consistent list \
         result. You can start a new list without the continue parameter, or use the continue \
         token in this response to retrieve the remainder of the results. Continuing with the \
         provided token results in an inconsistent list - objects that were created, modified, or \
         deleted between the time the first chunk was returned and now may show up in the list.";
    let mut answer = status(410, "Expired", message, &Value::Null);
    answer.body["metadata"] = json!({"continue": token});
    answer
}

pub(super) fn deleted(resource: &str, name: &str, uid: &Value) -> Answer {
    let mut details = about(resource, name);
    details["uid"] = uid.clone();
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    });
    Answer::new(200, body)
}
