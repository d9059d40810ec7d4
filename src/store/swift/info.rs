//! What a service says that it can do: <https://docs.openstack.org/api-ref/object-store/#discoverability>.

use serde::Deserialize;

use super::{READ, SwiftStore};
use crate::store::Result;

/// Swift's own limit of one object in bytes, where none is told.
const LARGEST_OBJECT: u64 = 5 << 30;

/// Swift's own limit of a manifest, where none is told.
const MOST_SEGMENTS: u64 = 1000;

/// The limits that matter here.
pub(super) struct Info {
    /// The largest object in bytes that is one.
    pub largest_object: u64,
    /// How many segments a large object may have; none where there can be no large objects.
    pub most_segments: Option<u64>,
    /// How many objects one request may delete; none where each takes one.
    pub most_deletes: Option<usize>,
}

#[derive(Deserialize)]
struct Told {
    swift: Swift,
    slo: Option<Slo>,
    bulk_delete: Option<BulkDelete>,
}

#[derive(Deserialize)]
struct Swift {
    max_file_size: Option<u64>,
}

#[derive(Deserialize)]
struct Slo {
    max_manifest_segments: Option<u64>,
}

#[derive(Deserialize)]
struct BulkDelete {
    max_deletes_per_request: Option<usize>,
}

impl Info {
    /// Where nothing is told.
    pub(super) const AS_IT_COMES: Self = Self {
        largest_object: LARGEST_OBJECT,
        most_segments: Some(MOST_SEGMENTS),
        most_deletes: None,
    };

    /// The largest object in bytes that there can be in segments, each as large as an object may
    /// be.
    pub(super) fn largest_in_segments(&self) -> Option<u64> {
        Some(self.most_segments?.saturating_mul(self.largest_object))
    }

    /// Where it is told, beside the account at this URL.
    pub(super) fn url(account: &str) -> String {
        let root = account.rsplit_once("/v1").map_or(account, |(root, _)| root);
        format!("{root}/info")
    }

    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(told) = serde_json::from_slice::<Told>(body) else {
            return Self::AS_IT_COMES;
        };
        let segments = |slo: Slo| slo.max_manifest_segments.unwrap_or(MOST_SEGMENTS);
        Self {
            largest_object: told.swift.max_file_size.unwrap_or(LARGEST_OBJECT),
            most_segments: told.slo.map(segments),
            most_deletes: told
                .bulk_delete
                .and_then(|bulk| bulk.max_deletes_per_request),
        }
    }
}

impl SwiftStore {
    /// What the service can do. Where it doesn't say so, it is as Swift comes.
    pub(super) async fn info(&self) -> Result<&Info> {
        let call = self.call("open", READ, None);
        let attempt = |_| async {
            match self.account.ask_info().await {
                Ok(info) => Ok(info),
                Err(failure) => match failure.into_error(&call) {
                    error if error.is_retryable() => Err(error),
                    error => {
                        tracing::debug!(%error, "the service tells no limits");
                        Ok(Info::AS_IT_COMES)
                    }
                },
            }
        };
        let asked = || self.account.tuning.retry.run(attempt);
        self.account.info.get_or_try_init(asked).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_as_swift_comes() {
        let shown = |body: &str| {
            let info = Info::parse(body.as_bytes());
            (info.largest_object, info.most_segments, info.most_deletes)
        };
        let all = r#"{"swift": {"max_file_size": 10, "version": "2.30"},
            "slo": {"max_manifest_segments": 5}, "bulk_delete": {"max_deletes_per_request": 7}}"#;
        assert_eq!(shown(all), (10, Some(5), Some(7)));
        assert_eq!(shown(r#"{"swift": {}}"#), (LARGEST_OBJECT, None, None));
        assert_eq!(shown("<html>"), (LARGEST_OBJECT, Some(1000), None));
    }

    #[test]
    fn it_is_told_beside_the_version() {
        assert_eq!(Info::url("https://h/v1/AUTH_p"), "https://h/info");
        assert_eq!(
            Info::url("https://h/swift/v1/AUTH_p"),
            "https://h/swift/info"
        );
    }
}
