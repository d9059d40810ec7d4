//! How a conditional write knows itself again when its answer is lost. By the bytes alone it
//! couldn't: whoever was faster may have written the same.

use std::collections::BTreeMap;

use super::{Precondition, WriteOptions};

/// The user metadata that holds the mark. Never shown.
pub(super) const MARK: &str = "kstate-write";

/// The options of a write, with a mark of its own among the metadata where it is conditional.
pub(super) fn marked(options: &WriteOptions) -> WriteOptions {
    let mut options = options.clone();
    if options.precondition != Precondition::None {
        let mark = format!("{:032x}", fastrand::u128(..));
        options.user.insert(MARK.to_owned(), mark);
    }
    options
}

/// User metadata without the mark.
pub(super) fn unmarked(user: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut user = user.clone();
    user.remove(MARK);
    user
}
