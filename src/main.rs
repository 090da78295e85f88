//! The `messenger` command.

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    messenger::cli::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("messenger runs on Unix; elsewhere its library tests nodes in virtual time");
    ExitCode::FAILURE
}
