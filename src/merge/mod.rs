//! Changing what people wrote: YAML documents whose comments, order and quoting survive.

pub mod document;
mod quote;
mod splice;
