//! How faults change answers.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use s3s::Body;
use s3s::dto::StreamingBlob;

use super::faults::Action;
use crate::loopback::Broken;

const WRONG_ETAG: &str = "00000000000000000000000000000000";

/// The answer to a request that was not carried out.
pub(crate) fn instead(action: &Action) -> Result<Response<Body>, Broken> {
    match action {
        Action::Status(status, code) => Ok(error(*status, code)),
        Action::ErrorIn200(code) => Ok(error(200, code)),
        Action::Nonsense => {
            let page = "<!DOCTYPE html><html><body>Welcome to the hotel</body></html>";
            Ok(whole(200, "text/html", page.to_owned()))
        }
        _ => Err(Broken),
    }
}

fn error(status: u16, code: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>a scripted fault</Message><RequestId>double</RequestId></Error>"
    );
    whole(status, "application/xml", body)
}

fn whole(status: u16, kind: &'static str, body: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .body(Body::from(body))
        .expect("all parts are valid")
}

/// The answer to a request that was carried out.
pub(crate) async fn after_commit(
    action: &Action,
    response: Response<Body>,
) -> Result<Response<Body>, Broken> {
    match action {
        Action::Status(status, code) | Action::FailAfterCommit(status, code) => {
            Ok(error(*status, code))
        }
        Action::ErrorIn200(code) => Ok(error(200, code)),
        Action::ResetBeforeCommit | Action::ResetBeforeResponse => Err(Broken),
        Action::ResetAfter(bytes) => Ok(reset_after(response, *bytes)),
        Action::TruncateBody(bytes) => Ok(truncate(response, *bytes)),
        Action::CorruptBody => Ok(corrupt(response)),
        Action::WrongEtag => wrong_etag(response).await,
        _ => Ok(response),
    }
}

/// A body of other bytes under the same Content-Length.
fn with_body<S>(response: Response<Body>, change: impl FnOnce(Body) -> S) -> Response<Body>
where
    S: Stream<Item = Result<Bytes, Broken>> + Send + Sync + 'static,
{
    let (mut parts, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        parts
            .headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, StreamingBlob::wrap(change(body)).into())
}

/// The first `limit` bytes.
fn first(body: Body, limit: u64) -> impl Stream<Item = Result<Bytes, Broken>> + Send + Sync {
    let mut left = limit;
    body.map(move |chunk| {
        let mut chunk = chunk.map_err(|_| Broken)?;
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= chunk.len() as u64;
        Ok(chunk)
    })
    .take_while(|chunk| futures::future::ready(!matches!(chunk, Ok(chunk) if chunk.is_empty())))
}

fn reset_after(response: Response<Body>, bytes: u64) -> Response<Body> {
    with_body(response, |body| {
        first(body, bytes).chain(stream::once(async {
            // what came before is sent once the body has nothing ready
            tokio::task::yield_now().await;
            Err(Broken)
        }))
    })
}

fn truncate(response: Response<Body>, bytes: u64) -> Response<Body> {
    let mut response = with_body(response, |body| first(body, bytes));
    let length = length(response.headers()).map_or(bytes, |length| length.min(bytes));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn corrupt(response: Response<Body>) -> Response<Body> {
    with_body(response, |body| {
        body.enumerate().map(|(n, chunk)| {
            let chunk = chunk.map_err(|_| Broken)?;
            if n > 0 {
                return Ok(chunk);
            }
            let mut chunk = chunk.to_vec();
            chunk.iter_mut().take(1).for_each(|byte| *byte ^= 1);
            Ok(chunk.into())
        })
    })
}

/// Replaces the entity tag in the headers, and those in an XML body.
async fn wrong_etag(mut response: Response<Body>) -> Result<Response<Body>, Broken> {
    let quoted = HeaderValue::from_str(&format!("\"{WRONG_ETAG}\"")).map_err(|_| Broken)?;
    if let Some(etag) = response.headers_mut().get_mut(header::ETAG) {
        *etag = quoted;
        return Ok(response);
    }
    let (mut parts, mut body) = response.into_parts();
    let text = body
        .store_all_limited(usize::MAX)
        .await
        .map_err(|_| Broken)?;
    let text = replace_etags(&String::from_utf8_lossy(&text));
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(text)))
}

fn replace_etags(xml: &str) -> String {
    let mut pieces = xml.split("<ETag>");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find("</ETag>").unwrap_or_default();
        text.push_str("<ETag>&quot;");
        text.push_str(WRONG_ETAG);
        text.push_str("&quot;");
        text.push_str(&piece[end..]);
    }
    text
}
