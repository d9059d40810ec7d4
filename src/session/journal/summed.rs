//! Streams whose sum the journal must know before they are written.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::Journal;
use crate::store::{Algorithm, Body, Hasher, Result};

struct State {
    inner: BoxStream<'static, Result<Bytes>>,
    hasher: Hasher,
    held: Option<Bytes>,
    journal: Arc<Journal>,
    op: usize,
}

impl Journal {
    /// The body of a change that has begun. Its last bytes are let go only when the sum of all of
    /// them is on the disk, so that the write can't be complete before.
    pub(in crate::session) fn summed(self: &Arc<Self>, op: usize, body: Body) -> Body {
        let size = body.size();
        let state = State {
            inner: body.into_stream(),
            hasher: Hasher::new(Algorithm::Sha256),
            held: None,
            journal: Arc::clone(self),
            op,
        };
        let chunks = stream::try_unfold(Some(state), |state| async move {
            let Some(mut state) = state else {
                return Ok(None);
            };
            while let Some(chunk) = state.inner.next().await.transpose()? {
                state.hasher.update(&chunk);
                if let Some(ready) = state.held.replace(chunk) {
                    return Ok(Some((ready, Some(state))));
                }
            }
            let sha256 = state.hasher.finish().hex();
            state.journal.body(state.op, sha256).await?;
            Ok(state.held.map(|last| (last, None)))
        });
        Body::stream(size, chunks)
    }
}
