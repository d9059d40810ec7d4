//! An S3 service in this process, for tests: real HTTP and real signatures on loopback, objects
//! in memory, every write under one lock, with scripted faults and the manners of several vendors.
//!
//! ```ignore
//! let double = S3Double::builder().personality(Personality::Ceph).page_size(3).bucket("b").start();
//! double.put("b", "key", "value");
//! double.fault(Fault::on("GetObject").key("key").nth(2).then(Action::slow_down()));
//! // a process dies at its fifth request, before anything is written, and gets no answer
//! double.before_requests(move |n, _| (n == 5).then(|| { kill(child); Action::Hang }));
//! ```

#![expect(
    clippy::expect_used,
    reason = "a double that can't work fails its test"
)]

mod access;
mod conditions;
mod content;
mod faults;
mod listing;
mod log;
mod multipart;
mod objects;
mod personality;
mod policy;
mod respond;
mod server;
mod service;
mod settings;
mod state;
mod upload;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use s3s::auth::SimpleAuth;

pub(crate) use self::content::Content;
use self::faults::Hook;
pub(crate) use self::faults::{Action, Fault};
pub(crate) use self::log::Request;
pub(crate) use self::personality::Personality;
use self::server::Shared;
pub(crate) use self::state::{Attributes, Object, Upload, Version};
use self::state::{Bucket, Deny, State};
use crate::loopback::Loopback;

/// How a double is to be.
pub(crate) struct Builder {
    personality: Personality,
    page_size: usize,
    min_part: u64,
    region: String,
    buckets: BTreeMap<String, String>,
    accounts: Vec<String>,
}

impl Builder {
    /// Whose manners it has; AWS's unless told otherwise.
    pub(crate) fn personality(self, personality: Personality) -> Self {
        Self {
            personality,
            ..self
        }
    }

    /// The most entries of a page of any listing; 1000 unless told otherwise.
    pub(crate) fn page_size(self, page_size: usize) -> Self {
        Self { page_size, ..self }
    }

    /// The least bytes of a part but the last; 5 MiB unless told otherwise.
    pub(crate) fn min_part(self, min_part: u64) -> Self {
        Self { min_part, ..self }
    }

    /// The region of buckets that don't name theirs, and of [`S3Double::env`]; us-east-1 unless
    /// told otherwise.
    pub(crate) fn region(self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..self
        }
    }

    /// Has this bucket, in the double's region.
    pub(crate) fn bucket(mut self, name: &str) -> Self {
        self.buckets.insert(name.to_owned(), String::new());
        self
    }

    /// Has this bucket, in a region of its own.
    pub(crate) fn bucket_in(mut self, name: &str, region: &str) -> Self {
        self.buckets.insert(name.to_owned(), region.to_owned());
        self
    }

    /// Has another account: its name is its access key, `secret-of-NAME` its secret key.
    pub(crate) fn account(mut self, name: &str) -> Self {
        self.accounts.push(name.to_owned());
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> S3Double {
        let quirks = self.personality.quirks();
        let mut state = State::default();
        for (name, region) in self.buckets {
            let region = if region.is_empty() {
                &self.region
            } else {
                &region
            };
            state
                .buckets
                .insert(name, Bucket::new(region, quirks.versioned));
        }
        let mut accounts = SimpleAuth::new();
        for name in self.accounts {
            let secret = secret_of(&name);
            accounts.register(name, secret.into());
        }
        let shared = Arc::new(Shared::new(state, quirks, self.page_size, self.min_part));
        S3Double {
            server: server::serve(shared.clone(), accounts),
            shared,
            region: self.region,
        }
    }
}

fn secret_of(account: &str) -> String {
    format!("secret-of-{account}")
}

/// A running double.
pub(crate) struct S3Double {
    shared: Arc<Shared>,
    server: Loopback,
    region: String,
}

