//! A bucket at a service, as errors name it.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::request::Builder;

use super::{Call, Failure, Service};
use crate::store::folder::Folder;
use crate::store::{Key, Result};

/// Where a bucket is.
#[derive(Clone)]
pub(in crate::store) struct Site {
    pub service: &'static Service,
    /// Where the service is: its host.
    pub host: Arc<str>,
    pub bucket: Arc<str>,
}

impl Site {
    /// One call about a store's folder, or about an object there.
    pub(in crate::store) fn call<'a>(
        &'a self,
        folder: &'a Folder,
        operation: &'static str,
        action: &'static str,
        key: Option<&'a Key>,
    ) -> Call<'a> {
        Call {
            service: self.service,
            operation,
            action,
            store: &folder.url,
            bucket: &self.bucket,
            host: &self.host,
            key: key.map(Key::as_str),
        }
    }
}

impl Call<'_> {
    /// The request, with its body.
    pub(in crate::store) fn built(&self, request: Builder, body: Bytes) -> Result<Request<Bytes>> {
        let built = request.body(body);
        built.map_err(|error| Failure::unsent(error.to_string()).into_error(self))
    }
}
