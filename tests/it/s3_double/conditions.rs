//! Preconditions on reads and writes.

use http::HeaderMap;
use s3s::{S3Result, s3_error};

use super::personality::Conditions;
use super::state::Object;

/// The preconditions of a request, read from its raw headers: not every operation's input has
/// them, and one service cares how they are quoted.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
}

impl Preconditions {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::named(headers, "if-match", "if-none-match")
    }

    /// Those on the source of a copy.
    pub(crate) fn of_copy_source(headers: &HeaderMap) -> Self {
        Self::named(
            headers,
            "x-amz-copy-source-if-match",
            "x-amz-copy-source-if-none-match",
        )
    }

    fn named(headers: &HeaderMap, if_match: &str, if_none_match: &str) -> Self {
        let header = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Self {
            if_match: header(if_match),
            if_none_match: header(if_none_match),
        }
    }

    /// Whether a write over `current` may go on.
    pub(crate) fn check_write(
        &self,
        conditions: Conditions,
        raw: bool,
        current: Option<&Object>,
    ) -> S3Result<()> {
        if self.if_match.is_none() && self.if_none_match.is_none() {
            return Ok(());
        }
        match conditions {
            Conditions::Ignored => return Ok(()),
            Conditions::Refused => {
                return Err(s3_error!(
                    NotImplemented,
                    "conditional headers are not implemented"
                ));
            }
            Conditions::Honoured => {}
        }
        if let Some(wanted) = &self.if_match {
            let current =
                current.ok_or_else(|| s3_error!(NoSuchKey, "there is nothing to match"))?;
            let fits = if raw {
                *wanted == current.etag
            } else {
                matches(wanted, current)
            };
            if !fits {
                return Err(failed("If-Match"));
            }
        }
        match (self.if_none_match.as_deref(), current) {
            (None, _) | (Some("*"), None) => Ok(()),
            (Some("*"), Some(_)) => Err(failed("If-None-Match")),
            (Some(_), _) => Err(s3_error!(NotImplemented, "If-None-Match takes * only")),
        }
    }

    /// Whether `object` may be read.
    pub(crate) fn check_read(&self, object: &Object) -> S3Result<()> {
        if self
            .if_match
            .as_ref()
            .is_some_and(|wanted| !matches(wanted, object))
        {
            return Err(failed("If-Match"));
        }
        if self
            .if_none_match
            .as_ref()
            .is_some_and(|had| matches(had, object))
        {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }

    /// Whether `source` may be copied: what a read answers 304 to, a copy answers 412 to.
    pub(crate) fn check_copy(&self, conditions: Conditions, source: &Object) -> S3Result<()> {
        if conditions == Conditions::Ignored {
            return Ok(());
        }
        self.check_read(source)
            .map_err(|_| failed("x-amz-copy-source-if-*"))
    }
}

fn matches(header: &str, object: &Object) -> bool {
    header == "*" || header.trim_matches('"') == object.etag
}

fn failed(header: &str) -> s3s::S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold: {header}"
    )
}