impl S3Double {
    /// One with AWS's manners and no bucket.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder {
            personality: Personality::Aws,
            page_size: 1000,
            min_part: 5 * 1024 * 1024,
            region: "us-east-1".to_owned(),
            buckets: BTreeMap::new(),
            accounts: vec!["main".to_owned()],
        }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// The access key of the account that is always there.
    #[expect(clippy::unused_self, reason = "reads like the other settings")]
    pub(crate) fn access_key(&self) -> &'static str {
        "main"
    }

    pub(crate) fn secret_key(&self) -> String {
        secret_of(self.access_key())
    }

    /// The environment that leads an AWS client to it.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.env_of(self.access_key())
    }

    /// [`S3Double::env`] for another account.
    pub(crate) fn env_of(&self, account: &str) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint().to_owned()),
            ("AWS_ACCESS_KEY_ID", account.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret_of(account)),
            ("AWS_REGION", self.region.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Makes a bucket.
    pub(crate) fn create_bucket(&self, name: &str, region: &str) {
        let bucket = Bucket::new(region, self.shared.quirks.versioned);
        self.shared.state().buckets.insert(name.to_owned(), bucket);
    }

    /// Makes a bucket of `count` generated objects of 64 bytes, a thousand to a folder
    /// (`synthetic/000000/000` on), which takes no memory. Others can be put beside them.
    pub(crate) fn synthetic_bucket(&self, name: &str, count: u64) {
        let mut bucket = Bucket::new(&self.region, false);
        bucket.synthetic = count;
        self.shared.state().buckets.insert(name.to_owned(), bucket);
    }

    /// Keeps the public out of a bucket, by some of the four settings.
    pub(crate) fn block_public_access(&self, bucket: &str, acls: bool, policies: bool) {
        let mut state = self.shared.state();
        let block = s3s::dto::PublicAccessBlockConfiguration {
            block_public_acls: Some(acls),
            ignore_public_acls: Some(acls),
            block_public_policy: Some(policies),
            restrict_public_buckets: Some(policies),
        };
        state.bucket_mut(bucket).expect("the bucket").public_access = Some(block);
    }

    /// Switches a bucket's versions on.
    pub(crate) fn enable_versioning(&self, bucket: &str) {
        let mut state = self.shared.state();
        state.bucket_mut(bucket).expect("the bucket").versioning = Some("Enabled".to_owned());
    }

    /// A bucket's policy as the service keeps it.
    pub(crate) fn policy(&self, bucket: &str) -> Option<String> {
        let state = self.shared.state();
        state.bucket(bucket).expect("the bucket").policy.clone()
    }

    /// Gives a bucket a policy that AWS wouldn't take.
    pub(crate) fn force_policy(&self, bucket: &str, text: &str) {
        let mut state = self.shared.state();
        let bucket = state.bucket_mut(bucket).expect("the bucket");
        bucket.policy = Some(text.to_owned());
    }

    /// Has a bucket's objects encrypted with a KMS key.
    pub(crate) fn encrypt_with(&self, bucket: &str, key: &str) {
        let mut state = self.shared.state();
        let bucket = state.bucket_mut(bucket).expect("the bucket");
        bucket.encryption = Some(settings::encryption("aws:kms", Some(key)));
    }

    /// Refuses an action (as policies name it, without `s3:`; `*` for all) to an account, for
    /// keys with a prefix.
    pub(crate) fn deny(&self, access_key: &str, action: &str, bucket: &str, prefix: &str) {
        self.shared.state().denies.push(Deny {
            access_key: access_key.to_owned(),
            action: action.to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        });
    }

    /// Puts an object; answers its entity tag.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        self.put_with(bucket, key, bytes.into().into(), Attributes::default())
    }

    /// Puts an object of `size` generated bytes that takes no memory.
    pub(crate) fn put_synthetic(&self, bucket: &str, key: &str, size: u64, seed: u64) -> String {
        self.put_with(
            bucket,
            key,
            Content::synthetic(size, seed),
            Attributes::default(),
        )
    }

    /// Puts an object with all it carries.
    pub(crate) fn put_with(
        &self,
        bucket: &str,
        key: &str,
        content: Content,
        attributes: Attributes,
    ) -> String {
        let object = Object::new(content, attributes, self.access_key());
        let etag = object.etag.clone();
        self.shared
            .state()
            .put(bucket, key, object)
            .expect("the bucket");
        etag
    }

    /// The bytes of an object.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.object(bucket, key).map(|object| object.bytes())
    }

    /// An object with all it carries.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Arc<Object>> {
        self.shared.state().bucket(bucket).ok()?.get(key)
    }

    /// All keys of a bucket, in byte order.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.shared.state();
        let bucket = state.bucket(bucket).expect("the bucket");
        let first = bucket.next(Bound::Unbounded).map(|(key, _)| key);
        std::iter::successors(first, |key| Some(bucket.next(Bound::Excluded(key))?.0)).collect()
    }

    /// Removes an object with all its versions.
    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        let mut state = self.shared.state();
        let bucket = state.bucket_mut(bucket).expect("the bucket");
        let ids: Vec<String> = bucket.versions(key).iter().map(|v| v.id.clone()).collect();
        for id in ids {
            bucket.delete(key, Some(&id), String::new());
        }
    }

    /// The versions of an object, the newest last.
    pub(crate) fn versions(&self, bucket: &str, key: &str) -> Vec<Version> {
        let state = self.shared.state();
        state
            .bucket(bucket)
            .expect("the bucket")
            .versions(key)
            .to_vec()
    }

    /// The uploads to a bucket that are neither completed nor aborted.
    pub(crate) fn uploads(&self, bucket: &str) -> Vec<Upload> {
        let state = self.shared.state();
        let of_bucket = state
            .uploads
            .values()
            .filter(|upload| upload.bucket == bucket);
        of_bucket.cloned().collect()
    }

    /// Adds a fault. When several strike one request, the oldest has its way.
    pub(crate) fn fault(&self, fault: Fault) {
        self.shared.log().faults.push(fault);
    }

    /// Removes all faults and hooks.
    pub(crate) fn clear_faults(&self) {
        let mut log = self.shared.log();
        log.faults.clear();
        (log.before, log.after) = (None, None);
    }

    /// Calls `hook` with the number of every request, counted from 1, before anything is done
    /// for it. What it answers comes before any fault. It may block, and may use the double, but
    /// must not own it.
    pub(crate) fn before_requests(
        &self,
        hook: impl Fn(u64, &Request) -> Option<Action> + Send + Sync + 'static,
    ) {
        self.shared.log().before = Some(Hook::new(hook));
    }

    /// Calls `hook` with the number of every request after it was carried out, before the answer
    /// is sent.
    pub(crate) fn after_requests(
        &self,
        hook: impl Fn(u64, &Request) -> Option<Action> + Send + Sync + 'static,
    ) {
        self.shared.log().after = Some(Hook::new(hook));
    }

    /// Every request since the start or the last reset.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log().requests.clone()
    }

    /// How often an operation was asked for, by its S3 name.
    pub(crate) fn count(&self, op: &str) -> usize {
        self.shared
            .log()
            .requests
            .iter()
            .filter(|request| request.op == op)
            .count()
    }

    /// Forgets the requests so far and counts from 1 again.
    pub(crate) fn reset_counts(&self) {
        self.shared.log().reset();
    }
}
