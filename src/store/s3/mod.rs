//! `s3://`, `do://`, `scw://`, `linode://` and `hos://`: AWS S3 and the services that speak it.
//! `s3-bucket://` is what a bucket of `s3://` is told.

mod about;
mod bucket;
mod client;
mod codes;
mod copy;
mod copy_parts;
mod credentials;
mod delete;
mod encryption;
mod error;
mod http;
mod list;
mod multipart;
mod profiles;
mod read;
mod region;
mod settings;
mod vendor;
mod write;

use std::any::Any;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption};

use self::client::{Account, Bucket};
use self::encryption::Rule;
use self::error::{Call, Failure};
use self::settings::Region;
use super::folder::Folder;
use super::registry::{Env, Kind};
use super::{
    Algorithm, Body, Capabilities, Checksum, Error, ErrorKind, Key, ListOptions, Listing, Meta,
    Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions, mark,
    pages,
};

pub use self::about::BucketSettings;
pub(super) use self::bucket::BUCKET_KIND;
pub use self::bucket::BucketStore;
pub use self::client::{Clients, Tuning};

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["s3", "do", "scw", "linode", "hos"],
    summary: "Amazon S3, and services that speak as it does: DigitalOcean's Spaces, Scaleway, \
              Linode, Hetzner, Ceph and others",
    form: "BUCKET/PREFIX",
    options: &[
        "profile",
        "region",
        "endpoint",
        "role_arn",
        "external_id",
        "access_key_env",
        "secret_key_env",
        "path_style",
        "acl",
        "sse",
        "sse_kms_key_id",
    ],
    beside: &[
        "ACLs",
        "encryption settings (SSE)",
        "tags, where the service itself can't copy",
        "storage classes",
        "older versions",
    ],
    environment: &[
        ("AWS_PROFILE", "the profile of the AWS configuration files"),
        (
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
            "keys, before what the profile, the web identity or the machine gives",
        ),
        ("AWS_REGION, AWS_DEFAULT_REGION", "the region"),
        (
            "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL",
            "another service, with AWS's credentials",
        ),
        (
            "S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY",
            "another service with its own keys, as in kOps",
        ),
        ("KOPS_STATE_S3_ACL", "the canned ACL of what is written"),
    ],
};

/// The longest name of an object in bytes, the store's own prefix included:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
const LONGEST_NAME: usize = 1024;

/// A bucket, or a folder in one.
#[derive(Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
    folder: Folder,
}

/// What a store and all its folders have in common.
struct Shared {
    account: Arc<Account>,
    bucket: Arc<Bucket>,
    bucket_name: String,
    region: Region,
    rule: Rule,
    acl: Option<ObjectCannedAcl>,
}

impl S3Store {
    fn open(url: &StoreUrl, account: Arc<Account>, region: Region, env: &Env) -> Result<Self> {
        let shared = Shared {
            bucket: account.bucket(&url.authority, &region),
            account,
            bucket_name: url.authority.clone(),
            region,
            rule: Rule::of(url)?,
            acl: encryption::acl(url, env)?,
        };
        Ok(Self {
            shared: Arc::new(shared),
            folder: Folder::of(url),
        })
    }

    /// The name of an object to be written.
    fn new_name(&self, operation: &'static str, key: &Key) -> Result<String> {
        let full = self.folder.full(key.as_str());
        if full.len() > LONGEST_NAME {
            let message = format!(
                "its name in the bucket has {} bytes, and S3 takes {LONGEST_NAME}",
                full.len()
            );
            return Err(self
                .folder
                .error(ErrorKind::InvalidKey, operation, key, message));
        }
        Ok(full)
    }

    /// How errors name a call.
    fn call<'a>(
        &'a self,
        operation: &'static str,
        action: &'static str,
        key: Option<(&'a Key, &'a str)>,
    ) -> Call<'a> {
        Call {
            operation,
            action,
            store: &self.folder.url,
            service: &self.shared.account.service,
            bucket: &self.shared.bucket_name,
            full_key: key.map(|(_, full)| full),
            key: key.map(|(key, _)| key.as_str()),
        }
    }

    /// One `HeadObject`, retried. A 404 without a body is checked against the bucket.
    async fn head(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let mut meta = self.head_marked(operation, key).await?;
        meta.user.remove(mark::MARK);
        Ok(meta)
    }

    /// As [`head`](Self::head), with the mark of the write among the user metadata.
    async fn head_marked(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let full = self.folder.full(key.as_str());
        let client = self.client(operation).await?;
        let ask = |_| async {
            let request = client
                .head_object()
                .bucket(&self.shared.bucket_name)
                .key(&full);
            let answer = request.send().await.map_err(|error| {
                Failure::of(&error).into_error(&self.call(
                    operation,
                    "s3:GetObject",
                    Some((key, &full)),
                ))
            })?;
            let size = answer.content_length().unwrap_or_default();
            let tag = answer.e_tag().and_then(tag_of);
            let md5 = tag
                .as_ref()
                .and_then(|tag| md5_in(tag, answer.server_side_encryption()));
            Ok(Meta {
                size: u64::try_from(size).unwrap_or_default(),
                modified: answer.last_modified().and_then(time_of),
                checksum: md5,
                tag,
                content_type: answer.content_type().map(str::to_owned),
                user: answer
                    .metadata()
                    .map(|user| user.clone().into_iter().collect())
                    .unwrap_or_default(),
                version: kept_version(answer.version_id()),
                ..Meta::new(key.clone(), 0)
            })
        };
        match self.shared.account.tuning().retry.run(ask).await {
            Err(error) if error.is_missing_key() => {
                self.check_bucket(operation).await?;
                Err(error)
            }
            result => result,
        }
    }
}

