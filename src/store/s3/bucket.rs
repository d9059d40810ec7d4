//! `s3-bucket://`: what a bucket is told, as a store of its own.
//!
//! So a policy is read, planned, written, kept in the journal and taken back as any other object.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_bucket_encryption::GetBucketEncryptionOutput;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::error::{Call, Failure};
use super::{KIND, S3Store};
use crate::store::folder::Folder;
use crate::store::registry::Kind;
use crate::store::{
    Algorithm, Body, Capabilities, Checksum, Entry, Error, ErrorKind, Key, ListOptions, Listing,
    Meta, Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, Tag, WriteOptions,
};

/// What people need to know.
pub(in crate::store) const BUCKET_KIND: Kind = Kind {
    schemes: &["s3-bucket"],
    summary: "What an S3 bucket is told: its policy (policy.json), and to read, its default \
              encryption (encryption.json)",
    form: "BUCKET",
    beside: &[],
    ..KIND
};

/// The bucket's policy.
const POLICY: &str = "policy.json";
/// The bucket's default encryption, as the AWS CLI shows it. It is only read.
const ENCRYPTION: &str = "encryption.json";

/// The largest policy in bytes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>.
const LARGEST: u64 = 20 << 10;

/// The settings of a bucket.
#[derive(Clone)]
pub struct BucketStore {
    bucket: S3Store,
    folder: Folder,
}

impl BucketStore {
    pub(super) fn new(bucket: S3Store, url: &StoreUrl) -> Self {
        Self {
            bucket,
            folder: Folder::of(url),
        }
    }

    fn call<'a>(&'a self, operation: &'static str, action: &'static str, key: &'a Key) -> Call<'a> {
        Call {
            store: &self.folder.url,
            key: Some(key.as_str()),
            ..self.bucket.call(operation, action, None)
        }
    }

    /// One request, repeated as long as it may pass: whichever it is, twice is the same as once.
    async fn ask<T, F>(&self, call: Call<'_>, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let ask = |_| async {
            request().await.map_err(|failure| {
                let is_stranger = failure.is(&["MethodNotAllowed"]);
                let error = failure.into_error(&call);
                if !is_stranger {
                    return error;
                }
                error.hint(
                    "the service has no policies, or it is another account's bucket: only its own \
                     account may read and write its policy",
                )
            })
        };
        self.bucket.shared.account.tuning().retry.run(ask).await
    }

    async fn text(&self, operation: &'static str, key: &Key) -> Result<String> {
        let client = self.bucket.client(operation).await?;
        let bucket = &self.bucket.shared.bucket_name;
        match self.folder.full(key.as_str()).as_str() {
            POLICY => {
                let call = self.call(operation, "s3:GetBucketPolicy", key);
                let answer = self.ask(call, async || {
                    let answer = client.get_bucket_policy().bucket(bucket).send().await;
                    answer.map_err(|error| Failure::of(&error))
                });
                let policy = answer.await?.policy.filter(|policy| !policy.is_empty());
                policy.ok_or_else(|| self.missing(operation, key))
            }
            ENCRYPTION => {
                let call = self.call(operation, "s3:GetEncryptionConfiguration", key);
                let answer = self.ask(call, async || {
                    let answer = client.get_bucket_encryption().bucket(bucket).send().await;
                    answer.map_err(|error| Failure::of(&error))
                });
                let rules = rules(&answer.await?);
                let rules = rules.ok_or_else(|| self.missing(operation, key))?;
                Ok(rules.to_string())
            }
            _ => Err(self.missing(operation, key)),
        }
    }

    fn missing(&self, operation: &'static str, key: &Key) -> Error {
        let message = "the bucket has none";
        self.folder
            .error(ErrorKind::NotFound, operation, key, message)
    }

    /// Refuses what can't be written, or not under a condition.
    fn check(&self, operation: &'static str, key: &Key, condition: &Precondition) -> Result<()> {
        if let Some(why) = self.refuses(key) {
            let kind = ErrorKind::InvalidKey;
            return Err(self.folder.error(kind, operation, key, why));
        }
        if *condition != Precondition::None {
            let message = "S3 compares nothing when it takes a bucket's policy";
            let kind = ErrorKind::Unsupported;
            return Err(self.folder.error(kind, operation, key, message));
        }
        Ok(())
    }
}

/// The encryption that a bucket gives to what is written without; none when it has no rules.
fn rules(answer: &GetBucketEncryptionOutput) -> Option<Value> {
    let rules = answer.server_side_encryption_configuration()?.rules();
    let rules = rules.iter().map(|rule| {
        let default = rule.apply_server_side_encryption_by_default();
        let mut applied = json!({});
        if let Some(default) = default {
            applied["SSEAlgorithm"] = default.sse_algorithm().as_str().into();
            if let Some(key) = default.kms_master_key_id() {
                applied["KMSMasterKeyID"] = key.into();
            }
        }
        json!({
            "ApplyServerSideEncryptionByDefault": applied,
            "BucketKeyEnabled": rule.bucket_key_enabled().unwrap_or_default(),
        })
    });
    let rules: Vec<Value> = rules.collect();
    (!rules.is_empty()).then(|| json!({ "Rules": rules }))
}

fn meta(key: &Key, text: &str) -> Meta {
    Meta {
        tag: Some(tag(text)),
        content_type: Some("application/json".to_owned()),
        ..Meta::new(key.clone(), text.len() as u64)
    }
}

/// The same for texts that mean the same: S3 gives back a policy with other spaces, with lists of
/// one for single values or the other way round, and with lists in another order.
fn tag(text: &str) -> Tag {
    let said = match serde_json::from_str(text) {
        Ok(value) => plain(value).to_string(),
        Err(_) => text.to_owned(),
    };
    Tag(Checksum::of(Algorithm::Sha256, said.as_bytes()).hex())
}

fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(plain).collect();
            if items.iter().all(Value::is_string) {
                items.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
            match items.pop() {
                Some(only) if items.is_empty() => only,
                last => Value::Array(items.into_iter().chain(last).collect()),
            }
        }
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, plain(value)));
            let mut fields: serde_json::Map<_, _> = fields.collect();
            fields.sort_keys();
            Value::Object(fields)
        }
        other => other,
    }
}

#[async_trait]
impl Store for BucketStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    /// Apart from the objects of the bucket: who may write those need not be let write this.
    fn place(&self) -> Place {
        let bucket = self.bucket.place().root;
        self.folder.place(format!("settings of {bucket}"))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: false,
            if_match: false,
            proven_conditions: false,
            delete_if_match: false,
            copy_conditions: false,
            max_conditional: None,
            verified_writes: true,
            checksum: None,
            server_copy: false,
            hierarchical: false,
            metadata: false,
            ephemeral: false,
            max_key: None,
            max_size: Some(LARGEST),
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            bucket: self.bucket.clone(),
            folder: self.folder.at(folder),
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        Ok(meta(key, &self.text("stat", key).await?))
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let text = self.text("read", key).await?;
        let meta = meta(key, &text);
        if options.if_match.is_some() && options.if_match != meta.tag {
            return Err(self.folder.overtaken("read", key, meta.tag));
        }
        let bytes = Bytes::from(text);
        let part = options.range.map_or(0..bytes.len(), |range| {
            let within =
                |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
            let start = within(range.start);
            start..within(range.end).max(start)
        });
        let body = Body::Bytes(bytes.slice(part));
        Ok(Object { meta, body })
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.check("write", key, &options.precondition)?;
        let wrong = |kind, message: String| self.folder.error(kind, "write", key, message);
        let bytes = body.collect(LARGEST).await.map_err(|error| {
            error
                .at(self.url(), Some(key.as_str()))
                .hint("a policy has 20 KB at most: name fewer principals, or an organisation")
        })?;
        if let Some(sum) = &options.checksum
            && Checksum::of(sum.algorithm, &bytes) != *sum
        {
            let message = "the bytes are not what their checksum says";
            return Err(wrong(ErrorKind::Corrupt, message.to_owned()));
        }
        let text = String::from_utf8(bytes.to_vec());
        let text = text.map_err(|_| wrong(ErrorKind::Invalid, "it is no text".to_owned()))?;
        let parsed: Result<Value, _> = serde_json::from_str(&text);
        if let Err(error) = parsed {
            return Err(wrong(ErrorKind::Invalid, format!("it is no JSON: {error}")));
        }
        let client = self.bucket.client("write").await?;
        let bucket = &self.bucket.shared.bucket_name;
        let call = self.call("write", "s3:PutBucketPolicy", key);
        self.ask(call, async || {
            let request = client.put_bucket_policy().bucket(bucket).policy(&text);
            request.send().await.map_err(|error| Failure::of(&error))
        })
        .await?;
        Ok(meta(key, &text))
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.check("delete", key, &precondition)?;
        let client = self.bucket.client("delete").await?;
        let bucket = &self.bucket.shared.bucket_name;
        let call = self.call("delete", "s3:DeleteBucketPolicy", key);
        self.ask(call, async || {
            let request = client.delete_bucket_policy().bucket(bucket);
            request.send().await.map_err(|error| Failure::of(&error))
        })
        .await
        .map(drop)
    }

    fn list(&self, options: ListOptions) -> Listing {
        let is_top = self.folder.prefix.is_empty() && options.below.is_empty();
        let after = options.start_after.unwrap_or_default();
        let names = [ENCRYPTION, POLICY].into_iter();
        let names = names.filter(move |name| is_top && **name > *after);
        let this = self.clone();
        let found = stream::iter(names).then(move |name| {
            let this = this.clone();
            async move {
                let key = Key::parse(name)
                    .map_err(|bad| Error::new(ErrorKind::InvalidKey, "list", bad.reason))?;
                Ok(this.find(&key).await?.map(Entry::Object))
            }
        });
        found.try_filter_map(async |entry| Ok(entry)).boxed()
    }

    async fn copy_from(
        &self,
        _source: &Arc<dyn Store>,
        _from: &Meta,
        _key: &Key,
        _options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        Ok(None)
    }

    fn backend(&self) -> &dyn Any {
        self
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        match self.folder.full(key.as_str()).as_str() {
            POLICY => None,
            ENCRYPTION => Some("a bucket's encryption is only read here".to_owned()),
            _ => Some(format!("{POLICY} is all that can be written here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn a_policy_that_says_the_same_has_the_same_tag() {
        let written = r#"{"Version": "1", "Statement": [{"Action": ["b", "a"], "Principal": {"AWS": ["x"]}}]}"#;
        for same in [
            r#"{"Statement":{"Principal":{"AWS":"x"},"Action":["a","b"]},"Version":"1"}"#,
            r#"{"Version":"1","Statement":[{"Action":["a","b"],"Principal":{"AWS":"x"}}]}"#,
        ] {
            assert_eq!(tag(written), tag(same), "{same}");
        }
        for other in [
            r#"{"Version":"1","Statement":[{"Action":["a"],"Principal":{"AWS":"x"}}]}"#,
            r#"{"Version":"1","Statement":[{"Action":["a","b"],"Principal":"x"}]}"#,
            "no JSON",
        ] {
            assert_ne!(tag(written), tag(other), "{other}");
        }
    }
}
