//! Blocks, and the lists that make blobs of them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::Response;

use super::blobs::{created, described};
use super::{ACCOUNTS, Azure, Blob, Call, Outcome, Place, Refusal, done, md5, refuse};

/// <https://learn.microsoft.com/rest/api/storageservices/put-block-list#remarks>
const MOST_BLOCKS: usize = 50_000;

impl Azure {
    pub(super) fn put_block(&mut self, call: &Call<'_>, id: &str) -> Outcome {
        call.takes(&["content-md5"])?;
        call.check_sum()?;
        self.add_block(call, id, call.body.clone())
    }

    /// Ids are Base64 of at most 64 bytes, and of one length for all blocks of a blob:
    /// <https://learn.microsoft.com/rest/api/storageservices/put-block#uri-parameters>.
    pub(super) fn add_block(&mut self, call: &Call<'_>, id: &str, bytes: Bytes) -> Outcome {
        let is_id = BASE64_STANDARD
            .decode(id)
            .is_ok_and(|id| (1..=64).contains(&id.len()));
        if !is_id || bytes.is_empty() {
            return refuse(400, "InvalidQueryParameterValue", "no block can be this");
        }
        let pending = self.pending.entry(call.place.clone()).or_default();
        if pending.keys().any(|other| other.len() != id.len()) {
            return refuse(400, "InvalidBlobOrBlock", "The block ids differ in length.");
        }
        let sum = md5(&bytes);
        pending.insert(id.to_owned(), bytes);
        Ok(done(
            Response::builder().status(201).header("content-md5", sum),
        ))
    }

    pub(super) fn put_block_list(&mut self, call: &Call<'_>) -> Outcome {
        call.takes(&[
            "x-ms-blob-content-type",
            "x-ms-blob-content-md5",
            "x-ms-meta-",
            "content-md5",
            "if-match",
            "if-none-match",
        ])?;
        call.check_sum()?;
        call.check(self.container(call.place)?.get(&call.place.name))?;
        let pending = self.pending.get(call.place).cloned().unwrap_or_default();
        let ids = ids(call.body)?;
        if ids.len() > MOST_BLOCKS {
            return refuse(409, "BlockCountExceedsLimit", "too many blocks");
        }
        let mut bytes = BytesMut::new();
        for id in ids {
            let Some(block) = pending.get(&id) else {
                return refuse(
                    400,
                    "InvalidBlockList",
                    "The specified block list is invalid.",
                );
            };
            bytes.extend_from_slice(block);
        }
        let blob = Blob {
            bytes: bytes.freeze(),
            md5: call.text("x-ms-blob-content-md5").map(str::to_owned),
            ..described(call)?
        };
        let blob = self.put(call.place, blob)?;
        Ok(done(created(&blob, 201)))
    }

    /// Leaves a block of an upload that never ended, with an id of another length than ours.
    pub(crate) fn leave_block(&mut self, name: &str) {
        let place = Place {
            account: ACCOUNTS[0].to_owned(),
            container: "container".to_owned(),
            name: name.to_owned(),
        };
        let blocks = self.pending.entry(place).or_default();
        blocks.insert("AAAA".to_owned(), Bytes::from_static(b"left"));
    }

    /// How many blocks wait for a list.
    pub(crate) fn pending_blocks(&self) -> usize {
        self.pending.values().map(BTreeMap::len).sum()
    }
}

/// The ids of a list, each the latest block of that name.
fn ids(body: &[u8]) -> Result<Vec<String>, Refusal> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let start = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    let list = text
        .strip_prefix(start)
        .and_then(|text| text.strip_suffix("</BlockList>"));
    let Some(list) = list else {
        return refuse(400, "InvalidXmlDocument", "no list of blocks");
    };
    let mut ids = Vec::new();
    for element in list.split_inclusive("</Latest>") {
        let id = element.strip_prefix("<Latest>");
        match id.and_then(|id| id.strip_suffix("</Latest>")) {
            Some(id) => ids.push(id.to_owned()),
            None => return refuse(400, "InvalidXmlNodeValue", "no block"),
        }
    }
    Ok(ids)
}
