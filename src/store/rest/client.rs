//! One pool of connections, and answers whose bodies stream.

use std::error::Error as _;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Request, StatusCode};
use reqwest::{Certificate, ClientBuilder, redirect};

use super::{Failure, Tuning};
use crate::store::resume::Broken;
use crate::store::{Error, ErrorKind, Result};

/// The most of an answer that is no object, in bytes: a page of a listing has a few megabytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// An HTTP client. Proxies are taken from the environment as Go programs such as kOps do.
#[derive(Clone)]
pub(in crate::store) struct Client(reqwest::Client);

/// What a service answered, its body still to come.
pub(in crate::store) struct Answer(reqwest::Response);

impl Client {
    /// A client with a pool of its own. With `trusts_anybody` no certificate is checked.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the system's certificates can't be used.
    pub(in crate::store) fn new(tuning: &Tuning, trusts_anybody: bool) -> Result<Self> {
        Self::built(builder(tuning).tls_danger_accept_invalid_certs(trusts_anybody))
    }

    /// As [`new`](Self::new), with these certificates (PEM) beside the system's.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when there are none.
    pub(in crate::store) fn trusting(tuning: &Tuning, certificates: &[u8]) -> Result<Self> {
        let certificates = Certificate::from_pem_bundle(certificates).map_err(no_client)?;
        if certificates.is_empty() {
            let message = "there is no certificate in the file that is to be trusted";
            return Err(Error::new(ErrorKind::Invalid, "open", message)
                .hint("certificates stand there as text (PEM): -----BEGIN CERTIFICATE-----"));
        }
        Self::built(builder(tuning).tls_certs_merge(certificates))
    }

    fn built(builder: ClientBuilder) -> Result<Self> {
        builder.build().map(Self).map_err(no_client)
    }

    /// Sends a request; any status is an answer.
    pub(in crate::store) async fn send(&self, request: Request<Bytes>) -> Result<Answer, Failure> {
        let request = request
            .try_into()
            .map_err(|error: reqwest::Error| Failure::unsent(chain(&error)))?;
        match self.0.execute(request).await {
            Ok(answer) => Ok(Answer(answer)),
            Err(error) if error.is_builder() => Err(Failure::unsent(chain(&error))),
            Err(error) => Err(Failure::transport(chain(&error))),
        }
    }
}

impl Answer {
    pub(in crate::store) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(in crate::store) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// A header, when it is there and text.
    pub(in crate::store) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The length of the body in bytes, as the header has it: also of an answer to `HEAD`.
    pub(in crate::store) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// The whole body.
    pub(in crate::store) async fn bytes(self) -> Result<Bytes, Failure> {
        let mut body = self.0.bytes_stream();
        let mut all = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Failure::transport(chain(&error)))?;
            if all.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Failure::nonsense("the answer doesn't end".to_owned()));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The body as it comes.
    pub(in crate::store) fn chunks(self) -> BoxStream<'static, Result<Bytes, Broken>> {
        let body = self.0.bytes_stream();
        body.map(|chunk| chunk.map_err(|error| Broken::Off(chain(&error))))
            .boxed()
    }
}

fn builder(tuning: &Tuning) -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(tuning.connect_timeout)
        .read_timeout(tuning.answer_timeout)
        // Each service's own code follows what it knows; a signature is for one place.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("kstate/", env!("CARGO_PKG_VERSION")))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_client(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Invalid, "open", chain(&error))
        .hint("check the certificates of this machine, and HTTPS_PROXY")
}

/// What lies beneath an error: each message says more than the one before. The URL is left out:
/// its query may be a signature.
fn chain(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if words.last().is_none_or(|last| !last.ends_with(&message)) {
            words.push(message);
        }
        next = cause.source();
    }
    match words.is_empty() {
        true if error.is_timeout() => "no answer in time".to_owned(),
        true => "the connection failed".to_owned(),
        false => words.join(": "),
    }
}
