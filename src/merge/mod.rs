//! Changing what people wrote: YAML documents whose comments, order and quoting survive; and
//! bringing values together that several people changed.

pub mod deep;
pub mod diff;
pub mod diff_ops;
pub mod document;
mod edit;
pub mod json_patch;
pub mod lists;
pub mod patch;
pub mod path;
pub mod pointer;
mod quote;
mod reconcile;
mod splice;
pub mod text;
pub mod three_way;
