//! Segments that an interrupted write left behind.

use time::format_description::well_known::Rfc2822;
use time::{Duration, OffsetDateTime};

use super::manifest::{SEGMENTS, owner_of};
use super::{READ, SwiftStore};
use crate::store::Result;

/// How long the last segment of a write must have been there before nobody is waited for.
const GIVEN_UP: Duration = Duration::days(1);

/// What one write has stored.
pub(super) struct Stored {
    /// The full name of the object.
    pub object: String,
    folder: String,
    /// The full names of the segments.
    names: Vec<String>,
    /// How long ago the last one came, by the service's clock; none where that isn't told.
    age: Option<Duration>,
}

impl SwiftStore {
    /// All segments of the container, by write.
    pub(super) async fn stored_segments(&self) -> Result<Vec<Stored>> {
        let mut all: Vec<Stored> = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let listed = self.listed("write", SEGMENTS, false, marker.as_deref());
            let (headers, items) = listed.await?;
            let date = headers.get("date").and_then(|date| date.to_str().ok());
            let now = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
            let Some(last) = items.last() else {
                return Ok(all);
            };
            marker = Some(last.name().to_owned());
            for item in items {
                let Some((object, folder)) = owner_of(item.name()) else {
                    continue;
                };
                let age = now.and_then(|now| Some(now - item.modified()?));
                match all.last_mut().filter(|stored| stored.folder == folder) {
                    Some(stored) => {
                        stored.names.push(item.name().to_owned());
                        stored.age = stored.age.min(age);
                    }
                    None => all.push(Stored {
                        object: object.to_owned(),
                        folder: folder.to_owned(),
                        names: vec![item.name().to_owned()],
                        age,
                    }),
                }
            }
        }
    }

    /// Clears away, once in a process, what no manifest names and nobody is still writing.
    pub(super) async fn sweep(&self) {
        if !self.container.is_to_sweep() {
            return;
        }
        let swept = async {
            for stored in self.stored_segments().await? {
                if stored.age.is_none_or(|age| age < GIVEN_UP) {
                    continue;
                }
                let call = self.call("write", READ, None);
                let named = self.named_segments(call, &stored.object).await?;
                if !named.iter().any(|name| stored.names.contains(name)) {
                    self.remove(stored.names).await;
                }
            }
            Ok(())
        };
        let swept: Result<()> = swept.await;
        if let Err(error) = swept {
            tracing::debug!(%error, "what interrupted writes left was not looked for");
        }
    }
}
