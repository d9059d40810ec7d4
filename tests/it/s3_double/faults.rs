//! Scripted faults: what goes wrong, with which request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::log::Request;

type Callback = dyn Fn(u64, &Request) -> Option<Action> + Send + Sync;

/// Called with a request's number and the request; answers what goes wrong, or `None`.
#[derive(Clone)]
pub(crate) struct Hook(Arc<Callback>);

impl Hook {
    pub(crate) fn new(
        hook: impl Fn(u64, &Request) -> Option<Action> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, number: u64, request: &Request) -> Option<Action> {
        (self.0)(number, request)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The status and error code instead of doing anything.
    Status(u16, &'static str),
    /// Status 200 with an `<Error>` body of this code instead of doing anything.
    ErrorIn200(&'static str),
    /// Status 200 with a page of HTML instead of doing anything, as a captive portal does.
    Nonsense,
    /// Closes the connection instead of doing anything.
    ResetBeforeCommit,
    /// Neither does anything nor ever answers.
    Hang,
    /// Waits, then goes on as usual.
    Slow(Duration),
    /// Asks the hook what to do, before anything is done.
    Call(Hook),
    /// Does what was asked, then answers with this status and error code.
    FailAfterCommit(u16, &'static str),
    /// Does what was asked, then closes the connection without an answer.
    ResetBeforeResponse,
    /// Does what was asked, but never answers.
    HangAfterCommit,
    /// Breaks the connection after so many bytes of the response body.
    ResetAfter(u64),
    /// A well-formed answer (Content-Length fits) with only so many bytes of the body.
    TruncateBody(u64),
    /// The first byte of the response body is another one.
    CorruptBody,
    /// The answer's entity tags are those of something else.
    WrongEtag,
    /// A page that leaves out its last entry and all after it, and says that it is the last.
    TruncatedList,
    /// `IsTruncated` is true, but there is no token or marker to go on with.
    TokenlessList,
    /// The entries of a page are in reverse order.
    UnorderedList,
}

impl Action {
    /// The request is answered without being carried out.
    pub(crate) fn prevents(&self) -> bool {
        matches!(
            self,
            Self::Status(..)
                | Self::ErrorIn200(_)
                | Self::Nonsense
                | Self::ResetBeforeCommit
                | Self::Hang
        )
    }

    /// [`Action::Call`] with this hook.
    pub(crate) fn call(
        hook: impl Fn(u64, &Request) -> Option<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::Call(Hook::new(hook))
    }

    /// 503, as S3 asks for fewer requests.
    pub(crate) fn slow_down() -> Self {
        Self::Status(503, "SlowDown")
    }
}

/// A fault that waits for the requests it is for.
#[derive(Debug)]
pub(crate) struct Fault {
    op: String,
    bucket: Option<String>,
    key: Option<String>,
    skip: usize,
    times: usize,
    action: Action,
}

impl Fault {
    /// For an operation by its S3 name (`GetObject`), or `*` for all. Strikes the first match
    /// once unless told otherwise.
    pub(crate) fn on(op: &str) -> Self {
        Self {
            op: op.to_owned(),
            bucket: None,
            key: None,
            skip: 0,
            times: 1,
            action: Action::Nonsense,
        }
    }

    /// Only for this bucket.
    pub(crate) fn bucket(self, bucket: &str) -> Self {
        Self {
            bucket: Some(bucket.to_owned()),
            ..self
        }
    }

    /// Only for this key.
    pub(crate) fn key(self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self
        }
    }

    /// From the nth match on, counted from 1.
    pub(crate) fn nth(self, n: usize) -> Self {
        Self {
            skip: n - 1,
            ..self
        }
    }

    /// For so many matches in a row.
    pub(crate) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// For every match.
    pub(crate) fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// What happens.
    pub(crate) fn then(self, action: Action) -> Self {
        Self { action, ..self }
    }

    fn matches(&self, request: &Request) -> bool {
        let fits = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|w| w == got);
        (self.op == "*" || self.op == request.op)
            && fits(&self.bucket, &request.bucket)
            && fits(&self.key, &request.key)
    }

    /// Counts the request; true when this is one to strike.
    fn strikes(&mut self, request: &Request) -> bool {
        if self.times == 0 || !self.matches(request) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// The action of the first fault that strikes; all of them count the request.
pub(crate) fn strike(faults: &mut [Fault], request: &Request) -> Option<Action> {
    let struck: Vec<Action> = faults
        .iter_mut()
        .filter_map(|fault| fault.strikes(request).then(|| fault.action.clone()))
        .collect();
    struck.into_iter().next()
}
