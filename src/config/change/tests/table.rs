//! The table of kOps's path language (its `--set` and `--unset`), row by row: what is the same here,
//! and what is not.

use super::*;

#[test]
fn lists_as_in_the_table_of_kops() {
    let ssh = "spec.sshAccess";
    let requests = "spec.etcdClusters[*].cpuRequest";
    check(&[
        // Appended there; `=` replaces here, and `+=` appends.
        (&["spec.sshAccess=1.2.3.4/32"], ssh, r#"["1.2.3.4/32"]"#),
        (
            &["spec.sshAccess+=1.2.3.4/32"],
            ssh,
            r#"["0.0.0.0/0","::/0","1.2.3.4/32"]"#,
        ),
        // Only in quotes there, for CSV.
        (
            &["spec.sshAccess=::1/128,::2/128"],
            ssh,
            r#"["::1/128","::2/128"]"#,
        ),
        // The idiom for replacing.
        (
            &["unset spec.sshAccess", "spec.sshAccess=1.1.1.1/32"],
            ssh,
            r#"["1.1.1.1/32"]"#,
        ),
        // By index; one behind the end appends.
        (&["spec.sshAccess[0]=::1/128"], ssh, r#"["::1/128","::/0"]"#),
        (
            &["spec.sshAccess[2]=::1/128"],
            ssh,
            r#"["0.0.0.0/0","::/0","::1/128"]"#,
        ),
        (
            &["spec.sshAccess[+]=::1/128"],
            ssh,
            r#"["0.0.0.0/0","::/0","::1/128"]"#,
        ),
        // A wildcard.
        (
            &["spec.etcdClusters[*].cpuRequest=150m"],
            requests,
            r#""150m" "150m""#,
        ),
        // Elements by a field: no way to say it there.
        (
            &["spec.etcdClusters[name=main].cpuRequest=1"],
            requests,
            r#""1" "100m""#,
        ),
    ]);
    let (message, _) = refusal(&["spec.sshAccess[5]=::1/128"]);
    assert!(message.contains("has no element [5]"), "{message}");
    let (message, _) = refusal(&["spec.sshAccess[-1]=::1/128"]);
    assert!(message.contains("column 16"), "{message}");
}

#[test]
fn maps_as_in_the_table_of_kops() {
    let labels = "spec.cloudLabels";
    check(&[
        // The same with `+=`; `=` replaces here as it does everywhere.
        (
            &["spec.cloudLabels+=foo=bar", "spec.cloudLabels+=baz=q"],
            labels,
            r#"{"baz":"q","foo":"bar","team":"a"}"#,
        ),
        (&["spec.cloudLabels=foo=bar"], labels, r#"{"foo":"bar"}"#),
        // One key of it: not found there.
        (
            &["spec.cloudLabels.foo=1"],
            labels,
            r#"{"foo":"1","team":"a"}"#,
        ),
        (
            &["spec.kubelet.featureGates+=A=true"],
            "spec.kubelet.featureGates",
            r#"{"A":"true"}"#,
        ),
        (
            &["metadata.annotations+=a=b"],
            "metadata.annotations",
            r#"{"a":"b"}"#,
        ),
    ]);
}

#[test]
fn the_rest_as_in_the_table_of_kops() {
    let channel = "spec.channel";
    check(&[
        // Another name is written here, and refused by the validation, which knows the old one.
        (&["metadata.name=foo"], "metadata.name", r#""foo""#),
        // An empty struct, an empty string.
        (
            &["spec.networking.calico="],
            "spec.networking",
            r#"{"calico":{}}"#,
        ),
        (&["spec.channel="], channel, r#""""#),
        // The kind before the path, and another separator.
        (&["cluster.spec.channel=alpha"], channel, r#""alpha""#),
        (&["spec/channel=alpha"], channel, r#""alpha""#),
        // Names of both APIs, for unset too.
        (
            &["unset spec.networking.subnets[name=a].zone"],
            "spec.subnets[0]",
            r#"{"name":"a"}"#,
        ),
        (
            &["spec.masterPublicName=a.b"],
            "spec.masterPublicName",
            r#""a.b""#,
        ),
        (
            &["spec.api.publicName=a.b", "unset spec.masterPublicName"],
            "spec.masterPublicName",
            "",
        ),
        // Several in one: CSV there, and not to be told from a value with a comma.
        (
            &["string spec.channel=a,spec.project=b"],
            channel,
            r#""a,spec.project=b""#,
        ),
    ]);
    let (message, hint) = refusal(&["spec.channel=alpha,spec.kubernetesVersion=1.31.0"]);
    assert!(
        message.contains("'spec.kubernetesVersion' is another change"),
        "{message}"
    );
    assert!(hint.contains("once for each"), "{hint}");
    assert!(
        refusal(&["spec.kubernetesVersion"])
            .0
            .contains("has no '='")
    );
    assert!(refusal(&["=x"]).0.contains("names no field"));
    let (message, hint) = refusal(&["spec.KubernetesVersion=1"]);
    assert!(
        message.contains("has no field spec.KubernetesVersion"),
        "{message}"
    );
    assert_eq!(hint, "did you mean spec.kubernetesVersion?");
    let (message, _) = refusal(&["spec.kubelet.anonymousAuth=maybe"]);
    assert!(message.contains("must be a boolean"), "{message}");
}
