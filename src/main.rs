//! The `kstate` command.

fn main() {}
