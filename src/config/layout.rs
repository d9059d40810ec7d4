//! What each file below a cluster's folder is.
//!
//! After kOps: `pkg/client/simple/vfsclientset`, `upup/pkg/fi` and etcd-manager's `pkg/backup`.

use serde::Serialize;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The cluster's manifest.
    Config,
    /// An instance group's manifest.
    InstanceGroup,
    /// Objects that the user adds to the cluster.
    ClusterAddons,
    /// The manifest with every default filled in.
    Completed,
    /// The version of kOps that last updated the cluster.
    Version,
    /// An addon, or the list of them.
    Addon,
    /// A pod that runs outside the API server: etcd-manager, channels, health check.
    Manifest,
    /// What the nodes of an instance group are told.
    IgConfig,
    /// A private key.
    PkiPrivate,
    /// A public SSH key.
    SshPublic,
    /// A token or another secret.
    Secret,
    /// `etcd-cluster-created`: without it etcd-manager takes the cluster for new, moves the live
    /// data aside and starts empty.
    EtcdCreated,
    /// `etcd-cluster-spec`: what etcd-manager is to run.
    EtcdSpec,
    /// A command that waits for etcd-manager, such as to restore a backup. It would be carried
    /// out again at a new place.
    BackupCommand,
    /// A backup of etcd.
    BackupData,
    /// What the API server publishes for others to check its tokens.
    Discovery,
    /// A file of kOps before 1.22.
    Legacy,
    /// None of these: `kops delete cluster` would refuse to delete.
    Unknown,
}

/// What is known of a file from its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FileKind {
    /// What it is.
    pub class: Class,
    /// It holds keys, tokens, or the operator's credentials in clear text.
    pub secret: bool,
    /// `kops update cluster --yes` writes it anew.
    pub regenerated: bool,
    /// The location of the store may stand in it.
    pub may_name_store: bool,
}

/// One row: a pattern of path segments, where `*` is any one segment and `**` (last) one or more.
struct Row(&'static str, Class, &'static [Property]);

#[derive(PartialEq)]
enum Property {
    Secret,
    Regenerated,
    NamesStore,
}

use Property::{NamesStore, Regenerated, Secret};

/// The first row that matches counts.
const ROWS: &[Row] = &[
    Row("config", Class::Config, &[NamesStore]),
    Row("instancegroup/*", Class::InstanceGroup, &[]),
    Row("clusteraddons/default", Class::ClusterAddons, &[]),
    Row(
        "cluster-completed.spec",
        Class::Completed,
        &[Regenerated, NamesStore],
    ),
    Row("kops-version.txt", Class::Version, &[Regenerated]),
    Row(
        "addons/bootstrap-channel.yaml",
        Class::Addon,
        &[Regenerated],
    ),
    Row(
        "addons/kops-controller.addons.k8s.io/*",
        Class::Addon,
        &[Secret, Regenerated, NamesStore],
    ),
    Row("addons/**", Class::Addon, &[Regenerated]),
    Row(
        "manifests/etcd/*",
        Class::Manifest,
        &[Secret, Regenerated, NamesStore],
    ),
    Row(
        "manifests/channels/*",
        Class::Manifest,
        &[Secret, Regenerated, NamesStore],
    ),
    Row("manifests/**", Class::Manifest, &[Regenerated]),
    Row(
        "igconfig/*/*/nodeupscript.sh",
        Class::IgConfig,
        &[Secret, Regenerated],
    ),
    Row(
        "igconfig/node/*/nodeupconfig.yaml",
        Class::IgConfig,
        &[Regenerated],
    ),
    Row(
        "igconfig/bastion/*/nodeupconfig.yaml",
        Class::IgConfig,
        &[Regenerated],
    ),
    Row(
        "igconfig/*/*/nodeupconfig.yaml",
        Class::IgConfig,
        &[Regenerated, NamesStore],
    ),
    Row("pki/private/*/keyset.yaml", Class::PkiPrivate, &[Secret]),
    Row("pki/private/**", Class::Legacy, &[Secret]),
    Row("pki/ssh/public/*/*", Class::SshPublic, &[]),
    Row("pki/issued/**", Class::Legacy, &[]),
    Row("secrets/**", Class::Secret, &[Secret]),
    Row(
        "backups/etcd/*/control/etcd-cluster-created",
        Class::EtcdCreated,
        &[],
    ),
    Row(
        "backups/etcd/*/control/etcd-cluster-spec",
        Class::EtcdSpec,
        &[Regenerated],
    ),
    Row(
        "backups/etcd/*/control/*/_command.json",
        Class::BackupCommand,
        &[],
    ),
    Row("backups/**", Class::BackupData, &[Secret]),
    Row("openid/v1/jwks", Class::Discovery, &[Regenerated]),
    Row(
        ".well-known/openid-configuration",
        Class::Discovery,
        &[Regenerated],
    ),
    Row("cluster.spec", Class::Legacy, &[NamesStore]),
];

