//! Scripted faults: what goes wrong, with which request.

use std::fmt;
use std::sync::Arc;

use super::Request;

/// What goes wrong.
#[derive(Clone)]
pub(crate) enum Action {
    /// A Status with this code, reason and message instead of doing anything.
    Status(u16, &'static str, &'static str),
    /// A text that is no Status, instead of doing anything, as fair queuing and proxies answer;
    /// with seconds after which to come again.
    Plain(u16, &'static str, Option<u32>),
    /// Closes the connection instead of doing anything.
    Reset,
    /// Does what was asked, then closes the connection without an answer.
    ResetAfterCommit,
    /// Does what was asked, then answers with this Status.
    FailAfterCommit(u16, &'static str, &'static str),
    /// Stores other bytes than it was sent.
    Garble,
    /// Calls this first, then does what was asked.
    Call(Arc<dyn Fn() + Send + Sync>),
}

impl Action {
    pub(crate) fn call(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Call(Arc::new(hook))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Action")
    }
}

/// A fault that waits for the requests it is for.
#[derive(Debug)]
pub(crate) struct Fault {
    verb: &'static str,
    resource: &'static str,
    prefix: &'static str,
    skip: usize,
    times: usize,
    action: Action,
}

impl Fault {
    /// For a verb and a resource, each `*` for all. Strikes the first match once unless told
    /// otherwise.
    pub(crate) fn on(verb: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            resource,
            prefix: "",
            skip: 0,
            times: 1,
            action: Action::Reset,
        }
    }

    /// Only for objects whose names begin like this.
    pub(crate) fn named(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
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

    fn strikes(&mut self, request: &Request) -> bool {
        let fits = |wanted: &str, got: &str| wanted == "*" || wanted == got;
        if self.times == 0
            || !fits(self.verb, request.verb)
            || !fits(self.resource, &request.resource)
            || !request.name.starts_with(self.prefix)
        {
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
pub(super) fn strike(faults: &mut [Fault], request: &Request) -> Option<Action> {
    let struck: Vec<Action> = faults
        .iter_mut()
        .filter_map(|fault| fault.strikes(request).then(|| fault.action.clone()))
        .collect();
    struck.into_iter().next()
}
