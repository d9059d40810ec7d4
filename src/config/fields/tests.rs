use std::collections::BTreeSet;

use proptest::prelude::*;

use super::alias::aliases;
use super::*;

/// `spec.subnets[0].cidr` as a path; `[]` is the index 7 and `*` some key.
pub(super) fn path(text: &str) -> Path {
    let mut steps = Vec::new();
    for name in text.replace('[', ".[").split('.') {
        steps.push(match name {
            "[]" => Step::Index(7),
            "*" => Step::Key("some/key".to_owned()),
            name => match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
                Some(index) => Step::Index(index.parse().expect("an index")),
                None => Step::Key(name.to_owned()),
            },
        });
    }
    Path(steps)
}

pub(super) fn cluster(text: &str) -> Field {
    field(Kind::Cluster, &path(text)).unwrap_or_else(|| panic!("{text}"))
}

/// The rows of a table of expectations: a line each, the columns between bars.
pub(in crate::config) fn rows_of<const N: usize>(table: &str) -> Vec<[&str; N]> {
    let columns = |line| str::split(line, '|').map(str::trim).collect::<Vec<_>>();
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            columns(line)
                .try_into()
                .unwrap_or_else(|_| panic!("{line}"))
        })
        .collect()
}

/// The list that the table was derived from, where it is at hand.
#[expect(clippy::disallowed_methods, reason = "a test reads a list")]
fn rows() -> Option<Vec<(Kind, String, String)>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../shared/fixtures/kops-fields.tsv")).ok()?;
    let row = |line: &str| {
        let mut columns = line.split('\t');
        let kind = columns.next()?.split(' ').next()?;
        let (path, holds) = (columns.next()?, columns.next()?);
        Some((Kind::named(kind)?, path.to_owned(), holds.to_owned()))
    };
    Some(text.lines().filter_map(row).collect())
}

#[test]
fn every_field_of_the_api_is_in_the_table_with_its_type() {
    let Some(rows) = rows() else { return };
    assert_eq!(rows.len(), 1798);
    for (kind, text, raw) in &rows {
        let found = field(*kind, &path(text)).unwrap_or_else(|| panic!("{kind} {text}"));
        let is_good = match raw.as_str() {
            "string" => matches!(found.holds(), Type::String | Type::Duration),
            "boolean" => found.holds() == Type::Boolean,
            "integer:int32" => found.holds() == Type::Int32,
            "integer" | "integer:int64" => found.holds() == Type::Int64,
            "int-or-string" => matches!(found.holds(), Type::IntOrString | Type::Quantity),
            "string:byte" => found.holds() == Type::Bytes,
            "string:date-time" => found.holds() == Type::Time,
            "list" => found.holds() == Type::List,
            "map" => found.holds() == Type::Map,
            "object" => found.holds() == Type::Object,
            other => panic!("{other}"),
        };
        assert!(is_good, "{kind} {text}: {raw}, {:?}", found.holds());
    }
}

#[test]
fn the_table_has_no_other_fields() {
    let Some(rows) = rows() else { return };
    for kind in Kind::ALL {
        let known: BTreeSet<&str> = rows
            .iter()
            .filter(|(of, ..)| *of == kind)
            .map(|(_, path, _)| path.as_str())
            .collect();
        let mut found = BTreeSet::new();
        let spec = field(kind, &path("spec")).expect("a spec");
        below(spec, "spec".to_owned(), &mut found);
        assert_eq!(found.len(), known.len(), "{kind}");
        assert!(found.iter().all(|path| known.contains(path.as_str())));
    }
}

fn below(field: Field, path: String, found: &mut BTreeSet<String>) {
    if let Some(element) = field.element() {
        let mark = if field.holds() == Type::List {
            "[]"
        } else {
            ".*"
        };
        below(element, format!("{path}{mark}"), found);
    }
    for (name, child) in field.fields() {
        below(child, format!("{path}.{name}"), found);
    }
    found.insert(path);
}

#[test]
fn finds_fields_by_their_path() {
    for [text, holds] in rows_of(
        "
        apiVersion | String
        metadata.name | String
        metadata.creationTimestamp | Time
        metadata.labels.kops/x | String
        metadata.managedFields[0].manager | Any
        spec.kubernetesVersion | String
        spec.configStore | String
        spec.etcdClusters | List
        spec.etcdClusters[1] | Object
        spec.etcdClusters[1].etcdMembers[0].volumeSize | Int32
        spec.etcdClusters[0].heartbeatInterval | Duration
        spec.etcdClusters[0].cpuRequest | Quantity
        spec.rollingUpdate.maxSurge | IntOrString
        spec.containerd.configAdditions | Map
        spec.containerd.configAdditions.a | IntOrString
        spec.containerd.registryMirrors.docker | List
        spec.masterKubelet.maxPods | Int32
        spec.kubelet.podPidsLimit | Int64
        spec.kubeAPIServer.eventTTL | Duration
        spec.nodeAuthorization.nodeAuthorizer.timeout | Duration
        spec.cloudConfig.openstack.monitor.timeout | String
        ",
    ) {
        assert_eq!(format!("{:?}", cluster(text).holds()), holds, "{text}");
    }
    for text in [
        "spec.maxPods",
        "spec.KubernetesVersion",
        "spec.kubernetesVersion.x",
        "spec[0]",
        "spec.etcdClusters.name",
        "spec.authorization.rbac.x",
        "status",
        "",
    ] {
        assert!(field(Kind::Cluster, &path(text)).is_none(), "{text}");
    }
    let role = field(Kind::InstanceGroup, &path("spec.role"));
    assert_eq!(role.map(Field::holds), Some(Type::String));
    let key = field(Kind::Keyset, &path("spec.keys[0].privateMaterial"));
    assert_eq!(key.map(Field::holds), Some(Type::Bytes));
    let bastion = cluster("spec.topology.bastion").fields();
    let names: Vec<&str> = bastion.map(|(name, _)| name).collect();
    let expected = ["bastionPublicName", "idleTimeoutSeconds", "loadBalancer"];
    assert_eq!(names, expected);
}

