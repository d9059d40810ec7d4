"""The Python client of Kubernetes against an API server: k8s.py ADMIN LIMITED STRANGER.

These are kubeconfig files: of who may do all in the namespace `state`, of who may only get
Secrets, and of somebody unknown.
"""

import base64
import datetime
import json
import sys

from kubernetes.client import (
    CoordinationV1Api,
    CoreV1Api,
    V1DeleteOptions,
    V1Lease,
    V1LeaseSpec,
    V1ObjectMeta,
    V1Preconditions,
    V1Secret,
)
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

from expect import equal, refused

ADMIN, LIMITED, STRANGER = sys.argv[1:]
NAMESPACE = "state"


def core(file):
    return CoreV1Api(new_client_from_config(file))


secrets, leases = core(ADMIN), CoordinationV1Api(new_client_from_config(ADMIN))


def encoded(data):
    return base64.b64encode(data).decode()


def secret(name, data=b"bytes", **metadata):
    return V1Secret(
        metadata=V1ObjectMeta(name=name, **metadata), data={"a": encoded(data)}, type="Opaque"
    )


def fails(code, call, *arguments, **named):
    error = refused(ApiException, call, *arguments, **named)
    equal(error.status, code)
    return error


def objects():
    created = secrets.create_namespaced_secret(NAMESPACE, secret("one", labels={"team": "a"}))
    assert created.metadata.uid and created.metadata.resource_version, created
    assert created.metadata.creation_timestamp.tzinfo, created
    found = secrets.read_namespaced_secret("one", NAMESPACE)
    equal((found.data, found.type), ({"a": encoded(b"bytes")}, "Opaque"))
    assert "AlreadyExists" in fails(
        409, secrets.create_namespaced_secret, NAMESPACE, secret("one")
    ).body
    fails(404, secrets.read_namespaced_secret, "never", NAMESPACE)
    fails(404, secrets.create_namespaced_secret, "nowhere", secret("one"))
    for wrong in [
        secret("One"),
        secret("a" * 254),
        secret("two", labels={"team": "a b"}),
        secret("two", data=bytes((1 << 20) + 1)),
    ]:
        fails(422, secrets.create_namespaced_secret, NAMESPACE, wrong)
    secrets.create_namespaced_secret(NAMESPACE, secret("large", data=bytes(1 << 20)))
    secrets.delete_namespaced_secret("large", NAMESPACE)


def conditions():
    old = secrets.create_namespaced_secret(NAMESPACE, secret("condition"))
    old.data = {"a": encoded(b"new")}
    new = secrets.replace_namespaced_secret("condition", NAMESPACE, old)
    assert new.metadata.resource_version != old.metadata.resource_version
    assert "the object has been modified" in fails(
        409, secrets.replace_namespaced_secret, "condition", NAMESPACE, old
    ).body
    fails(404, secrets.replace_namespaced_secret, "never", NAMESPACE, secret("never"))

    def held(**preconditions):
        return V1DeleteOptions(preconditions=V1Preconditions(**preconditions))

    delete = secrets.delete_namespaced_secret
    stale = held(resource_version=old.metadata.resource_version)
    fails(409, delete, "condition", NAMESPACE, body=stale)
    fails(409, delete, "condition", NAMESPACE, body=held(uid="another"))
    delete("condition", NAMESPACE, body=held(resource_version=new.metadata.resource_version))
    fails(404, delete, "condition", NAMESPACE)


def listings():
    names = [f"listed-{number:02}" for number in range(7)]
    for name in reversed(names):
        labels = {"listed": "yes" if name < "listed-05" else "no"}
        secrets.create_namespaced_secret(NAMESPACE, secret(name, labels=labels))

    def page(**options):
        found = secrets.list_namespaced_secret(NAMESPACE, **options)
        return [item.metadata.name for item in found.items], found.metadata._continue

    found, token, pages = [], None, 0
    while pages == 0 or token:
        more, token = page(limit=3, _continue=token, label_selector="listed")
        found, pages = found + more, pages + 1
    equal((found, pages), (names, 3))
    equal(page(label_selector="listed=yes")[0], names[:5])
    equal(page(label_selector="listed notin (yes),listed")[0], names[5:])
    # A listing shows the moment at which it began.
    first, token = page(limit=3, label_selector="listed")
    secrets.delete_namespaced_secret(names[5], NAMESPACE)
    equal(first + page(_continue=token, label_selector="listed")[0], names)
    fails(400, page, _continue="nonsense")
    fails(400, page, label_selector="a in b")


def locks():
    now = datetime.datetime.now(datetime.timezone.utc)
    spec = V1LeaseSpec(holder_identity="a", lease_duration_seconds=30, renew_time=now)
    lease = V1Lease(metadata=V1ObjectMeta(name="lock"), spec=spec)
    held = leases.create_namespaced_lease(NAMESPACE, lease)
    equal(held.spec.holder_identity, "a")
    equal(held.spec.renew_time, now)
    fails(409, leases.create_namespaced_lease, NAMESPACE, lease)
    held.spec.holder_identity = "b"
    taken = leases.replace_namespaced_lease("lock", NAMESPACE, held)
    equal(taken.spec.holder_identity, "b")
    fails(409, leases.replace_namespaced_lease, "lock", NAMESPACE, held)
    taken.spec.lease_duration_seconds = 0
    fails(422, leases.replace_namespaced_lease, "lock", NAMESPACE, taken)
    leases.delete_namespaced_lease("lock", NAMESPACE)


def access():
    limited = core(LIMITED)
    equal(limited.read_namespaced_secret("one", NAMESPACE).metadata.name, "one")
    denied = fails(403, limited.create_namespaced_secret, NAMESPACE, secret("two"))
    message = json.loads(denied.body)["message"]
    assert 'User "limited" cannot create resource "secrets"' in message, message
    fails(403, limited.list_namespaced_secret, NAMESPACE)
    fails(401, core(STRANGER).read_namespaced_secret, "one", NAMESPACE)


for check in [objects, conditions, listings, locks, access]:
    check()