/// What a file is by its key relative to the cluster's folder.
#[must_use]
pub fn classify(key: &str) -> FileKind {
    let row = ROWS.iter().find(|row| matches(row.0, key));
    let (class, properties) = row.map_or((Class::Unknown, &[][..]), |row| (row.1, row.2));
    FileKind {
        class,
        secret: properties.contains(&Property::Secret),
        regenerated: properties.contains(&Property::Regenerated),
        may_name_store: properties.contains(&Property::NamesStore),
    }
}

fn matches(pattern: &str, key: &str) -> bool {
    let mut segments = key.split('/');
    for wanted in pattern.split('/') {
        match (wanted, segments.next()) {
            ("**", segment) => return segment.is_some(),
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// s: secret, r: regenerated, n: may name the store.
    const FILES: &[(&str, Class, &str)] = &[
        ("config", Class::Config, "n"),
        ("instancegroup/nodes", Class::InstanceGroup, ""),
        ("instancegroup/a/b", Class::Unknown, ""),
        ("clusteraddons/default", Class::ClusterAddons, ""),
        ("cluster-completed.spec", Class::Completed, "rn"),
        ("kops-version.txt", Class::Version, "r"),
        ("addons/bootstrap-channel.yaml", Class::Addon, "r"),
        (
            "addons/coredns.addons.k8s.io/k8s-1.12.yaml",
            Class::Addon,
            "r",
        ),
        (
            "addons/kops-controller.addons.k8s.io/k8s-1.16.yaml",
            Class::Addon,
            "srn",
        ),
        ("manifests/etcd/main-a.yaml", Class::Manifest, "srn"),
        (
            "manifests/channels/kops-channels.yaml",
            Class::Manifest,
            "srn",
        ),
        ("manifests/static/x.yaml", Class::Manifest, "r"),
        (
            "igconfig/node/nodes/nodeupconfig.yaml",
            Class::IgConfig,
            "r",
        ),
        (
            "igconfig/control-plane/a/nodeupconfig.yaml",
            Class::IgConfig,
            "rn",
        ),
        ("igconfig/node/k/nodeupscript.sh", Class::IgConfig, "sr"),
        (
            "pki/private/kubernetes-ca/keyset.yaml",
            Class::PkiPrivate,
            "s",
        ),
        ("pki/private/ca/123.key", Class::Legacy, "s"),
        ("pki/issued/ca/123.crt", Class::Legacy, ""),
        ("pki/ssh/public/admin/00ff", Class::SshPublic, ""),
        ("secrets/system:dns", Class::Secret, "s"),
        (
            "backups/etcd/main/control/etcd-cluster-created",
            Class::EtcdCreated,
            "",
        ),
        (
            "backups/etcd/main/control/etcd-cluster-spec",
            Class::EtcdSpec,
            "r",
        ),
        (
            "backups/etcd/main/control/T-000000/_command.json",
            Class::BackupCommand,
            "",
        ),
        (
            "backups/etcd/main/T-000001/etcd.backup.gz",
            Class::BackupData,
            "s",
        ),
        ("openid/v1/jwks", Class::Discovery, "r"),
        (".well-known/openid-configuration", Class::Discovery, "r"),
        ("cluster.spec", Class::Legacy, "n"),
        ("config.bak", Class::Unknown, ""),
        ("secrets", Class::Unknown, ""),
        (".kstate.lock", Class::Unknown, ""),
    ];

    #[test]
    fn knows_every_kind_of_file() {
        for (key, class, properties) in FILES {
            let kind = classify(key);
            let found: String = [
                (kind.secret, 's'),
                (kind.regenerated, 'r'),
                (kind.may_name_store, 'n'),
            ]
            .into_iter()
            .filter_map(|(is_so, letter)| is_so.then_some(letter))
            .collect();
            assert_eq!((kind.class, found.as_str()), (*class, *properties), "{key}");
        }
    }

    #[test]
    fn knows_every_file_that_kops_wrote() {
        let fixture = crate::fixture::objects().unwrap_or_default();
        for (key, bytes) in fixture.into_iter().chain(crate::fixture::sample()) {
            let (cluster, file) = key.split_once('/').expect("below a cluster");
            let kind = classify(file);
            assert_ne!(kind.class, Class::Unknown, "{key}");
            let text = String::from_utf8_lossy(&bytes);
            let names_store = text.contains(&format!("state-store/{cluster}"));
            assert!(!names_store || kind.may_name_store, "{key} names the store");
            let has_key = text.contains("privateMaterial");
            assert!(!has_key || kind.secret, "{key} holds a key");
        }
    }
}
