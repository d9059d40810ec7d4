//! Operations on buckets, their settings and versions, and on tags and ACLs of objects.

use std::ops::Bound;

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::access::no_encryption;
use super::listing::limit;
use super::objects::quoted;
use super::personality::Encryption;
use super::policy::accept;
use super::server::{Shared, who};
use super::state::{Attributes, Bucket as Stored, Version};

pub(crate) fn create(shared: &Shared, input: &CreateBucketInput) -> S3Result<CreateBucketOutput> {
    let asked = input.create_bucket_configuration.as_ref();
    let region = asked.and_then(|asked| asked.location_constraint.as_ref());
    let region = region.map_or("us-east-1", BucketLocationConstraint::as_str);
    let mut state = shared.state();
    if state.buckets.contains_key(&input.bucket) {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "{} exists already",
            input.bucket
        ));
    }
    state.buckets.insert(
        input.bucket.clone(),
        Stored::new(region, shared.quirks.versioned),
    );
    Ok(CreateBucketOutput {
        location: Some(format!("/{}", input.bucket)),
    })
}

pub(crate) fn delete(shared: &Shared, input: &DeleteBucketInput) -> S3Result<DeleteBucketOutput> {
    let mut state = shared.state();
    if !state.bucket(&input.bucket)?.is_empty() {
        return Err(s3_error!(
            BucketNotEmpty,
            "The bucket you tried to delete is not empty"
        ));
    }
    state.buckets.remove(&input.bucket);
    Ok(DeleteBucketOutput::default())
}

pub(crate) fn head(shared: &Shared, input: &HeadBucketInput) -> S3Result<HeadBucketOutput> {
    let region = shared.state().bucket(&input.bucket)?.region.clone();
    Ok(HeadBucketOutput {
        bucket_region: Some(region),
        ..HeadBucketOutput::default()
    })
}

pub(crate) fn list(shared: &Shared) -> ListBucketsOutput {
    let buckets = shared.state();
    let buckets = buckets.buckets.iter().map(|(name, bucket)| Bucket {
        name: Some(name.clone()),
        creation_date: Some(bucket.created.into()),
        bucket_region: Some(bucket.region.clone()),
    });
    ListBucketsOutput {
        buckets: Some(buckets.collect()),
        ..ListBucketsOutput::default()
    }
}

/// us-east-1 is said by saying nothing, as AWS does.
pub(crate) fn location(
    shared: &Shared,
    input: &GetBucketLocationInput,
) -> S3Result<GetBucketLocationOutput> {
    let region = shared.state().bucket(&input.bucket)?.region.clone();
    Ok(GetBucketLocationOutput {
        location_constraint: (region != "us-east-1").then(|| region.into()),
    })
}

pub(crate) fn get_encryption(
    shared: &Shared,
    input: &GetBucketEncryptionInput,
) -> S3Result<GetBucketEncryptionOutput> {
    let state = shared.state();
    let bucket = state.bucket(&input.bucket)?;
    let config = match shared.quirks.encryption {
        Encryption::Always => bucket
            .encryption
            .clone()
            .unwrap_or_else(|| encryption("AES256", None)),
        Encryption::NotFound => return Err(no_encryption()),
        Encryption::NotImplemented => return Err(s3_error!(NotImplemented, "bucket encryption")),
    };
    Ok(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(config),
    })
}

pub(super) fn encryption(algorithm: &str, key: Option<&str>) -> ServerSideEncryptionConfiguration {
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            kms_master_key_id: key.map(str::to_owned),
            sse_algorithm: ServerSideEncryption::from(algorithm.to_owned()),
        }),
        bucket_key_enabled: Some(false),
    };
    ServerSideEncryptionConfiguration { rules: vec![rule] }
}

pub(crate) fn put_encryption(
    shared: &Shared,
    input: PutBucketEncryptionInput,
) -> S3Result<PutBucketEncryptionOutput> {
    if shared.quirks.encryption != Encryption::Always {
        return Err(s3_error!(NotImplemented, "bucket encryption"));
    }
    let mut state = shared.state();
    state.bucket_mut(&input.bucket)?.encryption = Some(input.server_side_encryption_configuration);
    Ok(PutBucketEncryptionOutput::default())
}

