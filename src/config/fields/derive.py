#!/usr/bin/env python3
"""Writes table.txt from a list of the fields of the kOps API.

    derive.py fields.tsv > table.txt

A line of the list is `Cluster v1alpha2<TAB>spec.subnets[].cidr<TAB>string`: kind and version, path
(`[]` an element of a list, `.*` a value of a map), type and format as the schemas in kOps's k8s/crds
name them. What those schemas leave out is added here: apiVersion, kind and metadata (they
are the same for every Kubernetes object), and which strings are durations and quantities (they say
`string` and `int-or-string` of them), taken from the Go types in pkg/apis/kops/v1alpha2.
"""

import sys

TYPES = {
    "boolean": "bool",
    "integer": "int",
    "integer:int32": "int32",
    "integer:int64": "int",
    "int-or-string": "quantity",
    "map": "map",
    "list": "list",
    "object": "object",
    "string": "string",
    "string:byte": "bytes",
    "string:date-time": "time",
}

# Of the fields that are an integer or a string, those that are an intstr.IntOrString.
INT_OR_STRING = {"maxSurge", "maxUnavailable", "configAdditions"}

# The fields that are a metav1.Duration, by name ...
DURATIONS = set("""
    ClusterSigningDuration attachDetachReconcileSyncPeriod auditWebhookBatchMaxWait
    auditWebhookInitialBackoff authenticationTokenWebhookCacheTtl
    authorizationWebhookCacheAuthorizedTtl authorizationWebhookCacheUnauthorizedTtl backupInterval
    cpuCFSQuotaPeriod discoveryPollInterval eventTTL evictionPressureTransitionPeriod
    experimentalClusterSigningDuration heartbeatInterval
    horizontalPodAutoscalerCpuInitializationPeriod horizontalPodAutoscalerDownscaleDelay
    horizontalPodAutoscalerDownscaleStabilization horizontalPodAutoscalerInitialReadinessDelay
    horizontalPodAutoscalerSyncPeriod horizontalPodAutoscalerUpscaleDelay housekeepingInterval
    imagePullProgressDeadline ipvsMinSyncPeriod ipvsSyncPeriod leaderElectLeaseDuration
    leaderElectRenewDeadlineDuration leaderElectRetryPeriod leaderElectionTimeout
    maxInstanceLifetime nodeMonitorGracePeriod nodeMonitorPeriod nodeStatusUpdateFrequency
    pluginRegistrationTimeout pluginRequestTimeout podEvictionTimeout requestTimeout
    runtimeRequestTimeout shutdownGracePeriod shutdownGracePeriodCriticalPods
    streamingConnectionIdleTimeout volumeStatsAggPeriod
""".split())
# ... and those whose name others have too, by path.
DURATION_PATHS = {
    f"spec.nodeAuthorization.nodeAuthorizer.{name}" for name in ("interval", "timeout", "tokenTTL")
}

# What every object has beside its spec (metav1.TypeMeta and metav1.ObjectMeta).
COMMON = """
apiVersion string
kind string
metadata object
metadata.annotations map
metadata.annotations.* string
metadata.creationTimestamp time
metadata.deletionGracePeriodSeconds int
metadata.deletionTimestamp time
metadata.finalizers list
metadata.finalizers[] string
metadata.generateName string
metadata.generation int
metadata.labels map
metadata.labels.* string
metadata.managedFields list
metadata.managedFields[] any
metadata.name string
metadata.namespace string
metadata.ownerReferences list
metadata.ownerReferences[] any
metadata.resourceVersion string
metadata.selfLink string
metadata.uid string
"""

# A subtree with at least so many lines that stands in several places is written once.
SHARED_LINES = 6


class Node:
    def __init__(self):
        self.type = None
        self.children = {}

    def at(self, steps):
        node = self
        for step in steps:
            node = node.children.setdefault(step, Node())
        return node


def steps(path):
    return path.replace("[]", ".[]").split(".")


def type_of(path, raw):
    name = [step for step in steps(path) if step not in ("[]", "*")][-1]
    if raw == "int-or-string" and name in INT_OR_STRING:
        return "int-or-string"
    if raw == "string" and (name in DURATIONS or path in DURATION_PATHS):
        return "duration"
    return TYPES[raw]


def read(file):
    kinds = {}
    for line in file:
        kind, path, raw = line.rstrip("\n").split("\t")
        root = kinds.setdefault(kind.split()[0], Node())
        root.at(steps(path)).type = type_of(path, raw)
    for root in kinds.values():
        root.type = "object"
        for line in COMMON.split("\n"):
            if line:
                path, name = line.split()
                root.at(steps(path)).type = name
    return kinds


def written_type(node):
    """The type with the types of its elements, and the node whose fields follow."""
    for type, mark in (("list", "[]"), ("map", "{}")):
        if node.type == type:
            inner, fields = written_type(node.children["[]" if type == "list" else "*"])
            return mark + inner, fields
    return node.type, node


def fields_of(node, shared, names, indent):
    """The lines for the fields of an object."""
    for name, child in sorted(node.children.items()):
        type, fields = written_type(child)
        body = tuple(fields_of(fields, {}, {}, 0))
        if body in shared:
            label = names.setdefault(body, unused(name, names))
            yield f"{' ' * indent}{name} {type.replace('object', '@' + label)}"
        else:
            yield f"{' ' * indent}{name} {type}"
            yield from fields_of(fields, shared, names, indent + 1)


def unused(name, names):
    while name in names.values():
        name += "'"
    return name


def count(node, seen):
    for child in node.children.values():
        body = tuple(fields_of(child, {}, {}, 0))
        if child.type == "object" and len(body) >= SHARED_LINES:
            seen[body] = seen.get(body, 0) + 1
        count(child, seen)


def main():
    with open(sys.argv[1]) as file:
        kinds = read(file)
    seen = {}
    for root in kinds.values():
        count(root, seen)
    shared = {body for body, times in seen.items() if times > 1}
    names, nodes = {}, {}

    def find(node):
        for child in node.children.values():
            nodes.setdefault(tuple(fields_of(child, {}, {}, 0)), child)
            find(child)

    print("# Generated by derive.py; do not edit.")
    for kind, root in kinds.items():
        find(root)
        print(kind)
        for line in fields_of(root, shared, names, 1):
            print(line)
    done = set()
    while pending := [body for body in names if body not in done]:
        for body in pending:
            done.add(body)
            print("@" + names[body])
            for line in fields_of(nodes[body], shared, names, 1):
                print(line)


main()
