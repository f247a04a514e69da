//! The `taja` program.

use std::process::ExitCode;

/// Searches are made of many small pieces that begin on one thread and end on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    taja::cli::run()
}
