//! What the services over plain HTTP in this process share: whole bodies in and out, every request
//! noted, and scripted faults.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::loopback::{Broken, Loopback};

/// A service: answers one request at a time, so that it needs no locks of its own.
pub(crate) trait Service: Send + 'static {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes>;
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The status with an empty body, instead of doing anything.
    Status(u16),
    /// Closes the connection, instead of doing anything.
    Reset,
    /// Does what was asked, then closes the connection without an answer.
    LoseAnswer,
    /// Does what was asked, and never answers.
    Hang,
    /// Does what was asked, then answers with this status.
    FailAfter(u16),
    /// Breaks the connection after so many bytes of the answer's body.
    Cut(usize),
    /// Answers with a page of HTML instead, as a captive portal does.
    Nonsense,
}

type Script = dyn FnMut(&Parts, &Bytes) -> Option<Fault> + Send;

struct Shared<S> {
    service: Mutex<S>,
    log: Mutex<Vec<(Parts, Bytes)>>,
    script: Mutex<Option<Box<Script>>>,
}

/// A service that runs until this is dropped.
pub(crate) struct Double<S> {
    shared: Arc<Shared<S>>,
    server: Loopback,
}

impl<S: Service> Double<S> {
    pub(crate) fn start(service: S) -> Self {
        let shared = Arc::new(Shared {
            service: Mutex::new(service),
            log: Mutex::default(),
            script: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let server = Loopback::start(move |request| {
            let shared = Arc::clone(&answering);
            async move { handle(&shared, request).await }
        });
        Self { shared, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.server.endpoint().to_owned()
    }

    /// The service, which answers nobody meanwhile.
    pub(crate) fn service(&self) -> MutexGuard<'_, S> {
        lock(&self.shared.service)
    }

    /// Asks what goes wrong with each request from now on.
    pub(crate) fn script(
        &self,
        script: impl FnMut(&Parts, &Bytes) -> Option<Fault> + Send + 'static,
    ) {
        *lock(&self.shared.script) = Some(Box::new(script));
    }

    /// Makes the first request that `is_meant` fail once.
    pub(crate) fn once(&self, is_meant: impl Fn(&Parts) -> bool + Send + 'static, fault: Fault) {
        let mut fault = Some(fault);
        self.script(move |request, _| fault.take_if(|_| is_meant(request)));
    }

    /// The requests so far, as `METHOD path?query`, and forgets them.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::mem::take(&mut *lock(&self.shared.log));
        log.iter()
            .map(|(parts, _)| format!("{} {}", parts.method, parts.uri))
            .collect()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic under this lock")
}

async fn handle<S: Service>(
    shared: &Shared<S>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Broken> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await
    {
        if let Ok(data) = frame.map_err(|_| Broken)?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    let body = body.freeze();
    lock(&shared.log).push((parts.clone(), body.clone()));
    let fault = lock(&shared.script)
        .as_mut()
        .and_then(|script| script(&parts, &body));
    let status = |status: u16| {
        let mut response = Response::new(Reply::whole(Bytes::new()));
        *response.status_mut() = status.try_into().expect("a status");
        response
    };
    match fault {
        Some(Fault::Status(code)) => return Ok(status(code)),
        Some(Fault::Reset) => return Err(Broken),
        Some(Fault::Nonsense) => {
            let page = Bytes::from_static(b"<html><body>Please sign in</body></html>");
            return Ok(Response::new(Reply::whole(page)));
        }
        _ => {}
    }
    let is_head = parts.method == http::Method::HEAD;
    let mut answer = lock(&shared.service).answer(&parts, &body);
    let length = answer.body().len();
    if !answer.headers().contains_key("content-length") && answer.status() != 204 {
        answer.headers_mut().insert("content-length", length.into());
    }
    match fault {
        Some(Fault::LoseAnswer) => Err(Broken),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::FailAfter(code)) => Ok(status(code)),
        Some(Fault::Cut(after)) => Ok(answer.map(|bytes| Reply {
            left: bytes.slice(..after.min(length)),
            breaks: after < length,
            waits: true,
            length,
        })),
        _ if is_head => Ok(answer.map(|_| Reply::whole(Bytes::new()))),
        _ => Ok(answer.map(Reply::whole)),
    }
}

struct Reply {
    left: Bytes,
    breaks: bool,
    /// Before it breaks, what was sent must get out.
    waits: bool,
    length: usize,
}

impl Reply {
    fn whole(bytes: Bytes) -> Self {
        Self {
            length: bytes.len(),
            left: bytes,
            breaks: false,
            waits: false,
        }
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.left.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.left)))));
        }
        if std::mem::take(&mut self.waits) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.breaks.then_some(Err(Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

/// The pairs of a query, decoded.
pub(crate) fn query(parts: &Parts) -> Vec<(String, String)> {
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// A percent-encoded text. A plus sign is itself.
pub(crate) fn decoded(text: &str) -> String {
    let text = percent_encoding::percent_decode_str(text).decode_utf8();
    text.expect("UTF-8 in a URL").into_owned()
}
