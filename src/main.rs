//! The `kstate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kstate::cli::main()
}