pub(crate) fn get_versioning(
    shared: &Shared,
    input: &GetBucketVersioningInput,
) -> S3Result<GetBucketVersioningOutput> {
    let status = shared.state().bucket(&input.bucket)?.versioning.clone();
    Ok(GetBucketVersioningOutput {
        status: status.map(BucketVersioningStatus::from),
        mfa_delete: None,
    })
}

pub(crate) fn put_versioning(
    shared: &Shared,
    input: PutBucketVersioningInput,
) -> S3Result<PutBucketVersioningOutput> {
    let status = input.versioning_configuration.status;
    let status = status.ok_or_else(|| s3_error!(MalformedXML, "no status"))?;
    let mut state = shared.state();
    state.bucket_mut(&input.bucket)?.versioning = Some(status.as_str().to_owned());
    Ok(PutBucketVersioningOutput::default())
}

pub(crate) fn get_policy(
    shared: &Shared,
    input: &GetBucketPolicyInput,
) -> S3Result<GetBucketPolicyOutput> {
    let policy = shared.state().bucket(&input.bucket)?.policy.clone();
    let policy =
        policy.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))?;
    Ok(GetBucketPolicyOutput {
        policy: Some(policy),
    })
}

pub(crate) fn set_policy(shared: &Shared, bucket: &str, policy: Option<String>) -> S3Result<()> {
    let policy = policy.map(|text| accept(bucket, &text)).transpose()?;
    shared.state().bucket_mut(bucket)?.policy = policy;
    Ok(())
}

pub(crate) fn get_tags(
    shared: &Shared,
    input: &GetObjectTaggingInput,
) -> S3Result<GetObjectTaggingOutput> {
    let state = shared.state();
    let (object, version_id) = state
        .bucket(&input.bucket)?
        .find(&input.key, input.version_id.as_deref())?;
    let tags = object.attributes.tags.iter().map(|(key, value)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    Ok(GetObjectTaggingOutput {
        tag_set: tags.collect(),
        version_id,
    })
}

pub(crate) fn put_tags(
    shared: &Shared,
    input: PutObjectTaggingInput,
) -> S3Result<PutObjectTaggingOutput> {
    let tags = input.tagging.tag_set.into_iter();
    let tags = tags
        .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))
        .collect();
    change(
        shared,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
        |attributes| {
            attributes.tags = tags;
        },
    )?;
    Ok(PutObjectTaggingOutput::default())
}

fn change(
    shared: &Shared,
    bucket: &str,
    key: &str,
    version: Option<&str>,
    change: impl FnOnce(&mut Attributes),
) -> S3Result<()> {
    shared
        .state()
        .bucket_mut(bucket)?
        .change(key, version, change)
}

/// The grants of the canned ACL that was set last, as far as they say who may read.
pub(crate) fn get_acl(shared: &Shared, input: &GetObjectAclInput) -> S3Result<GetObjectAclOutput> {
    let state = shared.state();
    let (object, _) = state
        .bucket(&input.bucket)?
        .find(&input.key, input.version_id.as_deref())?;
    let owner = object.owner.clone();
    let user = |id: &str, permission: &'static str| Grant {
        grantee: Some(grantee(Type::CANONICAL_USER, Some(id.to_owned()), None)),
        permission: Some(Permission::from_static(permission)),
    };
    let group = |name: &str, permission: &'static str| Grant {
        grantee: Some(grantee(
            Type::GROUP,
            None,
            Some(format!("http://acs.amazonaws.com/groups/global/{name}")),
        )),
        permission: Some(Permission::from_static(permission)),
    };
    let mut grants = vec![user(&owner, Permission::FULL_CONTROL)];
    match object.attributes.acl.as_deref() {
        Some("public-read") => grants.push(group("AllUsers", Permission::READ)),
        Some("public-read-write") => {
            grants.push(group("AllUsers", Permission::READ));
            grants.push(group("AllUsers", Permission::WRITE));
        }
        Some("authenticated-read") => grants.push(group("AuthenticatedUsers", Permission::READ)),
        Some("bucket-owner-read") => grants.push(user("bucket-owner", Permission::READ)),
        Some("bucket-owner-full-control") => {
            grants.push(user("bucket-owner", Permission::FULL_CONTROL));
        }
        _ => {}
    }
    Ok(GetObjectAclOutput {
        grants: Some(grants),
        owner: Some(Owner {
            display_name: None,
            id: Some(owner),
        }),
        ..GetObjectAclOutput::default()
    })
}

