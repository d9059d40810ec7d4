use super::*;
use crate::config::fields::tests::rows_of;
use crate::merge::document::Document;

mod network;
mod real;

const CLUSTER: &str = "\
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
metadata:
  name: c.example.com
spec:
  assets: {containerProxy: p}
  cloudProvider: aws
  etcdClusters:
  - name: main
    etcdMembers: [{name: a, instanceGroup: master-a}]
  - name: events
    etcdMembers: [{name: a, instanceGroup: master-a}]
  kubelet: {maxPods: 110, anonymousAuth: false}
  kubernetesVersion: 1.33.1
  networkCIDR: 10.0.0.0/16
  networking: {cilium: {}}
  nonMasqueradeCIDR: 100.64.0.0/10
  sshAccess: [1.2.3.4/32, pl-1]
  subnets:
  - {name: a, type: Public, cidr: 10.0.1.0/24, zone: eu-1a}
  - {name: b, type: Private, cidr: 10.0.2.0/24, zone: eu-1b}
  topology: {dns: {type: Public}}
";

const MASTER: &str = "\
apiVersion: kops.k8s.io/v1alpha2
kind: InstanceGroup
metadata:
  labels: {kops.k8s.io/cluster: c.example.com}
  name: master-a
spec:
  maxSize: 1
  minSize: 1
  role: Master
  subnets: [a]
";

const NODES: &str = "\
apiVersion: kops.k8s.io/v1alpha2
kind: InstanceGroup
metadata:
  labels: {kops.k8s.io/cluster: c.example.com}
  name: nodes
spec:
  maxSize: 3
  minSize: 1
  role: Node
  subnets: [a, b]
  volumes: [{device: /dev/b, size: 20}]
  volumeMounts: [{device: /dev/b, filesystem: ext4, path: /b}]
";

