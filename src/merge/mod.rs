//! Changing what people wrote: YAML documents whose comments, order and quoting survive.

pub mod document;
mod edit;
pub mod path;
mod quote;
mod reconcile;
mod splice;
