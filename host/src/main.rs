//! The `taja` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    taja::cli::run()
}