fn document(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

/// What is found in a cluster of these three files, each as `error: message; hint`.
fn findings(cluster: &str, master: &str, nodes: &str) -> Vec<Finding> {
    let texts = [cluster, master, nodes].map(document);
    let names = ["c.example.com", "master-a", "nodes"];
    let files = ["config", "instancegroup/master-a", "instancegroup/nodes"];
    let object = |index: usize| Object {
        file: files[index],
        name: Some(names[index]),
        document: &texts[index],
        part: 0,
    };
    super::cluster(object(0), &[object(1), object(2)])
}

fn said(finding: &Finding) -> String {
    let hint = finding.hint.as_ref().map(|hint| format!("; {hint}"));
    format!(
        "{}: {}{}",
        finding.severity,
        finding.message,
        hint.unwrap_or_default()
    )
}

/// In each row a text, what takes its place, and what is said then.
fn check(table: &str, find: impl Fn(&dyn Fn(&str) -> String) -> Vec<Finding>) {
    for [from, to, words] in rows_of(table) {
        let edited = std::cell::Cell::new(false);
        let found = find(&|text: &str| {
            edited.set(edited.get() || text.contains(from));
            text.replacen(from, &to.replace("\\n", "\n"), 1)
        });
        assert!(edited.get(), "{from} is nowhere");
        let found: Vec<String> = found.iter().map(said).collect();
        let is_said = found.iter().any(|said| said.contains(words));
        assert!(is_said, "{from} => {to}: {found:#?}");
    }
}

fn in_cluster(table: &str) {
    check(table, |edit| findings(&edit(CLUSTER), MASTER, NODES));
}

#[test]
fn a_good_cluster_has_no_findings() {
    assert_eq!(findings(CLUSTER, MASTER, NODES), []);
}

#[test]
fn fields_are_known_and_hold_what_they_should() {
    in_cluster(
        "
        maxPods: 110 | maxPod: 110 | error: kOps 1.37 knows no field spec.kubelet.maxPod of Cluster and drops it when it writes the file; did you mean spec.kubelet.maxPods?
        kubelet: {maxPods: 110 | maxPods: 110\\n  kubelet: {x: 1 | no field spec.maxPods of Cluster and drops it when it writes the file; did you mean spec.kubelet.maxPods?
        assets: | controlPlaneKubelet: {}\\n  assets: | error: kOps 1.37 knows no field spec.controlPlaneKubelet of Cluster and drops it when it writes the file; in v1alpha2 it is spec.masterKubelet
        assets: | configStore: {base: s3://b}\\n  assets: | error: spec.configStore must be a string, not a map; in v1alpha2 spec.configStore.base is spec.configBase
        maxPods: 110 | maxPods: '110' | error: spec.kubelet.maxPods must be an integer, not a string; write it without quotes
        kubernetesVersion: 1.33.1 | kubernetesVersion: 1.33 | error: spec.kubernetesVersion must be a string, not a number; put it in quotes
        anonymousAuth: false | anonymousAuth: no | warning: spec.kubelet.anonymousAuth is false to kOps, which reads YAML 1.1, but a string to most; write false
        anonymousAuth: false | anonymousAuth: 'no' | error: spec.kubelet.anonymousAuth must be a boolean, not a string; write false
        containerProxy: p | containerProxy: on | error: spec.assets.containerProxy is no string to kOps, which reads YAML 1.1; put it in quotes
        containerProxy: p | containerProxy: 1_0 | error: spec.assets.containerProxy is no string to kOps
        containerProxy: p | containerProxy: 010 | error: spec.assets.containerProxy is no string to kOps
        maxPods: 110 | maxPods: 0110 | error: spec.kubelet.maxPods must be an integer, not a string; write 110; with a zero before it, it is 72 in YAML 1.1
        assets: | rollingUpdate: {maxSurge: 010}\\n  assets: | error: spec.rollingUpdate.maxSurge is no string to kOps
        ",
    );
    let quoted = CLUSTER.replace("containerProxy: p", "containerProxy: 'on'");
    assert_eq!(findings(&quoted, MASTER, NODES), []);
}

#[test]
fn an_object_says_what_it_is() {
    in_cluster(
        "
        kind: Cluster | kind: Keyset | error: is a Keyset, not a Cluster
        kind: Cluster | kind: cluster | error: kind is 'cluster', which kOps doesn't know; write Cluster
        kind: Cluster | | error: kind is missing
        kops.k8s.io/v1alpha2 | v1 | error: is of 'v1', which is no version of kOps; kOps stores kops.k8s.io/v1alpha2
        apiVersion: kops.k8s.io/v1alpha2 | | error: apiVersion is missing; write kops.k8s.io/v1alpha2
        name: c.example.com | | error: metadata.name is missing
        name: c.example.com | name: C.example.com | error: metadata.name 'C.example.com' is no DNS name: it may hold only
        name: c.example.com | name: d.example.com | error: metadata.name is 'd.example.com', but kOps looks for 'c.example.com' here; kOps can't rename
        name: c.example.com | name: c | error: metadata.name 'c' is not a full DNS name
        ",
    );
    let legacy = CLUSTER.replace("kops.k8s.io/v1alpha2", "kops/v1alpha2");
    assert_eq!(findings(&legacy, MASTER, NODES), []);
    let annotations = "annotations: {kops.kubernetes.io/management: imported}";
    let imported = CLUSTER.replace("name: c.example.com", &format!("name: c\n  {annotations}"));
    let found: Vec<String> = findings(&imported, MASTER, NODES)
        .iter()
        .map(said)
        .collect();
    assert!(
        !found.iter().any(|said| said.contains("full DNS name")),
        "{found:?}"
    );
    let nothing = findings("", MASTER, NODES);
    assert_eq!(said(&nothing[0]), "error: holds no Cluster");
}

#[test]
fn v1alpha3_is_refused_and_not_judged() {
    let other = CLUSTER
        .replace("v1alpha2", "v1alpha3")
        .replace("maxPods", "maxPod");
    let found = findings(&other, MASTER, NODES);
    let found: Vec<String> = found.iter().map(said).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("error: is of v1alpha3, whose fields have other names"),
        "{found:?}"
    );
}

#[test]
fn a_cluster_has_what_kops_asks_for() {
    in_cluster(
        "
        kubernetesVersion: 1.33.1 | | error: spec.kubernetesVersion is missing
        kubernetesVersion: 1.33.1 | kubernetesVersion: stable | error: spec.kubernetesVersion 'stable' is no version of Kubernetes
        cloudProvider: aws | | error: spec.cloudProvider is missing; kOps knows aws, azure
        cloudProvider: aws | cloudProvider: metal | error: spec.cloudProvider can't be 'metal'
        cloudProvider: aws | cloudProvider: awss | error: spec.cloudProvider can't be 'awss' (did you mean 'aws'?)
        assets: | channel: ''\\n  assets: | warning: spec.channel is empty; kOps takes stable
        assets: | api: {dns: {}, loadBalancer: {type: Public}}\\n  assets: | warning: spec.api has both dns and loadBalancer; kOps makes the load balancer
        {cilium: {}} | {cilium: {}, calico: {}} | error: spec.networking has both calico and cilium; there can be one plugin
        {type: Public} | {type: public} | error: spec.topology.dns.type can't be 'public' (did you mean 'Public'?)
        assets: | updatePolicy: never\\n  assets: | error: spec.updatePolicy can't be 'never'
        assets: | sysctlParameters: [a=b, c]\\n  assets: | error: spec.sysctlParameters[1] must be like name=value
        containerProxy: p | containerProxy: p, containerRegistry: r | containerProxy and containerRegistry exclude each other
        assets: | serviceAccountIssuerDiscovery: {discoveryStore: s3://a.b/c}\\n  assets: | error: the bucket 'a.b' of spec.serviceAccountIssuerDiscovery.discoveryStore has a dot in its name
        assets: | serviceAccountIssuerDiscovery: {discoveryStore: s3://b, discoveryService: {url: https://x}}\\n  assets: | discoveryService.url exclude each other
        ",
    );
    let metal = CLUSTER
        .replace("cloudProvider: aws", "channel: stable")
        .replace(
            "  name: c.",
            "  labels: {x/cloud-provider: metal}\n  name: c.",
        )
        .replace(", pl-1", "");
    assert_eq!(findings(&metal, MASTER, NODES), []);
}

#[test]
fn a_cluster_keeps_its_state_in_a_place_that_kops_knows() {
    in_cluster(
        "
        assets: | configBase: b/c.example.com\\n  assets: | error: spec.configBase 'b/c.example.com' is no URL and no absolute path; write it like s3://
        assets: | configBase: S3://b/c.example.com\\n  assets: | error: spec.configBase 'S3://b/c.example.com' is no place for a cluster's state (did you mean 's3'?); kOps knows file, memfs, s3
        assets: | configBase: vault://b/c.example.com\\n  assets: | error: spec.configBase 'vault://b/c.example.com' is no place for a cluster's state
        assets: | configBase: s3:///c.example.com\\n  assets: | error: spec.configBase 's3:///c.example.com' names no bucket
        assets: | configBase: s3://b/x/../c.example.com\\n  assets: | error: spec.configBase 's3://b/x/../c.example.com' has a '..' in it
        assets: | configBase: s3://b/d.example.com\\n  assets: | warning: spec.configBase 's3://b/d.example.com' doesn't end in c.example.com
        ",
    );
    for base in [
        "s3://b/c.example.com/",
        "/srv/c.example.com",
        "file:///srv/c.example.com",
    ] {
        let text = CLUSTER.replace("assets:", &format!("configBase: {base}\n  assets:"));
        assert_eq!(findings(&text, MASTER, NODES), [], "{base}");
    }
}

#[test]
fn labels_are_left_to_whom_they_belong() {
    in_cluster(
        "
        assets: | cloudLabels: {Name: x}\\n  assets: | error: kOps sets the label 'Name' itself
        assets: | cloudLabels: {kops.k8s.io/instancegroup: x}\\n  assets: | error: kOps sets the label 'kops.k8s.io/instancegroup' itself
        assets: | cloudLabels: {'AWS:x': x}\\n  assets: | error: AWS takes no label 'AWS:x'; it keeps what begins with 'aws:' for itself
        ",
    );
    check(
        "
        volumes: | cloudLabels: {kubernetes.io/cluster/c: owned}\\n  volumes: | error: kOps sets the label 'kubernetes.io/cluster/c' itself
        volumes: | cloudLabels: {kops.k8s.io/instancegroup: x}\\n  volumes: | error: the label kops.k8s.io/instancegroup must be the name of the instance group
        volumes: | cloudLabels: {'aws:x': x}\\n  volumes: | error: AWS takes no label 'aws:x'
        volumes: | nodeLabels: {a/b/c: x}\\n  volumes: | error: the label 'a/b/c' has more than one '/'
        volumes: | nodeLabels: {'aws:x': x}\\n  volumes: | warning: 'aws:x' is no label of Kubernetes; a kubelet with it doesn't start
        ",
        |edit| findings(CLUSTER, MASTER, &edit(NODES)),
    );
    let labels = "nodeLabels: {kops.k8s.io/x: a}\n  cloudLabels: {team: a, kops.k8s.io/instancegroup: nodes}";
    let good = NODES.replace("volumes:", &format!("{labels}\n  volumes:"));
    assert_eq!(findings(CLUSTER, MASTER, &good), []);
    let elsewhere = "cloudProvider: gce\n  cloudLabels: {'aws:x': a}";
    let found = findings(
        &CLUSTER.replace("cloudProvider: aws", elsewhere),
        MASTER,
        NODES,
    );
    let found: Vec<String> = found.iter().map(said).collect();
    assert!(
        !found.iter().any(|said| said.contains("aws:x")),
        "{found:?}"
    );
}

#[test]
fn etcd_clusters_keep_a_majority_in_the_control_plane() {
    in_cluster(
        "
        name: events | nam: events | error: spec.etcdClusters[1] has no name
        name: events | name: main | error: two etcd clusters are named 'main'
        name: events | name: event | error: kOps runs no etcd cluster 'event' (did you mean 'events'?); it knows main, events
        name: events | name: leases | warning: there is no etcd cluster 'events'
        name: main | name: cilium | error: there is no etcd cluster 'main'
        name: main | name: main\\n    provider: Legacy | error: spec.etcdClusters[0].provider can only be 'Manager'
        name: main | name: main\\n    version: 2.2.1 | error: spec.etcdClusters[0].version '2.2.1' is no version 3 of etcd
        name: events | name: events\\n    version: 3.5.9 | error: spec.etcdClusters[1].version differs from that of the first
        [{name: a, instanceGroup: master-a}] | [] | error: spec.etcdClusters[0].etcdMembers has 0 members
        [{name: a, instanceGroup: master-a}] | [{name: a, instanceGroup: master-a}, {name: b, instanceGroup: master-a}] | error: spec.etcdClusters[0].etcdMembers has 2 members; an odd number
        [{name: a, instanceGroup: master-a}] | [{name: a, instanceGroup: master-a}, {name: a}, {name: c}] | error: two members of spec.etcdClusters[0].etcdMembers are named 'a'
        {name: a, instanceGroup: master-a} | {instanceGroup: master-a} | error: spec.etcdClusters[0].etcdMembers[0] has no name
        {name: a, instanceGroup: master-a} | {name: a} | error: spec.etcdClusters[0].etcdMembers[0] has no instanceGroup
        instanceGroup: master-a | instanceGroup: master-b | error: there is no instance group 'master-b' (did you mean 'master-a'?)
        instanceGroup: master-a | instanceGroup: nodes | error: the instance group 'nodes' is not of the control plane
        instanceGroup: master-a | instanceGroup: nodes | error: the etcd cluster 'main' has no member in this control-plane group
        {cilium: {}} | {cilium: {etcdManaged: true}} | error: spec.networking.cilium.etcdManaged needs an etcd cluster 'cilium'
        ",
    );
    let none = CLUSTER.replace("etcdClusters:", "hooks:");
    let found: Vec<String> = findings(&none, MASTER, NODES).iter().map(said).collect();
    assert!(
        found
            .contains(&"error: spec.etcdClusters is empty; the API server needs 'main'".to_owned())
    );
}

#[test]
fn instance_groups_fit_their_cluster() {
    check(
        "
        role: Node | | error: spec.role is missing; kOps knows Master
        role: Node | role: Nodes | error: spec.role can't be 'Nodes' (did you mean 'Node'?)
        role: Node | role: Master | warning: the cluster has no instance group beside the control plane
        name: nodes | name: nodes_1 | error: metadata.name 'nodes_1' is no DNS name
        name: nodes | name: workers | error: metadata.name is 'workers', but kOps looks for 'nodes' here
        minSize: 1 | minSize: 4 | error: spec.minSize 4 is more than spec.maxSize 3
        minSize: 1 | minSize: -1 | error: spec.minSize is negative
        maxSize: 3 | maxSize: -3 | error: spec.maxSize is negative
        maxSize: 3 | maxSize: 0 | warning: spec.maxSize is 0: the group gets no instance
        maxSize: 3 | maxSize: 0\\n  manager: Karpenter | error: spec.maxSize must be above 0 where Karpenter
        volumes: | rootVolumeSize: -1\\n  volumes: | error: spec.rootVolumeSize is negative
        volumes: | rootVolumeSize: 0\\n  volumes: | warning: spec.rootVolumeSize is 0; kOps takes its default
        volumes: | rootVolumeIops: -1\\n  volumes: | error: spec.rootVolumeIops is negative
        volumes: | machineType: ''\\n  volumes: | warning: spec.machineType is empty; kOps takes the default of the channel
        [a, b] | [a, bb] | error: the cluster has no subnet 'bb' (did you mean 'b'?)
        c.example.com | d.example.com | warning: the label kops.k8s.io/cluster names 'd.example.com'
        labels: | annotations: | warning: the label kops.k8s.io/cluster is missing; kops replace goes by it
        size: 20 | size: 0 | error: spec.volumes[0] needs a size above 0
        {device: /dev/b, size | {size | error: spec.volumes[0] has no device
        filesystem: ext4, | | error: spec.volumeMounts[0] has no filesystem
        volumes: | updatePolicy: x\\n  volumes: | error: spec.updatePolicy can't be 'x'
        volumes: | sysctlParameters: [x]\\n  volumes: | error: spec.sysctlParameters[0] must be like name=value
        volumes: | kubelets: {}\\n  volumes: | knows no field spec.kubelets of InstanceGroup
        ",
        |edit| findings(CLUSTER, MASTER, &edit(NODES)),
    );
    check(
        "
        role: Master | role: Node | error: the cluster has no instance group with the role Master
        minSize: 1 | minSize: 2 | error: spec.minSize can't be more than 1 in a control-plane group
        maxSize: 1 | maxSize: 2 | error: spec.maxSize can't be more than 1 in a control-plane group
        subnets: [a] | | error: spec.subnets is empty; a control-plane group needs one
        ",
        |edit| findings(CLUSTER, &edit(MASTER), NODES),
    );
    let none = NODES.replace("minSize: 1", "minSize: 0");
    assert_eq!(findings(CLUSTER, MASTER, &none), []);
    let several = MASTER.replace("role: Master", "role: ControlPlane, Scheduler");
    assert_eq!(findings(CLUSTER, &several, NODES), []);
    let text = document(CLUSTER);
    let object = Object {
        file: "c",
        name: None,
        document: &text,
        part: 0,
    };
    let found: Vec<String> = super::cluster(object, &[]).iter().map(said).collect();
    assert_eq!(found, ["error: the cluster has no instance groups"]);
    assert_eq!(super::object(object, Kind::Cluster), []);
}

#[test]
fn a_keyset_shows_no_key() {
    let text = "apiVersion: kops.k8s.io/v1alpha2\nkind: Keyset\nmetadata: {name: ca}\nspec:\n  keys:\n  - {id: '1', privateMaterial: 'sesame!', distrustTimestamp: sesame}\n  type: Keypair\n";
    let text = document(text);
    let object = Object {
        file: "k",
        name: None,
        document: &text,
        part: 0,
    };
    let found: Vec<String> = super::object(object, Kind::Keyset)
        .iter()
        .map(said)
        .collect();
    let expected = [
        "error: spec.keys[0].privateMaterial must be base64, not this text",
        "error: spec.keys[0].distrustTimestamp must be a time, not this text; write it like 2026-01-31T12:00:00Z",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_finding_is_where_an_editor_finds_it() {
    let text = CLUSTER
        .replace("maxPods: 110", "maxPod: 110")
        .replace("cidr: 10.0.2.0/24", "cidr: x")
        .replace("kubernetesVersion: 1.33.1", "");
    let found = findings(&text, MASTER, NODES);
    let places: Vec<_> = found
        .iter()
        .map(|finding| (finding.path.to_string(), finding.line, finding.column))
        .collect();
    let expected = [
        ("spec.kubernetesVersion", 6, 3),
        ("spec.kubelet.maxPod", 13, 13),
        ("spec.subnets[1].cidr", 21, 36),
    ];
    assert_eq!(
        places,
        expected.map(|(path, line, column)| (path.to_owned(), line, column))
    );
    assert_eq!(
        found[2].to_string(),
        "error: config: line 21, column 36: spec.subnets[1].cidr 'x' is no address range; \
         write it like 10.0.0.0/16"
    );
}

#[test]
fn what_can_not_change_is_said() {
    let change = |before: &str, now: &str| {
        let (before, now) = (document(before), document(now));
        let object = |document| Object {
            file: "config",
            name: None,
            document,
            part: 0,
        };
        super::change(object(&before), object(&now))
    };
    check(
        "
        name: c.example.com | name: d.example.com | error: metadata.name can't change from 'c.example.com' to 'd.example.com'
        name: events | name: leases | error: the etcd cluster 'events' can't be removed
        instanceGroup: master-a | instanceGroup: master-b | warning: spec.etcdClusters[0].etcdMembers[0].instanceGroup can't change once the etcd cluster runs
        instanceGroup: master-a | instanceGroup: master-a, volumeSize: 9 | warning: spec.etcdClusters[0].etcdMembers[0].volumeSize can't change
        instanceGroup: master-a | instanceGroup: master-a, kmsKeyId: k | warning: spec.etcdClusters[0].etcdMembers[0].kmsKeyId can't change
        instanceGroup: master-a | instanceGroup: master-a, encryptedVolume: true | warning: spec.etcdClusters[0].etcdMembers[0].encryptedVolume can't change
        kubernetesVersion: 1.33.1 | kubernetesVersion: 1.32.9 | warning: spec.kubernetesVersion goes back from 1.33.1 to 1.32.9; Kubernetes supports no way back
        kubernetesVersion: 1.33.1 | kubernetesVersion: 1.33.0 | warning: spec.kubernetesVersion goes back from 1.33.1 to 1.33.0
        networkCIDR: 10.0.0.0/16 | networkCIDR: 10.0.0.0/15 | warning: spec.networkCIDR can't change once the VPC is there
        cidr: 10.0.2.0/24 | cidr: 10.0.3.0/24 | warning: spec.subnets[1].cidr can't change once the subnet is there
        zone: eu-1b | zone: eu-1c | warning: spec.subnets[1].zone can't change
        ",
        |edit| change(CLUSTER, &edit(CLUSTER)),
    );
    let newer = CLUSTER.replace("1.33.1", "v1.34");
    assert_eq!(change(CLUSTER, &newer), []);
    let with = |line: &str| CLUSTER.replace("  assets:", &format!("  {line}\n  assets:"));
    let said_of = |before: &str, now: &str| {
        let found = change(&with(before), &with(now));
        found.iter().map(said).collect::<Vec<_>>()
    };
    assert_eq!(
        said_of("configBase: s3://a", "configBase: s3://b"),
        ["warning: spec.configBase changes: kOps makes new keys and tokens there if it finds none"]
    );
    assert_eq!(
        said_of("keyStore: s3://a", "secretStore: s3://b"),
        Vec::<String>::new()
    );
    let issuer = |store| format!("serviceAccountIssuerDiscovery: {{discoveryStore: {store}}}");
    let found = said_of(&issuer("s3://a"), &issuer("s3://b"));
    assert!(
        found[0].contains("discoveryStore changes: tokens and trust"),
        "{found:?}"
    );
    let volumes = CLUSTER.replace(
        "instanceGroup: master-a",
        "instanceGroup: master-a, encryptedVolume: false",
    );
    assert_eq!(change(CLUSTER, &volumes), []);
    assert_eq!(
        change(CLUSTER, &CLUSTER.replace("v1alpha2", "v1alpha3")),
        []
    );
    let group = change(NODES, &NODES.replace("name: nodes", "name: workers"));
    assert_eq!(group.len(), 1);
}
