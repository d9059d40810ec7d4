//! What a client asks first: which APIs there are. Enough for kubectl.

use serde_json::{Value, json};

/// The document at a path, if it is one of these.
pub(super) fn document(path: &str) -> Option<Value> {
    let resource = |name: &str, kind: &str| {
        json!({
            "name": name,
            "singularName": kind.to_lowercase(),
            "namespaced": true,
            "kind": kind,
            "verbs": ["create", "delete", "get", "list", "update"],
        })
    };
    let resources = |version: &str, list: Value| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": version,
            "resources": list,
        })
    };
    let version = json!({"groupVersion": "coordination.k8s.io/v1", "version": "v1"});
    Some(match path {
        "/version" => json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0"}),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [{
                "name": "coordination.k8s.io",
                "versions": [version],
                "preferredVersion": version,
            }],
        }),
        "/api/v1" => resources("v1", json!([resource("secrets", "Secret")])),
        "/apis/coordination.k8s.io/v1" => resources(
            "coordination.k8s.io/v1",
            json!([resource("leases", "Lease")]),
        ),
        _ => return None,
    })
}
