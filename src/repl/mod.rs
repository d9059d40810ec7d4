//! The prompt, but for the terminal: what is typed is run, looked up and completed here.

pub mod command;
mod complete;
mod evaluator;
mod help;
mod locals;
mod names;
mod statements;
#[cfg(test)]
mod testing;

pub use complete::{Candidate, Completion};
pub use evaluator::{Evaluator, Ran};