#[test]
fn every_internal_name_leads_to_a_field_and_is_none() {
    for kind in Kind::ALL {
        for (internal, stored) in aliases(kind) {
            assert!(field(kind, &path(internal)).is_none(), "{internal}");
            assert!(field(kind, &path(stored)).is_some(), "{stored}");
            let found = from_internal(kind, &path(internal));
            assert_eq!(found, Some(path(stored)), "{internal}");
        }
    }
}

#[test]
fn internal_names_are_taken_for_those_of_v1alpha2() {
    // Of spec.configStore and spec.cloudProvider only what is below them has another name: in
    // v1alpha2 they are strings.
    for [internal, stored] in rows_of(
        "
        spec.configStore.base | spec.configBase
        spec.configStore | spec.configStore
        spec.cloudProvider | spec.cloudProvider
        spec.networking.topology.dns | spec.topology.dns.type
        spec.networking.topology.bastion.loadBalancer.type | spec.topology.bastion.loadBalancer.type
        spec.networking.subnets[2].cidr | spec.subnets[2].cidr
        spec.externalDNS.provider | spec.externalDns.provider
        spec.externalDNS.priorityClassName | spec.externalDns.priorityClassName
        spec.etcdClusters[1].etcdMembers[2].kmsKeyID | spec.etcdClusters[1].etcdMembers[2].kmsKeyId
        spec.cloudProvider.aws.warmPool.minSize | spec.warmPool.minSize
        spec.controlPlaneKubelet.maxPods | spec.masterKubelet.maxPods
        spec.kubernetesVersion | spec.kubernetesVersion
        spec.networking.cilium.version | spec.networking.cilium.version
        ",
    ) {
        let (found, _) = resolve(Kind::Cluster, &path(internal)).expect(internal);
        assert_eq!(found.to_string(), stored);
    }
    let (found, _) = resolve(Kind::InstanceGroup, &path("spec.rootVolume.iops")).expect("a field");
    assert_eq!(found.to_string(), "spec.rootVolumeIops");
}

#[test]
fn names_the_field_that_was_meant() {
    for [kind, typed, meant] in rows_of(
        "
        Cluster | spec.maxPods | spec.kubelet.maxPods
        Cluster | spec.maxPod | spec.kubelet.maxPods
        InstanceGroup | spec.maxPods | spec.kubelet.maxPods
        Cluster | spec.kubernetesVerison | spec.kubernetesVersion
        Cluster | spec.KubernetesVersion | spec.kubernetesVersion
        Cluster | spec.subnet[0].cidr | spec.subnets[0].cidr
        Cluster | spec.subnet[0].x | spec.subnets
        Cluster | spec.etcdClusters[1].etcdMember[0].name | spec.etcdClusters[1].etcdMembers[0].name
        Cluster | kubernetesVersion | spec.kubernetesVersion
        Cluster | spec.backupStore | spec.etcdClusters[].backups.backupStore
        Cluster | spec.api.publicName | spec.masterPublicName
        Cluster | spec.image |
        Cluster | spec.wholly.other |
        Cluster | spec[0] |
        Cluster | spec.kubernetesVersion.x |
        ",
    ) {
        let kind = Kind::named(kind).expect("a kind");
        let found = nearest(kind, &path(typed)).unwrap_or_default();
        assert_eq!(found, meant, "{typed}");
    }
    let refusal = resolve(Kind::Cluster, &path("spec.maxPods")).expect_err("no field");
    assert_eq!(refusal.message, "Cluster has no field spec.maxPods");
    let hint = refusal.hint.as_deref();
    assert_eq!(hint, Some("did you mean spec.kubelet.maxPods?"));
}

fn any_path() -> impl Strategy<Value = Path> {
    let known = prop::sample::select(vec![
        "spec",
        "metadata",
        "subnets",
        "cidr",
        "etcdClusters",
        "etcdMembers",
        "networking",
        "topology",
        "kubelet",
        "maxPods",
        "configStore",
        "cloudProvider",
        "aws",
        "labels",
    ]);
    let step = prop_oneof![
        3 => known.prop_map(|name| Step::Key(name.to_owned())),
        1 => any::<usize>().prop_map(Step::Index),
        1 => "\\PC{0,80}".prop_map(Step::Key),
    ];
    prop::collection::vec(step, 0..8).prop_map(Path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_path_is_looked_up(path in any_path()) {
        for kind in Kind::ALL {
            let found = field(kind, &path);
            let resolved = resolve(kind, &path);
            prop_assert!(found.is_none() || resolved.is_ok());
            if let Ok((stored, _)) = resolved {
                prop_assert!(field(kind, &stored).is_some());
            }
            let _ = nearest(kind, &path);
        }
    }
}
