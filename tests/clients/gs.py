"""Google's own client against a service: gs.py ENDPOINT TOKEN.

The service has the buckets `bucket` and `other`.
"""

import base64
import hashlib
import io
import sys

from google.api_core.exceptions import BadRequest, NotFound, PreconditionFailed
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.oauth2.credentials import Credentials

from expect import equal, refused

ENDPOINT, TOKEN = sys.argv[1:]


def client(token):
    return storage.Client(
        project="none", credentials=Credentials(token), client_options={"api_endpoint": ENDPOINT}
    )


here = client(TOKEN)
bucket, other = here.bucket("bucket"), here.bucket("other")


def objects():
    blob = bucket.blob("folder/a")
    blob.metadata = {"team": "ü b"}
    blob.upload_from_string(b"bytes", content_type="text/plain", checksum="md5")
    found = bucket.get_blob("folder/a")
    equal((found.size, found.content_type, found.metadata), (5, "text/plain", {"team": "ü b"}))
    equal(found.md5_hash, base64.b64encode(hashlib.md5(b"bytes").digest()).decode())
    equal(found.generation, blob.generation)
    # The client compares what arrives with the service's checksum.
    equal(found.download_as_bytes(checksum="md5"), b"bytes")
    equal(found.download_as_bytes(checksum="crc32c"), b"bytes")
    equal(found.download_as_bytes(start=1, end=3), b"yte")
    for name in [" a+b%2F ü&<c>\"'", "a//b", "a/", "日本語"]:
        bucket.blob(name).upload_from_string(name.encode(), checksum="crc32c")
        equal(bucket.blob(name).download_as_bytes(), name.encode())
        bucket.blob(name).delete()
    equal(bucket.get_blob("never"), None)
    refused(NotFound, bucket.blob("never").download_as_bytes)
    refused(NotFound, bucket.blob("never").delete)
    refused(NotFound, here.bucket("nowhere").blob("a").reload)
    wrong = bucket.blob("wrong")
    wrong.md5_hash = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused(BadRequest, wrong.upload_from_string, b"bytes", checksum=None)


def conditions():
    blob = bucket.blob("condition")
    blob.upload_from_string(b"old", if_generation_match=0)
    old = blob.generation
    refused(PreconditionFailed, blob.upload_from_string, b"new", if_generation_match=0)
    blob.upload_from_string(b"new", if_generation_match=old)
    refused(PreconditionFailed, blob.upload_from_string, b"bad", if_generation_match=old)
    refused(PreconditionFailed, blob.reload, if_generation_match=old)
    refused(PreconditionFailed, blob.delete, if_generation_match=old)
    equal(bucket.blob("condition").download_as_bytes(), b"new")
    blob.delete(if_generation_match=blob.generation)
    equal(bucket.get_blob("condition"), None)
    refused(PreconditionFailed, blob.upload_from_string, b"bad", if_generation_match=old)


def listings():
    names = ["l/a", "l/b c", "l/d/e", "l/d/f", "l/g+h", "l/ü"]
    for name in names:
        bucket.blob(name).upload_from_string(name)
    pages = bucket.list_blobs(prefix="l/", page_size=2)
    equal([found.name for found in pages], names)
    equal(pages.page_number, 3)
    equal([found.name for found in bucket.list_blobs(prefix="l/")], names)
    level = bucket.list_blobs(prefix="l/", delimiter="/")
    equal([found.name for found in level], ["l/a", "l/b c", "l/g+h", "l/ü"])
    equal(level.prefixes, {"l/d/"})
    later = bucket.list_blobs(prefix="l/", start_offset="l/d/f")
    equal([found.name for found in later], names[3:])
    for found in bucket.list_blobs(prefix="l/"):
        assert found.md5_hash and found.crc32c and found.generation, found
    refused(NotFound, list, here.bucket("nowhere").list_blobs())


def copies():
    source = bucket.blob("from &")
    source.metadata = {"a": "b"}
    source.upload_from_string(bytes(700 << 10))
    first = source.generation
    target = other.blob("to")

    def rewrite(**conditions):
        token, calls = None, 0
        while calls == 0 or token:
            token, _, _ = target.rewrite(source, token=token, **conditions)
            calls += 1
        return calls

    equal(rewrite(if_source_generation_match=first, if_generation_match=0), 3)
    equal(other.get_blob("to").metadata, {"a": "b"})
    equal(other.get_blob("to").size, 700 << 10)
    refused(PreconditionFailed, rewrite, if_generation_match=0)
    source.upload_from_string(b"other")
    refused(PreconditionFailed, rewrite, if_source_generation_match=first)


def uploads():
    whole = bytes(range(256)) * 3000
    blob = bucket.blob("large", chunk_size=256 << 10)
    blob.metadata = {"a": "b"}
    blob.upload_from_file(io.BytesIO(whole), size=len(whole), if_generation_match=0)
    equal(bucket.get_blob("large").metadata, {"a": "b"})
    equal(bucket.blob("large").download_as_bytes(), whole)
    again = bucket.blob("large", chunk_size=256 << 10)
    refused(
        PreconditionFailed,
        again.upload_from_file,
        io.BytesIO(whole),
        size=len(whole),
        if_generation_match=0,
    )
    # A writer doesn't know the size beforehand.
    with bucket.blob("written").open("wb", chunk_size=256 << 10) as writer:
        writer.write(whole)
    equal(bucket.blob("written").download_as_bytes(), whole)


def access():
    # On a 401 it asks for another token, and has nobody to ask.
    refused(RefreshError, client("another").bucket("bucket").blob("a").reload)


for check in [objects, conditions, listings, copies, uploads, access]:
    check()