fn grantee(kind: &'static str, id: Option<String>, uri: Option<String>) -> Grantee {
    Grantee {
        display_name: None,
        email_address: None,
        id,
        type_: Type::from_static(kind),
        uri,
    }
}

pub(crate) fn put_acl(
    shared: &Shared,
    req: &S3Request<PutObjectAclInput>,
) -> S3Result<PutObjectAclOutput> {
    let input = &req.input;
    let Some(acl) = &input.acl else {
        return Err(s3_error!(
            NotImplemented,
            "only canned ACLs, asked by {}",
            who(req)
        ));
    };
    let acl = acl.as_str().to_owned();
    change(
        shared,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
        |attributes| {
            attributes.acl = Some(acl);
        },
    )?;
    Ok(PutObjectAclOutput::default())
}

/// Versions of a key come newest first; pages end between versions, too.
pub(crate) fn list_versions(
    shared: &Shared,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    let state = shared.state();
    let bucket = state.bucket(&input.bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let size = limit(shared, input.max_keys)?;
    let mut found = Vec::new();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    // a version marker means that the marker's key itself may have more to show
    let mut skip = input.version_id_marker.clone();
    let mut from = match &skip {
        Some(_) => Bound::Included(key_marker.clone()),
        None if key_marker.is_empty() => Bound::Unbounded,
        None => Bound::Excluded(key_marker.clone()),
    };
    while let Some((key, versions)) = bucket.next_versions(from.as_ref().map(String::as_str)) {
        let mut shown: Vec<&Version> = versions.iter().rev().collect();
        if let Some(marker) = skip.take().filter(|_| key == key_marker) {
            let seen = shown.iter().position(|version| version.id == marker);
            shown.drain(..seen.map_or(0, |n| n + 1));
        }
        if key.starts_with(&prefix) {
            let latest = versions.last().map(|version| version.id.as_str());
            found.extend(
                shown
                    .into_iter()
                    .map(|v| (key, v, latest == Some(v.id.as_str()))),
            );
        }
        from = Bound::Excluded(key.to_owned());
        if found.len() > size {
            break;
        }
    }
    let truncated = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| truncated);
    let next = last.map(|(key, version, _)| ((*key).to_owned(), version.id.clone()));
    let (versions, markers): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, v, _)| v.object.is_some());
    Ok(ListObjectVersionsOutput {
        versions: Some(versions.into_iter().map(version_entry).collect()),
        delete_markers: Some(markers.into_iter().map(marker_entry).collect()),
        is_truncated: Some(truncated),
        next_key_marker: next.as_ref().map(|(key, _)| key.clone()),
        next_version_id_marker: next.map(|(_, id)| id),
        key_marker: input.key_marker,
        version_id_marker: input.version_id_marker,
        prefix: input.prefix,
        name: Some(input.bucket.clone()),
        ..ListObjectVersionsOutput::default()
    })
}

fn version_entry((key, version, latest): (&str, &Version, bool)) -> ObjectVersion {
    let object = version.object.as_deref();
    ObjectVersion {
        key: Some(key.to_owned()),
        version_id: Some(version.id.clone()),
        is_latest: Some(latest),
        last_modified: Some(version.modified.into()),
        e_tag: object.map(|object| quoted(&object.etag)),
        size: object.and_then(|object| i64::try_from(object.content.len()).ok()),
        ..ObjectVersion::default()
    }
}

fn marker_entry((key, version, latest): (&str, &Version, bool)) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(key.to_owned()),
        version_id: Some(version.id.clone()),
        is_latest: Some(latest),
        last_modified: Some(version.modified.into()),
        owner: None,
    }
}

pub(crate) fn get_public_access(
    shared: &Shared,
    input: &GetPublicAccessBlockInput,
) -> S3Result<GetPublicAccessBlockOutput> {
    let state = shared.state();
    let block = state.bucket(&input.bucket)?.public_access.clone();
    let none = "NoSuchPublicAccessBlockConfiguration";
    let block = block.ok_or_else(|| {
        let mut error = S3Error::new(S3ErrorCode::Custom(none.into()));
        error.set_status_code(http::StatusCode::NOT_FOUND);
        error
    })?;
    Ok(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(block),
    })
}
