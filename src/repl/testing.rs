//! An evaluator for tests, and a thread for it.

use std::sync::Arc;

use super::Evaluator;
use crate::lua::{Host, Output, Runtime, block_on};
use crate::session::{Mode, Session};
use crate::store::registry::Env;

pub(super) struct Bench {
    pub(super) evaluator: Evaluator,
    pub(super) session: Arc<Session>,
    _io: tokio::runtime::Runtime,
}

impl Bench {
    pub(super) fn new() -> Self {
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let session = Arc::new(Session::new(Env::default(), Mode::Plan));
        let output = Output::new(std::io::sink());
        let host = Host::new(io.handle().clone(), Arc::clone(&session), output);
        let runtime = Runtime::new(host).unwrap();
        runtime.embed(crate::scripts::module);
        Self {
            evaluator: Evaluator::new(runtime).unwrap(),
            session,
            _io: io,
        }
    }

    /// What the prompt shows for a text: its values, or the whole error.
    pub(super) fn eval(&self, text: &str) -> Result<String, String> {
        block_on(async {
            let result = self.evaluator.eval(text).await;
            let runtime = self.evaluator.runtime();
            match result {
                Ok(values) => Ok(runtime.show(&values).join(" ")),
                Err(error) => Err(runtime.render(&error)),
            }
        })
        .unwrap()
    }

    pub(super) fn is_incomplete(&self, text: &str) -> bool {
        self.evaluator.is_incomplete(text)
    }
}

/// What the prompt shows for an expression.
pub(super) fn shown(text: &str) -> String {
    Bench::new().eval(text).unwrap()
}
