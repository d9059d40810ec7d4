//! What was asked of the double, and what is to go wrong with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::HeaderMap;

use super::faults::{Action, Fault, Hook, strike};

/// A request that the double received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The operation by its S3 name; empty when the request was refused before it was known,
    /// as with a bad signature.
    pub(crate) op: String,
    /// Empty when the operation has none.
    pub(crate) bucket: String,
    /// Empty when the operation has none.
    pub(crate) key: String,
    /// Whose signature it has.
    pub(crate) access_key: String,
    /// The raw query.
    pub(crate) query: String,
    /// All headers but the signature, in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    /// A header's value by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The headers that a log may show.
pub(crate) fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| *name != http::header::AUTHORIZATION)
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect()
}

/// What travels with one request through the layers.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) number: u64,
    pub(crate) request: Option<Request>,
    pub(crate) action: Option<Action>,
}

/// An [`Exchange`] as an extension of its request.
pub(crate) type Slot = Arc<Mutex<Exchange>>;

/// The log, the faults that wait, and the hooks.
#[derive(Default)]
pub(crate) struct Log {
    received: u64,
    pub(crate) requests: Vec<Request>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) before: Option<Hook>,
    pub(crate) after: Option<Hook>,
}

impl Log {
    /// Records a request; answers its number, counted from 1, and the fault that strikes it.
    pub(crate) fn record(&mut self, request: &Request) -> (u64, Option<Action>) {
        self.received += 1;
        self.requests.push(request.clone());
        (self.received, strike(&mut self.faults, request))
    }

    /// Forgets the requests so far and starts to count from 1 again.
    pub(crate) fn reset(&mut self) {
        self.received = 0;
        self.requests.clear();
    }
}