/// An `ETag` as we keep it: without quotes.
fn tag_of(etag: &str) -> Option<Tag> {
    let bare = etag.trim();
    let bare = bare.strip_prefix("W/").unwrap_or(bare).trim_matches('"');
    (!bare.is_empty()).then(|| Tag(bare.to_owned()))
}

/// The MD5 that a tag is, when it is one: an object that went up in parts has `-N` at its end,
/// and with KMS the tag is no MD5 at all. A listing doesn't tell about KMS, so there such a tag
/// passes for a checksum; whoever meets a mismatch compares the bytes before believing it.
fn md5_in(tag: &Tag, encryption: Option<&ServerSideEncryption>) -> Option<Checksum> {
    let is_plain = match encryption {
        None => true,
        Some(encryption) => *encryption == ServerSideEncryption::Aes256,
    };
    is_plain.then(|| Checksum::md5_of_hex(&tag.0)).flatten()
}

/// The id of a version that stays when it is overwritten or deleted. `null` is the one of objects
/// written while versions were off, which the next write may replace.
fn kept_version(id: Option<&str>) -> Option<String> {
    id.filter(|id| *id != "null").map(str::to_owned)
}

fn time_of(time: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*time).ok()
}

/// The tag as `If-Match` has it.
fn quoted(tag: &Tag) -> String {
    format!("\"{}\"", tag.0)
}

#[async_trait]
impl Store for S3Store {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        let service = self.shared.account.settings.root(&self.shared.region);
        let bucket = &self.shared.bucket_name;
        self.folder.place(format!("s3+{service}/{bucket}"))
    }

    fn capabilities(&self) -> Capabilities {
        let vendor = self.shared.account.vendor;
        Capabilities {
            if_absent: true,
            if_match: true,
            proven_conditions: vendor.is_aws(),
            delete_if_match: vendor.delete_if_match,
            copy_conditions: vendor.late_conditions,
            max_conditional: (!vendor.late_conditions)
                .then(|| self.shared.account.tuning().largest_conditional),
            verified_writes: true,
            checksum: Some(Algorithm::Md5),
            server_copy: true,
            hierarchical: false,
            metadata: true,
            ephemeral: false,
            max_key: Some(LONGEST_NAME),
            // 10,000 parts of at most 5 GiB, and 5 TiB in all:
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
            max_size: Some(5 << 40),
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            shared: Arc::clone(&self.shared),
            folder: self.folder.at(folder),
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.head("stat", key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.get(key, options).await
    }

    async fn read_version(&self, key: &Key, version: &str) -> Result<Object> {
        self.get_version(key, version).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.put(key, body, &options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.delete_one(key, &precondition).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        self.delete_all(keys).await
    }

    fn list(&self, options: ListOptions) -> Listing {
        pages::listing(self.clone(), &self.folder, options)
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        match source.backend().downcast_ref::<Self>() {
            Some(source) => self.copy_here(source, from, key, options).await,
            None => Ok(None),
        }
    }

    fn backend(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_lose_their_quotes_and_weakness() {
        assert_eq!(tag_of("\"abc-2\""), Some(Tag("abc-2".into())));
        assert_eq!(tag_of("W/\"abc\""), Some(Tag("abc".into())));
        assert_eq!(tag_of("abc"), Some(Tag("abc".into())));
        assert_eq!(tag_of("\"\""), None);
    }

    #[test]
    fn only_plain_md5s_are_checksums() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let tag = |text: &str| Tag(text.to_owned());
        let checksum = md5_in(&tag(md5), Some(&ServerSideEncryption::Aes256));
        assert_eq!(checksum.map(|checksum| checksum.hex()), Some(md5.into()));
        assert_eq!(md5_in(&tag(md5), Some(&ServerSideEncryption::AwsKms)), None);
        assert_eq!(md5_in(&tag(&format!("{md5}-2")), None), None);
        assert_eq!(md5_in(&tag(&"é".repeat(16)), None), None);
    }

    #[test]
    fn opening_asks_nobody_and_shares_accounts() {
        let env: Env = [("AWS_EC2_METADATA_DISABLED", "true")]
            .into_iter()
            .collect();
        let clients = Clients::new(env);
        let open = |url: &str| clients.open(&StoreUrl::parse(url).unwrap()).unwrap();
        let (a, b) = (open("s3://a/x"), open("s3://b?region=eu-west-1"));
        assert!(Arc::ptr_eq(&a.shared.account, &b.shared.account));
        assert!(!Arc::ptr_eq(
            &a.shared.account,
            &open("s3://a?endpoint=http://127.0.0.1:1").shared.account
        ));
        let deeper = a.at("y/z");
        assert_eq!(deeper.url(), "s3://a/x/y/z");
        assert!(a.place().contains(&deeper.place()));
    }
}
