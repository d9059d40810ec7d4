//! What the stores share that are asked over plain HTTP: one client, the credentials' way to the
//! environment, and what a failed call means.
//!
//! The credential chains and signatures are those of the `reqsign` crates. The calls are our own:
//! a general client over many services folds names (spaces, `//`) that are two objects here.

mod accounts;
mod client;
mod context;
mod failure;
mod object;
mod site;

pub(super) use accounts::Accounts;
pub(super) use client::{Answer, Client};
pub(super) use context::context;
pub(crate) use failure::by_status;
pub(super) use failure::{Call, Failure, Service, Told};
pub(super) use object::ranged;
pub(super) use site::Site;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::retry;

/// What can be set for a whole process, with the defaults for production.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How passing troubles are met.
    pub retry: retry::Policy,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for the first byte of an answer, and between two reads of its body.
    pub answer_timeout: Duration,
    /// The size of an upload's parts in bytes. What is no longer goes up in one request.
    pub part_size: u64,
    /// The most bytes that one call copies on the server; the service's own number when there is
    /// none.
    pub largest_copy: Option<u64>,
    /// How many bytes of streamed bodies may be in memory at once, over all uploads; no less
    /// than one part.
    pub memory: u64,
    /// How many entries a page of a listing has; the service's own number when there is none.
    pub page: Option<u32>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            retry: retry::Policy::default(),
            connect_timeout: Duration::from_millis(3100),
            answer_timeout: Duration::from_mins(2),
            part_size: 8 << 20,
            largest_copy: None,
            memory: 32 << 20,
            page: None,
        }
    }
}

/// All but RFC 3986's unreserved characters: what every signature agrees on.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text as one segment of a path, or as a value in a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A name with its slashes as a path.
pub(crate) fn encoded_path(name: &str) -> String {
    const PATH: &AsciiSet = &ENCODED.remove(b'/');
    utf8_percent_encode(name, PATH).to_string()
}

/// A query: pairs, those without a value left out.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            text.push_str(&encoded(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_once_and_whole() {
        assert_eq!(encoded("a b/ü+%2F"), "a%20b%2F%C3%BC%2B%252F");
        assert_eq!(encoded_path("a b/c'"), "a%20b/c%27");
        let pairs = [("a", Some("x y")), ("b", None), ("c", Some(""))];
        assert_eq!(query(pairs), "?a=x%20y&c=");
        assert_eq!(query([("a", None)]), "");
    }
}
