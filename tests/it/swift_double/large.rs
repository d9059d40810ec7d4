//! Static large objects: <https://docs.openstack.org/swift/latest/middleware.html#static-large-objects>.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use super::objects::etag;
use super::{Object, Outcome, Place, Refusal, Swift, answer, refuse};

/// A line of a manifest.
#[derive(Clone)]
pub(crate) struct Segment {
    /// With the container, and a slash before it.
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) size: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    etag: Option<String>,
    size_bytes: Option<usize>,
}

/// A manifest as it is told: under other names than it is sent.
pub(super) fn told(segments: &[Segment]) -> Bytes {
    let lines = segments.iter().map(|segment| {
        json!({ "name": segment.name, "hash": segment.hash, "bytes": segment.size,
            "content_type": "application/octet-stream" })
    });
    lines.collect::<serde_json::Value>().to_string().into()
}

impl Object {
    /// The length in bytes of what a reader gets.
    pub(super) fn size(&self) -> usize {
        match &self.segments {
            None => self.bytes.len(),
            Some(segments) => segments.iter().map(|segment| segment.size).sum(),
        }
    }
}

impl Swift {
    fn segment(&mut self, account: &str, path: &str) -> Option<Object> {
        let (container, name) = path.strip_prefix('/')?.split_once('/')?;
        let container = self.container(account, container).ok()?;
        container.objects.get(name).cloned()
    }

    pub(super) fn checked_segments(
        &mut self,
        account: &str,
        body: &Bytes,
    ) -> Result<Vec<Segment>, Refusal> {
        let lines: Vec<Line> = match serde_json::from_slice(body) {
            Ok(lines) => lines,
            Err(error) => return refuse(400, &format!("Invalid SLO Manifest: {error}")),
        };
        if lines.is_empty() || lines.len() > self.max_segments {
            return refuse(413, "Number of object-backed segments");
        }
        let mut segments = Vec::new();
        for line in lines {
            let Some(object) = self.segment(account, &line.path) else {
                return refuse(400, &format!("Errors: {}, 404 Not Found", line.path));
            };
            let (hash, size) = (etag(&object), object.size());
            if size == 0
                || line.etag.is_some_and(|etag| etag != hash)
                || line.size_bytes.is_some_and(|wanted| wanted != size)
            {
                return refuse(
                    400,
                    &format!("Errors: {}, Etag or Size Mismatch", line.path),
                );
            }
            segments.push(Segment {
                name: line.path,
                hash,
                size,
            });
        }
        Ok(segments)
    }

    /// What a reader gets; 409 where a segment is no more what it was.
    pub(super) fn content(&mut self, account: &str, object: &Object) -> Result<Bytes, Refusal> {
        let Some(segments) = &object.segments else {
            return Ok(object.bytes.clone());
        };
        let mut all = BytesMut::new();
        for segment in segments {
            match self.segment(account, &segment.name) {
                Some(found) if etag(&found) == segment.hash => all.extend_from_slice(&found.bytes),
                _ => return refuse(409, "There was a conflict when trying to complete"),
            }
        }
        Ok(all.freeze())
    }

    /// The segments, then the manifest.
    pub(super) fn delete_large(&mut self, (account, container, name): Place<'_>) -> Outcome {
        let object = self
            .container(account, container)?
            .objects
            .get(name)
            .cloned();
        let segments = match object {
            None => return Ok(summary(0, 1, &[])),
            Some(Object { segments: None, .. }) => {
                let errors = [(
                    format!("/{container}/{name}"),
                    "Not an SLO manifest".to_owned(),
                )];
                return Ok(summary(0, 0, &errors));
            }
            Some(Object { segments, .. }) => segments.unwrap_or_default(),
        };
        let (mut deleted, mut missing) = (1, 0);
        for segment in segments {
            let path = segment.name.strip_prefix('/').expect("a path");
            let (container, name) = path.split_once('/').expect("an object");
            match self.container(account, container)?.objects.remove(name) {
                Some(_) => deleted += 1,
                None => missing += 1,
            }
        }
        self.container(account, container)?.objects.remove(name);
        Ok(summary(deleted, missing, &[]))
    }
}

/// What bulk operations answer, with 200 whatever came of them.
pub(super) fn summary(
    deleted: usize,
    missing: usize,
    errors: &[(String, String)],
) -> http::Response<Bytes> {
    let status = if errors.is_empty() {
        "200 OK"
    } else {
        "400 Bad Request"
    };
    let told = json!({
        "Number Deleted": deleted,
        "Number Not Found": missing,
        "Response Status": status,
        "Response Body": "",
        "Errors": errors,
    });
    // Blanks keep the connection open while it works.
    answer(200, format!("  \r\n\r\n{told}").into())
}
