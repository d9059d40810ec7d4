//! The names of kOps's internal API, which are those of v1alpha3, and what they are in v1alpha2.
//!
//! After the conversions in kOps's `pkg/apis/kops/v1alpha2`. Left out is what changes its meaning
//! on the way (`hooks[].enabled` is the reverse of `disabled`, `tagSubnets` of
//! `DisableSubnetTags`) or its type (the groups and required claims of OIDC).

use super::{Kind, field};
use crate::merge::document::{Path, Step};

/// A path, or the start of one, and what it is called in v1alpha2. `[]` is any index, the same
/// on both sides.
const CLUSTER: &[(&str, &str)] = &[
    ("spec.configStore.base", "spec.configBase"),
    ("spec.configStore.keypairs", "spec.keyStore"),
    ("spec.configStore.secrets", "spec.secretStore"),
    ("spec.api.publicName", "spec.masterPublicName"),
    ("spec.api.additionalSANs", "spec.additionalSans"),
    ("spec.api.access", "spec.kubernetesApiAccess"),
    (
        "spec.api.loadBalancer.useForInternalAPI",
        "spec.api.loadBalancer.useForInternalApi",
    ),
    (
        "spec.api.loadBalancer.subnets[].allocationID",
        "spec.api.loadBalancer.subnets[].allocationId",
    ),
    ("spec.networking.networkID", "spec.networkID"),
    ("spec.networking.networkCIDR", "spec.networkCIDR"),
    (
        "spec.networking.additionalNetworkCIDRs",
        "spec.additionalNetworkCIDRs",
    ),
    ("spec.networking.subnets", "spec.subnets"),
    ("spec.networking.topology.dns", "spec.topology.dns.type"),
    ("spec.networking.topology", "spec.topology"),
    ("spec.networking.egressProxy", "spec.egressProxy"),
    (
        "spec.networking.nonMasqueradeCIDR",
        "spec.nonMasqueradeCIDR",
    ),
    ("spec.networking.podCIDR", "spec.podCIDR"),
    (
        "spec.networking.serviceClusterIPRange",
        "spec.serviceClusterIPRange",
    ),
    ("spec.networking.isolateControlPlane", "spec.isolateMasters"),
    ("spec.networking.kubeRouter", "spec.networking.kuberouter"),
    ("spec.networking.amazonVPC", "spec.networking.amazonvpc"),
    ("spec.networking.gcp", "spec.networking.gce"),
    ("spec.externalDNS", "spec.externalDns"),
    ("spec.controlPlaneKubelet", "spec.masterKubelet"),
    (
        "spec.etcdClusters[].etcdMembers[].kmsKeyID",
        "spec.etcdClusters[].etcdMembers[].kmsKeyId",
    ),
    (
        "spec.etcdClusters[].etcdMembers[].volumeIOPS",
        "spec.etcdClusters[].etcdMembers[].volumeIops",
    ),
    (
        "spec.authentication.oidc.clientID",
        "spec.kubeAPIServer.oidcClientID",
    ),
    (
        "spec.authentication.oidc.groupsPrefix",
        "spec.kubeAPIServer.oidcGroupsPrefix",
    ),
    (
        "spec.authentication.oidc.issuerURL",
        "spec.kubeAPIServer.oidcIssuerURL",
    ),
    (
        "spec.authentication.oidc.usernameClaim",
        "spec.kubeAPIServer.oidcUsernameClaim",
    ),
    (
        "spec.authentication.oidc.usernamePrefix",
        "spec.kubeAPIServer.oidcUsernamePrefix",
    ),
    (
        "spec.cloudProvider.aws.ebsCSIDriver",
        "spec.cloudConfig.awsEBSCSIDriver",
    ),
    (
        "spec.cloudProvider.aws.nodeTerminationHandler",
        "spec.nodeTerminationHandler",
    ),
    (
        "spec.cloudProvider.aws.loadBalancerController",
        "spec.awsLoadBalancerController",
    ),
    (
        "spec.cloudProvider.aws.podIdentityWebhook",
        "spec.podIdentityWebhook",
    ),
    ("spec.cloudProvider.aws.warmPool", "spec.warmPool"),
    (
        "spec.cloudProvider.aws.nodeIPFamilies",
        "spec.cloudConfig.nodeIPFamilies",
    ),
    (
        "spec.cloudProvider.aws.disableSecurityGroupIngress",
        "spec.cloudConfig.disableSecurityGroupIngress",
    ),
    (
        "spec.cloudProvider.aws.elbSecurityGroup",
        "spec.cloudConfig.elbSecurityGroup",
    ),
    (
        "spec.cloudProvider.aws.spotinstProduct",
        "spec.cloudConfig.spotinstProduct",
    ),
    (
        "spec.cloudProvider.aws.spotinstOrientation",
        "spec.cloudConfig.spotinstOrientation",
    ),
    ("spec.cloudProvider.azure", "spec.cloudConfig.azure"),
    ("spec.cloudProvider.gce.project", "spec.project"),
    (
        "spec.cloudProvider.gce.serviceAccount",
        "spec.cloudConfig.gceServiceAccount",
    ),
    (
        "spec.cloudProvider.gce.multizone",
        "spec.cloudConfig.multizone",
    ),
    (
        "spec.cloudProvider.gce.nodeTags",
        "spec.cloudConfig.nodeTags",
    ),
    (
        "spec.cloudProvider.gce.nodeInstancePrefix",
        "spec.cloudConfig.nodeInstancePrefix",
    ),
    (
        "spec.cloudProvider.gce.pdCSIDriver",
        "spec.cloudConfig.gcpPDCSIDriver",
    ),
    ("spec.cloudProvider.openstack", "spec.cloudConfig.openstack"),
];

