//! Whether two objects are the same, and how that is known.

use serde::Serialize;

use super::stream::digest;
use crate::store::{Algorithm, Meta, Result, Store};

/// What it takes to call two objects the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Checksums where both sides publish comparable ones, else the bytes.
    #[default]
    Checksum,
    /// The bytes of both, always.
    Content,
}

/// How two objects were found the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// What one side publishes equals what the other publishes, or the checksum taken of the
    /// bytes as they passed.
    Checksum,
    /// The stored bytes of at least one side were read, those of the other too or hashed.
    Content,
    /// The service copied the version asked for and reports its size; it publishes no checksum
    /// of this object that could be compared, as S3 does for one that was uploaded in parts.
    Size,
}

/// What the metadata alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    Unknown,
}

/// Compares by what listings say. An equal checksum settles it. An unequal one does not: the
/// `ETag` of an object that S3 encrypts with a KMS key looks like an MD5 in a listing and is none.
pub(super) fn judge(source: &Meta, target: &Meta, evidence: Evidence) -> Verdict {
    if source.size != target.size {
        return Verdict::Different;
    }
    if evidence == Evidence::Content {
        return Verdict::Unknown;
    }
    match comparable(source, target) {
        Some(true) => Verdict::Same,
        _ => Verdict::Unknown,
    }
}

fn comparable(source: &Meta, target: &Meta) -> Option<bool> {
    let (source, target) = (source.checksum.as_ref()?, target.checksum.as_ref()?);
    (source.algorithm == target.algorithm).then(|| source == target)
}

/// Compares with what requests it takes, when [`judge`] could not tell. Gives how the two are
/// the same, or `None` when they differ.
///
/// # Errors
/// Those of the stores; a conflict or a missing key when either is no longer the listed version.
pub(super) async fn settle(
    source: (&dyn Store, &Meta),
    target: (&dyn Store, &Meta),
    evidence: Evidence,
) -> Result<Option<Method>> {
    if source.1.size != target.1.size {
        return Ok(None);
    }
    let ((from, theirs), (to, own)) = (source, target);
    if to.is_copy_of(own, from, theirs) || from.is_copy_of(theirs, to, own) {
        return Ok(Some(Method::Size));
    }
    if evidence == Evidence::Content || !publishes_any(source.1, target.1) {
        return by_content(source, target).await;
    }
    if comparable(source.1, target.1).is_none() && by_one_checksum(source, target).await? {
        return Ok(Some(Method::Content));
    }
    by_fresh_metadata(source, target).await
}

fn publishes_any(source: &Meta, target: &Meta) -> bool {
    source.checksum.is_some() || target.checksum.is_some()
}

/// Listings may show a checksum that is none; `stat` knows.
async fn by_fresh_metadata(
    source: (&dyn Store, &Meta),
    target: (&dyn Store, &Meta),
) -> Result<Option<Method>> {
    let (fresh_source, fresh_target) =
        tokio::try_join!(source.0.stat(&source.1.key), target.0.stat(&target.1.key))?;
    if fresh_source.size != fresh_target.size {
        return Ok(None);
    }
    if let Some(same) = comparable(&fresh_source, &fresh_target) {
        return Ok(same.then_some(Method::Checksum));
    }
    let (source, target) = ((source.0, &fresh_source), (target.0, &fresh_target));
    if publishes_any(&fresh_source, &fresh_target) {
        let same = by_one_checksum(source, target).await?;
        return Ok(same.then_some(Method::Content));
    }
    by_content(source, target).await
}

/// Reads one side with the algorithm that the other publishes.
async fn by_one_checksum(source: (&dyn Store, &Meta), target: (&dyn Store, &Meta)) -> Result<bool> {
    let (published, other) = match (&source.1.checksum, &target.1.checksum) {
        (Some(published), _) => (published, target),
        (None, Some(published)) => (published, source),
        (None, None) => return Ok(false),
    };
    let found = digest(other.0, other.1, published.algorithm).await?;
    Ok(found == *published)
}

async fn by_content(
    source: (&dyn Store, &Meta),
    target: (&dyn Store, &Meta),
) -> Result<Option<Method>> {
    let (source, target) = tokio::try_join!(
        digest(source.0, source.1, Algorithm::Sha256),
        digest(target.0, target.1, Algorithm::Sha256)
    )?;
    Ok((source == target).then_some(Method::Content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Checksum, Key};

    fn meta(bytes: &[u8], algorithm: Option<Algorithm>) -> Meta {
        let mut meta = Meta::new(Key::parse("k").unwrap(), bytes.len() as u64);
        meta.checksum = algorithm.map(|algorithm| Checksum::of(algorithm, bytes));
        meta
    }

    #[test]
    fn metadata_proves_equality_but_only_the_size_proves_a_difference() {
        let md5 = Some(Algorithm::Md5);
        let judged = |a, b| judge(&a, &b, Evidence::Checksum);
        assert_eq!(judged(meta(b"a", md5), meta(b"a", md5)), Verdict::Same);
        assert_eq!(
            judged(meta(b"a", md5), meta(b"ab", md5)),
            Verdict::Different
        );
        assert_eq!(judged(meta(b"a", md5), meta(b"b", md5)), Verdict::Unknown);
        assert_eq!(judged(meta(b"a", md5), meta(b"a", None)), Verdict::Unknown);
        let crc = Some(Algorithm::Crc32c);
        assert_eq!(judged(meta(b"a", md5), meta(b"a", crc)), Verdict::Unknown);
        let content = judge(&meta(b"a", md5), &meta(b"a", md5), Evidence::Content);
        assert_eq!(content, Verdict::Unknown);
    }
}
