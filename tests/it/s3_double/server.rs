//! The server: what its parts share, and the HTTP around the S3 service.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Request};

use super::access::Gate;
use super::faults::Action;
use super::log::{Log, Request, Slot, shown};
use super::personality::Quirks;
use super::respond::{after_commit, instead};
use super::service::Service;
use super::state::State;
use crate::loopback::{Broken, Loopback};

/// What all connections share.
pub(crate) struct Shared {
    state: Mutex<State>,
    log: Mutex<Log>,
    pub(crate) quirks: Quirks,
    pub(crate) page_size: usize,
    /// The least size of a part but the last, in bytes.
    pub(crate) min_part: u64,
}

impl Shared {
    pub(crate) fn new(state: State, quirks: Quirks, page_size: usize, min_part: u64) -> Self {
        Self {
            state: Mutex::new(state),
            log: Mutex::default(),
            quirks,
            page_size,
            min_part,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic under this lock")
    }
}

/// The access key that signed a request.
pub(crate) fn who<T>(req: &S3Request<T>) -> String {
    let credentials = req.credentials.as_ref();
    credentials
        .map(|credentials| credentials.access_key.clone())
        .unwrap_or_default()
}

/// Serves until it is dropped.
pub(crate) fn serve(shared: Arc<Shared>, accounts: SimpleAuth) -> Loopback {
    let mut builder = S3ServiceBuilder::new(Service(shared.clone()));
    builder.set_auth(accounts);
    builder.set_access(Gate(shared.clone()));
    let service = builder.build();
    Loopback::start(move |req| handle(shared.clone(), service.clone(), req))
}

async fn handle(
    shared: Arc<Shared>,
    service: S3Service,
    req: http::Request<Incoming>,
) -> Result<http::Response<Body>, Broken> {
    let slot = Slot::default();
    let (parts, body) = req.into_parts();
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let expects = parts.headers.contains_key("expect");
    let headers = shown(&parts.headers);
    let mut req = http::Request::from_parts(parts, Body::http_body(body.clone()));
    req.extensions_mut().insert(slot.clone());
    let response = service.call(req).await.map_err(|_| Broken)?;
    if !expects {
        body.drain().await;
    }
    let (number, request, action) = {
        let mut exchange = slot.lock().expect("no panic under this lock");
        (
            exchange.number,
            exchange.request.take(),
            exchange.action.take(),
        )
    };
    let Some(request) = request else {
        shared.log().requests.push(Request {
            headers,
            ..Request::default()
        });
        return Ok(response);
    };
    if let Some(action) = action.as_ref().filter(|action| action.prevents()) {
        return instead(action);
    }
    let hook = shared.log().after.clone();
    let action = hook.and_then(|hook| hook.call(number, &request)).or(action);
    match action {
        Some(Action::Hang | Action::HangAfterCommit) => std::future::pending().await,
        Some(action) => after_commit(&action, response).await,
        None => Ok(response),
    }
}

/// A request body that can be read to its end after the service has lost interest, so that the
/// client can always send all of it and read the answer.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    async fn drain(mut self) {
        let next = |cx: &mut Context<'_>| http_body::Body::poll_frame(Pin::new(&mut self), cx);
        let mut next = next;
        while let Some(Ok(_)) = std::future::poll_fn(&mut next).await {}
    }
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = self.0.lock().expect("no panic under this lock");
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .lock()
            .expect("no panic under this lock")
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().expect("no panic under this lock").size_hint()
    }
}
