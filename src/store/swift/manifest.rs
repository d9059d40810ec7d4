//! Static large objects: a manifest that names its segments,
//! <https://docs.openstack.org/swift/latest/overview_large_objects.html>.
//!
//! Segments lie at the top of the object's own container, under `.kstate/segments/` and the
//! object's name, where no listing shows them. Each write has a folder of its own there, so what
//! is there belongs to one manifest or to none.

use std::collections::HashSet;

use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use serde_json::json;

use super::write::is_new;
use super::{NEWEST, SwiftStore, WRITE, meta};
use crate::store::rest::{Call, Failure};
use crate::store::{Algorithm, Checksum, ErrorKind, Key, Result, WriteOptions};

/// What the names of all segments begin with.
pub(super) const SEGMENTS: &str = ".kstate/segments/";

/// A segment that the service has.
pub(super) struct Segment {
    pub number: usize,
    /// The full name in the container.
    pub name: String,
    pub md5: Checksum,
    /// In bytes.
    pub size: u64,
}

/// The object's name, of which a segment is, and the folder of the write, in a segment's name.
pub(super) fn owner_of(segment: &str) -> Option<(&str, &str)> {
    let (folder, _) = segment.rsplit_once('/')?;
    let (object, _) = folder.strip_prefix(SEGMENTS)?.rsplit_once('/')?;
    Some((object, folder))
}

/// What is sent to make an object of segments.
pub(super) fn manifest(container: &str, segments: &[Segment]) -> Bytes {
    let lines = segments.iter().map(|segment| {
        json!({
            "path": format!("/{container}/{}", segment.name),
            "etag": segment.md5.hex(),
            "size_bytes": segment.size,
        })
    });
    lines.collect::<serde_json::Value>().to_string().into()
}

/// The `ETag` of such an object.
pub(super) fn etag(segments: &[Segment]) -> String {
    let all: String = segments.iter().map(|segment| segment.md5.hex()).collect();
    Checksum::of(Algorithm::Md5, all.as_bytes()).hex()
}

/// A line of a manifest as it is told.
#[derive(Deserialize)]
struct Line {
    /// With the container; bytes that stand in the manifest itself have none.
    name: Option<String>,
}

impl SwiftStore {
    /// Whether an object may have segments of ours.
    pub(super) async fn may_have_segments(&self, name: &str) -> Result<bool> {
        let load = async {
            let stored = match self.stored_segments().await {
                // Who may not list the container has never written segments that it knows of.
                Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied { .. }) => {
                    return Ok(HashSet::new());
                }
                stored => stored?,
            };
            Ok(stored.into_iter().map(|stored| stored.object).collect())
        };
        self.container.has_segments(name, Box::pin(load)).await
    }

    /// The segments of ours that the object has which is about to be replaced.
    pub(super) async fn segments_of(
        &self,
        key: &Key,
        name: &str,
        options: &WriteOptions,
    ) -> Result<Vec<String>> {
        if is_new(options) || !self.may_have_segments(name).await? {
            return Ok(Vec::new());
        }
        self.named_segments(self.call("write", WRITE, Some(key)), name)
            .await
    }

    /// The segments of ours that the newest version of an object names.
    pub(super) async fn named_segments(&self, call: Call<'_>, name: &str) -> Result<Vec<String>> {
        match self.newest(call, name).await {
            Ok(headers) if meta::is_large(&headers) => {}
            Ok(_) => return Ok(Vec::new()),
            Err(error) if *error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let path = format!("{}?multipart-manifest=get", self.path(name));
        let request = || Request::get(&path).header(NEWEST, "true");
        let answer = self.ask(call, request).await?;
        let lines: Vec<Line> = serde_json::from_slice(answer.body())
            .map_err(|error| Failure::nonsense(error.to_string()).into_error(&call))?;
        let container = format!("/{}/", self.site.bucket);
        let names = lines.into_iter().filter_map(|line| {
            let name = line.name?;
            let name = name.strip_prefix(&container)?;
            name.starts_with(SEGMENTS).then(|| name.to_owned())
        });
        Ok(names.collect())
    }

    /// Clears away the segments of a version that was replaced.
    pub(super) async fn forget(&self, name: &str, segments: Vec<String>) {
        if !segments.is_empty() {
            self.container.note(name, false);
            self.remove(segments).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_tells_whose_it_is() {
        let owner = |name| owner_of(name);
        let folder = ".kstate/segments/state/a b/1f";
        let segment = format!("{folder}/00001");
        assert_eq!(owner(&segment), Some(("state/a b", folder)));
        assert_eq!(owner(".kstate/segments/1f/00001"), None);
        assert_eq!(owner(".kstate/locks/store"), None);
    }
}
