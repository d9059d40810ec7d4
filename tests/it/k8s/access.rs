//! Who asks, what that may do, and whom it reaches.

use kstate::store::k8s::Clients;
use kstate::store::{ErrorKind, WriteOptions};

use super::{NAMESPACE, env_of, open, open_with, put, quick, read, scene, url, write};
use crate::k8s_double::K8sDouble;
use crate::support::Desk;

#[tokio::test]
async fn a_refusal_names_what_a_role_must_allow() {
    let double = K8sDouble::builder()
        .namespace(NAMESPACE)
        .user("reader", &["get secrets", "list secrets"])
        .user("nobody", &[])
        .start();
    let reader = open(&double, "reader", quick(), "k8s:///state");
    let error = put(&reader, "k", "x", WriteOptions::default()).await;
    let error = error.expect_err("it may not");
    let ErrorKind::PermissionDenied { action, resource } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(action.as_deref(), Some("create secrets"));
    assert_eq!(resource.as_deref(), Some("namespace state"));
    assert!(
        error.to_string().contains("User \"reader\" cannot create"),
        "{error}"
    );
    assert!(
        error
            .hint_text()
            .expect("a hint")
            .contains("verbs: [create]")
    );
    let nobody = open(&double, "nobody", quick(), "k8s:///state");
    let error = read(&nobody, "k").await.expect_err("it may not");
    assert!(error.hint_text().expect("a hint").contains("verbs: [get]"));
}

/// What the printed Role allows is enough, and nothing of it is too much.
#[tokio::test]
async fn the_printed_role_is_what_it_takes() {
    use kstate::store::contract::{self, Options};
    let role: serde_json::Value =
        serde_yaml::from_str(&kstate::store::k8s::rbac(NAMESPACE).expect("a Role")).expect("YAML");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut may = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        for verb in rule["verbs"].as_array().expect("verbs") {
            may.push(format!("{} {}", text(verb), text(&rule["resources"][0])));
        }
    }
    let may: Vec<&str> = may.iter().map(String::as_str).collect();
    let double = K8sDouble::builder()
        .namespace(NAMESPACE)
        .user("kstate", &may)
        .start();
    let store = open(&double, "kstate", quick(), "k8s:///state/x");
    let options = Options {
        large_size: 50_000,
        many: 10,
        racers: 4,
        swappers: 2,
        ..Options::default()
    };
    let report = contract::run(store, options).await;
    assert!(report.passed(), "{report}");
    let desk = Desk::new();
    desk.write("kubeconfig", double.kubeconfig("kstate"));
    super::locks::take_and_break(&desk).await;
    for rule in may {
        let (verb, resource) = rule.split_once(' ').expect("two words");
        assert!(double.count(verb, resource) > 0, "{rule} is not needed");
    }
}

#[tokio::test]
async fn a_token_that_nobody_knows_says_to_log_in() {
    let (double, _) = scene();
    let store = open_with(
        &double.kubeconfig_with("here", "stale"),
        quick(),
        "k8s:///state",
    );
    let error = read(&store, "k").await.expect_err("unauthorized");
    assert!(matches!(error.kind(), ErrorKind::PermissionDenied { .. }));
    assert!(
        error.hint_text().expect("a hint").contains("log in"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("stale"), "{error:?}");
}

/// A program that gives a token which the server soon forgets: it is run again.
#[tokio::test]
async fn a_program_is_asked_again_when_its_token_is_refused() {
    let (double, admin) = scene();
    write(&admin, "k", "1").await;
    let desk = Desk::new();
    desk.write(
        "login",
        format!(
            "#!/bin/sh\nif [ -e {0} ]; then token=token-of-admin; else token=stale; fi\n: > {0}\n\
             echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
             \"status\":{{\"token\":\"'$token'\"}}}}'\n",
            desk.arg("asked")
        ),
    );
    let config = double.kubeconfig("admin");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    config["users"][0]["user"] = serde_json::json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sh",
        "args": [desk.arg("login")],
        "interactiveMode": "Never",
    }});
    let store = open_with(&config.to_string(), quick(), "k8s:///state/x");
    assert_eq!(read(&store, "k").await.expect("the object"), b"1");
}

#[tokio::test]
async fn a_program_that_fails_is_told_without_what_it_printed() {
    let (double, _) = scene();
    let mut config: serde_json::Value =
        serde_json::from_str(&double.kubeconfig("admin")).expect("JSON");
    for (script, told) in [
        ("echo s3cr3t; echo no session >&2; exit 3", "no session"),
        ("echo 's3cr3t: ['", "gives credentials are none"),
    ] {
        config["users"][0]["user"] = serde_json::json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        }});
        let store = open_with(&config.to_string(), quick(), "k8s:///state/x");
        let error = read(&store, "k").await.expect_err("no credentials");
        assert!(error.to_string().contains(told), "{error}");
        let shown = format!("{error:?}").replace(script, "");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[tokio::test]
async fn a_missing_namespace_is_told_with_how_to_make_it() {
    let (double, _) = scene();
    let store = open(&double, "admin", quick(), "k8s:///other");
    let error = put(&store, "k", "x", WriteOptions::default()).await;
    let error = error.expect_err("no namespace");
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(!error.is_missing_key(), "{error}");
    assert!(
        error
            .hint_text()
            .expect("a hint")
            .contains("kubectl create namespace other")
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let config = K8sDouble::builder().start().kubeconfig("admin");
    // Nothing listens there any more.
    let store = open_with(&config, quick(), "k8s:///state");
    let error = read(&store, "k").await.expect_err("nobody is there");
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(
        error
            .to_string()
            .contains("no answer from http://127.0.0.1:"),
        "{error}"
    );
}

#[test]
fn contexts_that_are_not_there_are_told_with_those_that_are() {
    let desk = Desk::new();
    let missing = Clients::with(env_of(&desk), quick()).open(&url("k8s:///state"));
    let error = missing.map(|_| ()).expect_err("no kubeconfig");
    assert!(error.to_string().contains("no kubeconfig"), "{error}");
    desk.write(
        "kubeconfig",
        K8sDouble::builder().start().kubeconfig("admin"),
    );
    let wrong = Clients::with(env_of(&desk), quick()).open(&url("k8s://hero/state"));
    let error = wrong.map(|_| ()).expect_err("no such context");
    assert!(error.to_string().contains("did you mean 'here'"), "{error}");
    desk.write("kubeconfig", "users: [{name: a, user: {token: [s3cr3t]}}]");
    let broken = Clients::with(env_of(&desk), quick()).open(&url("k8s:///state"));
    let error = broken.map(|_| ()).expect_err("a token that is a list");
    assert!(error.to_string().contains("not of this form"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}
