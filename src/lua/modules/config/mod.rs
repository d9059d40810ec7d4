//! `kstate.config`: where the state store is, and what the files of a cluster mean.

mod changes;
mod entries;
mod findings;
mod manifests;
mod places;

use crate::lua::api::Module;

/// `kstate.config`.
pub(super) static MODULE: Module = Module {
    name: "config",
    summary: "Where the state store is, and what the files of a cluster mean.",
    functions: &[
        places::STATE_STORE,
        places::SET_STATE_STORE,
        places::STORES,
        manifests::CLUSTERS,
        entries::LIST,
        entries::LOAD,
        entries::SAVE,
        changes::CHANGE,
        changes::MERGE,
        changes::DIFF,
        findings::VALIDATE,
        findings::CHECK,
        manifests::PARSE,
        manifests::REWRITE,
        manifests::CLASSIFY,
        places::NAMES,
        places::BELOW,
        places::SCHEME,
        places::CAN_RUN_CLUSTERS,
    ],
    classes: &[],
};

#[cfg(test)]
mod tests;
