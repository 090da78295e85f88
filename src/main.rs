//! The `messenger` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    messenger::cli::main()
}
