"""Alibaba's own client against a service: oss.py ENDPOINT REGION KEY SECRET.

The service has the buckets `bucket` and `other`, which keep no versions, and `versions`, which does.
"""

import base64
import hashlib
import random
import sys

import oss2
from oss2.credentials import StaticCredentialsProvider
from oss2.exceptions import NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed, ServerError
from oss2.models import PartInfo

from expect import equal, refused

ENDPOINT, REGION, KEY, SECRET = sys.argv[1:]
FORBID = {"x-oss-forbid-overwrite": "true"}
PART = 100 << 10


def at(bucket, key=KEY, secret=SECRET, region=REGION):
    auth = oss2.ProviderAuthV4(StaticCredentialsProvider(key, secret))
    return oss2.Bucket(auth, ENDPOINT, bucket, region=region)


bucket = at("bucket")


def objects():
    # The client compares the service's CRC-64 with its own, here and at each upload and download.
    headers = {"Content-Type": "text/plain", "x-oss-meta-team": "a b"}
    put = bucket.put_object("folder/a", b"bytes", headers=headers)
    md5 = hashlib.md5(b"bytes")
    equal(put.etag, md5.hexdigest().upper())
    got = bucket.get_object("folder/a")
    equal(got.read(), b"bytes")
    equal((got.content_type, got.headers["x-oss-meta-team"]), ("text/plain", "a b"))
    head = bucket.head_object("folder/a")
    equal((head.etag, head.content_length, head.object_type), (put.etag, 5, "Normal"))
    equal(head.headers["Content-MD5"], base64.b64encode(md5.digest()).decode())
    for name in [" a+b%2F ü&<c>\"'", "\x01\x02", "a\\b", "日本語"]:
        bucket.put_object(name, name.encode())
        equal(bucket.get_object(name).read(), name.encode())
        bucket.delete_object(name)
    bucket.delete_object("never/was")
    refused(NoSuchKey, bucket.get_object, "never/was")
    equal(refused(NoSuchKey, bucket.head_object, "never/was").ec, "0026-00000001")
    refused(NoSuchBucket, at("nowhere").head_object, "a")
    wrong = {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    equal(refused(ServerError, bucket.put_object, "b", b"bytes", headers=wrong).code, "InvalidDigest")
    for name in ["\\a", "n" * 1024]:
        equal(refused(ServerError, bucket.put_object, name, b"").code, "InvalidObjectName")


def ranges():
    whole = bytes(range(256)) * 4
    bucket.put_object("range", whole)
    equal(bucket.get_object("range", byte_range=(10, 19)).read(), whole[10:20])
    standard = {"x-oss-range-behavior": "standard"}
    clipped = bucket.get_object("range", byte_range=(1000, 2000), headers=standard)
    equal((clipped.status, clipped.read()), (206, whole[1000:]))
    beyond = refused(
        ServerError, bucket.get_object, "range", byte_range=(1024, 2000), headers=standard
    )
    equal((beyond.status, beyond.code), (416, "InvalidRange"))
    equal(bucket.get_object("range", byte_range=(1000, 2000)).status, 200)


def conditions():
    put = bucket.put_object("condition", b"old", headers=FORBID)
    for etag in [put.etag, f'"{put.etag}"']:
        equal(bucket.get_object("condition", headers={"If-Match": etag}).read(), b"old")
    again = refused(ServerError, bucket.put_object, "condition", b"new", headers=FORBID)
    equal((again.status, again.code), (409, "FileAlreadyExists"))
    equal(bucket.get_object("condition").read(), b"old")
    bucket.put_object("condition", b"new", headers={"x-oss-forbid-overwrite": "false"})
    refused(PreconditionFailed, bucket.get_object, "condition", headers={"If-Match": put.etag})


def listings():
    names = ["l/a", "l/b c", "l/d/e", "l/d/f", "l/g+h", "l/\x01"]
    for name in names:
        bucket.put_object(name, name.encode())
    pages = oss2.ObjectIteratorV2(bucket, prefix="l/", max_keys=2)
    equal([found.key for found in pages], sorted(names))
    level = oss2.ObjectIteratorV2(bucket, prefix="l/", delimiter="/", max_keys=1)
    level = [(found.key, found.is_prefix()) for found in level]
    equal([name for name, is_folder in level if is_folder], ["l/d/"])
    equal(len(level), 5)
    page = bucket.list_objects_v2(prefix="l/", start_after="l/b c", max_keys=1)
    equal((page.is_truncated, page.object_list[0].key), (True, "l/d/e"))
    equal(page.object_list[0].etag, hashlib.md5(b"l/d/e").hexdigest().upper())
    equal(bucket.batch_delete_objects(names + ["l/never"]).deleted_keys, names + ["l/never"])
    equal(bucket.list_objects_v2(prefix="l/").object_list, [])


def copies():
    other = at("other")
    etag = bucket.put_object("from &", b"bytes", headers={"x-oss-meta-a": "b"}).etag
    match = {"x-oss-copy-source-if-match": etag}
    other.copy_object("bucket", "from &", "to", headers={**match, **FORBID})
    copy = other.get_object("to")
    equal((copy.read(), copy.headers["x-oss-meta-a"]), (b"bytes", "b"))
    again = refused(ServerError, other.copy_object, "bucket", "from &", "to", headers=FORBID)
    equal(again.code, "FileAlreadyExists")
    bucket.put_object("from &", b"other")
    refused(PreconditionFailed, other.copy_object, "bucket", "from &", "to", headers=match)
    refused(NoSuchKey, other.copy_object, "bucket", "never", "to")


def uploads():
    bytes_ = random.Random(7).randbytes(250 << 10)
    pieces = [bytes_[:PART], bytes_[PART : 2 * PART], bytes_[2 * PART :]]
    upload = bucket.init_multipart_upload("parts", headers={"x-oss-meta-a": "b"}).upload_id

    def send(number, piece):
        sent = bucket.upload_part("parts", upload, number, piece)
        return PartInfo(number, sent.etag, size=len(piece), part_crc=sent.crc)

    parts = [send(number, piece) for number, piece in enumerate(pieces, 1)]
    wrong = [parts[0], PartInfo(2, parts[0].etag)]
    equal(
        refused(ServerError, bucket.complete_multipart_upload, "parts", upload, wrong).code,
        "InvalidPart",
    )
    bucket.complete_multipart_upload("parts", upload, parts)
    equal(bucket.get_object("parts").read(), bytes_)
    equal(bucket.head_object("parts").object_type, "Multipart")
    refused(NoSuchUpload, bucket.complete_multipart_upload, "parts", upload, parts)
    upload = bucket.init_multipart_upload("parts").upload_id
    small = [send(1, b"small"), send(2, b"small")]
    error = refused(ServerError, bucket.complete_multipart_upload, "parts", upload, small)
    equal(error.code, "EntityTooSmall")
    headers = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    error = refused(ServerError, bucket.upload_part, "parts", upload, 3, b"x", headers=headers)
    equal(error.code, "InvalidDigest")
    error = refused(ServerError, bucket.upload_part, "parts", upload, 10_001, b"x")
    equal(error.code, "InvalidArgument")
    error = refused(
        ServerError, bucket.complete_multipart_upload, "parts", upload, small[:1], headers=FORBID
    )
    equal(error.code, "FileAlreadyExists")
    bucket.abort_multipart_upload("parts", upload)
    refused(NoSuchUpload, bucket.abort_multipart_upload, "parts", upload)
    refused(ServerError, bucket.init_multipart_upload, "parts", headers=FORBID)
    upload = bucket.init_multipart_upload("copied").upload_id
    parts = []
    for number, span in enumerate([(0, PART - 1), (PART, len(bytes_) - 1)], 1):
        copied = bucket.upload_part_copy("bucket", "parts", span, "copied", upload, number)
        parts.append(PartInfo(number, copied.etag))
    bucket.enable_crc = False
    bucket.complete_multipart_upload("copied", upload, parts)
    bucket.enable_crc = True
    equal(bucket.get_object("copied").read(), bytes_)


def versions():
    equal(bucket.get_bucket_versioning().status, None)
    kept = at("versions")
    equal(kept.get_bucket_versioning().status, "Enabled")
    old = kept.put_object("a", b"old").versionid
    # What makes the header worth nothing there.
    new = kept.put_object("a", b"new", headers=FORBID).versionid
    assert old and new and old != new
    equal(kept.get_object("a").read(), b"new")
    equal(kept.get_object("a", params={"versionId": old}).read(), b"old")
    kept.delete_object("a")
    refused(NoSuchKey, kept.get_object, "a")
    equal(kept.get_object("a", params={"versionId": new}).read(), b"new")


def access():
    for denied, code in [
        (at("bucket", secret="another"), "SignatureDoesNotMatch"),
        (at("bucket", key="another"), "InvalidAccessKeyId"),
    ]:
        error = refused(ServerError, denied.put_object, "a", b"")
        equal((error.status, error.code), (403, code))
    refused(ServerError, at("bucket", region="cn-beijing").put_object, "a", b"")


for check in [objects, ranges, conditions, listings, copies, uploads, versions, access]:
    check()
