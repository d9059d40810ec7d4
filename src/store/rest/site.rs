//! A bucket at a service, or a folder in one: its names, and how errors name it.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::request::Builder;

use super::{Call, Failure, Service};
use crate::store::{Error, ErrorKind, Key, Place, Result, StoreUrl, Tag};

/// Where a store is.
#[derive(Clone)]
pub(in crate::store) struct Site {
    pub service: &'static Service,
    /// Where the service is: its host.
    pub host: Arc<str>,
    pub bucket: Arc<str>,
    /// The store's printable URL.
    pub url: Arc<str>,
    /// The folder in the bucket, without a slash at either end.
    pub prefix: Arc<str>,
}

impl Site {
    /// The place at a URL, whose authority is the bucket.
    pub(in crate::store) fn of(url: &StoreUrl, service: &'static Service, host: &str) -> Self {
        Self {
            service,
            host: host.into(),
            bucket: url.authority.as_str().into(),
            url: url.to_string().into(),
            prefix: url.path.as_str().into(),
        }
    }

    /// A folder here.
    pub(in crate::store) fn at(&self, folder: &str) -> Self {
        if folder.is_empty() {
            return self.clone();
        }
        Self {
            url: format!("{}/{folder}", self.url).into(),
            prefix: self.full(folder).into(),
            ..self.clone()
        }
    }

    /// The place with a root that names the service.
    pub(in crate::store) fn place(&self, root: String) -> Place {
        Place {
            root,
            prefix: self.prefix.to_string(),
        }
    }

    /// The key's name in the bucket.
    pub(in crate::store) fn full(&self, key: &str) -> String {
        self.place(String::new()).full_key(key)
    }

    /// One call, as errors name it.
    pub(in crate::store) fn call<'a>(
        &'a self,
        operation: &'static str,
        action: &'static str,
        key: Option<&'a Key>,
    ) -> Call<'a> {
        Call {
            service: self.service,
            operation,
            action,
            store: &self.url,
            bucket: &self.bucket,
            host: &self.host,
            key: key.map(Key::as_str),
        }
    }

    /// An error of our own making.
    pub(in crate::store) fn error(
        &self,
        kind: ErrorKind,
        operation: &'static str,
        key: &Key,
        message: impl Into<String>,
    ) -> Error {
        Error::new(kind, operation, message).at(&self.url, Some(key.as_str()))
    }

    /// Somebody else was there first.
    pub(in crate::store) fn overtaken(
        &self,
        operation: &'static str,
        key: &Key,
        found: Option<Tag>,
    ) -> Error {
        let message = match found {
            Some(_) => "the object is no longer the version that was read",
            None => "the object that was read is gone",
        };
        let kind = ErrorKind::PreconditionFailed { found };
        self.error(kind, operation, key, message)
    }

    /// What a write with `IfAbsent` met.
    pub(in crate::store) fn exists(&self, operation: &'static str, key: &Key) -> Error {
        let message = "the object exists already";
        self.error(ErrorKind::AlreadyExists, operation, key, message)
    }
}

impl Call<'_> {
    /// The request, with its body.
    pub(in crate::store) fn built(&self, request: Builder, body: Bytes) -> Result<Request<Bytes>> {
        let built = request.body(body);
        built.map_err(|error| Failure::unsent(error.to_string()).into_error(self))
    }
}
