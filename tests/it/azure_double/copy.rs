//! Copies, for which the service reads the source in the name of whoever asks.

use bytes::Bytes;
use http::Uri;

use super::access::{check_token, shared_access};
use super::blobs::{created, metadata};
use super::{Azure, Blob, Call, Outcome, Place, Refusal, done, refuse};

impl Azure {
    /// `Copy Blob From URL`: <https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url>.
    pub(super) fn copy_blob(&mut self, call: &Call<'_>) -> Outcome {
        call.takes(&[
            "x-ms-copy-source",
            "x-ms-copy-source-authorization",
            "x-ms-requires-sync",
            "x-ms-source-if-match",
            "x-ms-source-content-md5",
            "x-ms-meta-",
            "if-match",
            "if-none-match",
        ])?;
        if call.text("x-ms-requires-sync") != Some("true") {
            return refuse(400, "InvalidHeaderValue", "copies take their time here");
        }
        let source = self.source(call)?;
        if source.bytes.len() > self.largest_copy {
            return refuse(409, "CannotVerifyCopySource", "The source is too large.");
        }
        if let Some(md5) = call.text("x-ms-source-content-md5")
            && md5 != super::md5(&source.bytes)
        {
            return refuse(
                400,
                "Md5Mismatch",
                "The MD5 value is not that of the source.",
            );
        }
        call.check(self.container(call.place)?.get(&call.place.name))?;
        let given = metadata(call)?;
        let metadata = if given.is_empty() {
            source.metadata.clone()
        } else {
            given
        };
        let copy = self.put(call.place, Blob { metadata, ..source })?;
        Ok(done(
            created(&copy, 202)
                .header("x-ms-copy-id", "C1")
                .header("x-ms-copy-status", "success"),
        ))
    }

    /// `Put Block From URL`.
    pub(super) fn put_block_from_url(&mut self, call: &Call<'_>, id: &str) -> Outcome {
        call.takes(&[
            "x-ms-copy-source",
            "x-ms-copy-source-authorization",
            "x-ms-source-range",
            "x-ms-source-if-match",
        ])?;
        let source = self.source(call)?;
        let range = call.text("x-ms-source-range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let range = first.parse().ok()?..=last.parse::<usize>().ok()?;
            (*range.end() < source.bytes.len()).then_some(range)
        });
        let bytes: Bytes = match range {
            Some(range) => source.bytes.slice(range),
            None => return refuse(416, "InvalidRange", "The range is invalid for the source."),
        };
        if bytes.len() > self.largest_copy {
            return refuse(413, "RequestBodyTooLarge", "The block is too large.");
        }
        self.add_block(call, id, bytes)
    }

    /// The source, which must be signed for in the URL or beside it.
    fn source(&mut self, call: &Call<'_>) -> Result<Blob, Refusal> {
        if !call.body.is_empty() {
            return refuse(400, "InvalidHeaderValue", "a copy has no body");
        }
        let uri: Uri = call
            .text("x-ms-copy-source")
            .and_then(|text| text.parse().ok())
            .expect("a URL");
        let place = Place::of(uri.path())?;
        if self.refuses_copies && place.account != call.place.account {
            return refuse(403, "CannotVerifyCopySource", "The source can't be read.");
        }
        let grant = match call.text("x-ms-copy-source-authorization") {
            Some(token) => check_token(token.strip_prefix("Bearer ").unwrap_or_default()),
            None => shared_access(&uri, &place),
        };
        let unreadable = |_| {
            (
                403,
                "CannotVerifyCopySource",
                "The source can't be read.".to_owned(),
            )
        };
        grant
            .and_then(|grant| grant.allows("r"))
            .map_err(unreadable)?;
        let Some(source) = self.container(&place)?.get(&place.name).cloned() else {
            return refuse(404, "CannotVerifyCopySource", "The source does not exist.");
        };
        match call.text("x-ms-source-if-match") {
            Some(tag) if tag != source.quoted() => refuse(
                412,
                "SourceConditionNotMet",
                "The source is another version.",
            ),
            _ => Ok(source),
        }
    }
}
