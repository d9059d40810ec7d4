//! What is known of manifests.

#[path = "../../src/config/change/mod.rs"]
pub mod change;
#[path = "../../src/config/fields/mod.rs"]
pub mod fields;
#[path = "../../src/config/validate/mod.rs"]
pub mod validate;
