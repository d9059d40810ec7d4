//! kubectl before the Kubernetes double.

use std::process::Command;

use serde_json::Value;

use crate::k8s_double::{Action, Fault, K8sDouble};
use crate::support::{Desk, Ended};

fn kubectl(desk: &Desk, args: &[&str]) -> Ended {
    let mut command = Command::new("kubectl");
    command
        .args(["--kubeconfig", &desk.arg("kubeconfig"), "-n", "state"])
        .args(args)
        .env("HOME", desk.arg(""));
    Ended::of(command)
}

#[ignore = "needs the vendors' clients"]
#[test]
fn kubectl_creates_replaces_lists_and_deletes() {
    let double = K8sDouble::builder().namespace("state").insecure().start();
    let desk = Desk::new();
    desk.write("kubeconfig", double.kubeconfig("admin"));
    let create = |name: &str| {
        let secret = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {"a": "Yg=="},
        });
        desk.write("secret.json", secret.to_string());
        let file = desk.arg("secret.json");
        kubectl(&desk, &["create", "--validate=false", "-f", &file])
    };
    for name in ["one", "two", "three", "four", "five"] {
        create(name).with(0);
    }
    create("one").with(1).says("AlreadyExists");
    create("One").with(1).says("RFC 1123");
    let listed = kubectl(&desk, &["get", "secrets", "--chunk-size=2", "-o", "name"]).with(0);
    assert_eq!(listed.stdout.lines().count(), 5);
    assert_eq!(double.count("list", "secrets"), 3);
    let got = kubectl(&desk, &["get", "secret", "one", "-o", "json"]).with(0);
    let mut object: Value = serde_json::from_str(&got.stdout).expect("JSON");
    assert_eq!(object["data"]["a"], "Yg==");
    object["metadata"]["labels"] = serde_json::json!({"team": "a"});
    desk.write("one.json", object.to_string());
    kubectl(
        &desk,
        &["replace", "--validate=false", "-f", &desk.arg("one.json")],
    )
    .with(0);
    object["data"]["a"] = "Yw==".into();
    desk.write("one.json", object.to_string());
    let stale = kubectl(
        &desk,
        &["replace", "--validate=false", "-f", &desk.arg("one.json")],
    )
    .with(1);
    stale.says("Conflict");
    stale.says("the object has been modified");
    let labelled = kubectl(
        &desk,
        &["get", "secrets", "-l", "team in (a,b)", "-o", "name"],
    );
    assert_eq!(labelled.with(0).stdout, "secret/one\n");
    let weak = double.weak();
    let expire = Action::call(move || weak.expire_tokens());
    double.fault(Fault::on("list", "secrets").nth(2).then(expire));
    // It warns, and lists in one go.
    let listed = kubectl(&desk, &["get", "secrets", "--chunk-size=2", "-o", "name"]);
    assert!(
        listed.code == Some(0) || listed.stderr.contains("Expired"),
        "{listed:?}"
    );
    kubectl(&desk, &["delete", "secret", "one", "--wait=false"]).with(0);
    kubectl(&desk, &["get", "secret", "one"])
        .with(1)
        .says("NotFound");
    kubectl(&desk, &["get", "leases"]).with(0);
    let closed = K8sDouble::builder().namespace("state").start();
    desk.write("kubeconfig", closed.kubeconfig("admin"));
    let forbidden = kubectl(&desk, &["get", "secret", "two"]).with(1);
    forbidden.says("User \"system:anonymous\" cannot get resource \"secrets\"");
}