const INSTANCE_GROUP: &[(&str, &str)] = &[
    ("spec.associatePublicIP", "spec.associatePublicIp"),
    (
        "spec.externalLoadBalancers[].targetGroupARN",
        "spec.externalLoadBalancers[].targetGroupArn",
    ),
    ("spec.rootVolume.size", "spec.rootVolumeSize"),
    ("spec.rootVolume.type", "spec.rootVolumeType"),
    ("spec.rootVolume.iops", "spec.rootVolumeIops"),
    ("spec.rootVolume.throughput", "spec.rootVolumeThroughput"),
    (
        "spec.rootVolume.optimization",
        "spec.rootVolumeOptimization",
    ),
    ("spec.rootVolume.encryption", "spec.rootVolumeEncryption"),
    (
        "spec.rootVolume.encryptionKey",
        "spec.rootVolumeEncryptionKey",
    ),
];

/// The path in v1alpha2 of a field that goes by another name in kOps's internal API; `None` when
/// it has no other name there, or is no field.
#[must_use]
pub fn from_internal(kind: Kind, path: &Path) -> Option<Path> {
    aliases(kind)
        .iter()
        .filter_map(|(internal, stored)| renamed(path, internal, stored))
        .find(|path| field(kind, path).is_some())
}

pub(super) fn aliases(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Cluster => CLUSTER,
        Kind::InstanceGroup => INSTANCE_GROUP,
        Kind::Keyset | Kind::SshCredential => &[],
    }
}

fn renamed(path: &Path, internal: &str, stored: &str) -> Option<Path> {
    let mut steps = path.0.iter();
    let mut indexes = Vec::new();
    for name in names(internal) {
        match (steps.next()?, name) {
            (Step::Index(index), "[]") => indexes.push(*index),
            (Step::Key(key), name) if key == name => {}
            _ => return None,
        }
    }
    let mut indexes = indexes.into_iter();
    let mut renamed = Vec::new();
    for name in names(stored) {
        renamed.push(match name {
            "[]" => Step::Index(indexes.next()?),
            name => Step::Key(name.to_owned()),
        });
    }
    renamed.extend(steps.cloned());
    Some(Path(renamed))
}

fn names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('.').flat_map(|name| {
        let bare = name.strip_suffix("[]");
        std::iter::once(bare.unwrap_or(name)).chain(bare.map(|_| "[]"))
    })
}
