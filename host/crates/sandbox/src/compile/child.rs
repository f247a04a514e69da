//! The child's side: limits itself, reads a component, writes machine code.

use std::{
    fs,
    io::{self, Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::OutOfMemory;

use crate::engine;

/// The first argument of a program that is to be the child; what follows is for [`child`].
pub const SUBCOMMAND: &str = "compile-component";

/// Exit status: the component is no good, and what was written says why.
pub(super) const INVALID: i32 = 1;
/// Exit status: the fault is not the component's.
pub(super) const UNABLE: i32 = 2;
/// Exit status: the memory did not suffice.
pub(super) const NO_MEMORY: i32 = 3;

/// Files that may be open: the three pipes, and what is looked up about the machine.
const OPEN_FILES: u64 = 16;

/// Compiles the component on standard input to machine code on standard output, as the process that
/// [`Compiler`](super::Compiler) starts; its main function does nothing else. The arguments are those after
/// [`SUBCOMMAND`]: bytes of address space, seconds of computing, bytes of the component.
pub fn child(arguments: &[String]) -> ExitCode {
    let Err((status, words)) = run(arguments) else { return ExitCode::SUCCESS };
    _ = writeln!(io::stderr(), "{words}");
    ExitCode::from(status as u8)
}

fn run(arguments: &[String]) -> Result<(), (i32, String)> {
    let unable = |what: &str, error: &dyn std::fmt::Display| (UNABLE, format!("{what}: {error}"));
    let numbers: Result<Vec<u64>, _> = arguments.iter().map(|argument| argument.parse()).collect();
    let numbers = numbers.map_err(|error| unable("arguments", &error))?;
    let [memory_bytes, cpu_seconds, input_bytes] = numbers[..] else {
        return Err((UNABLE, "called by taja itself, with three numbers".into()));
    };
    confine(memory_bytes, cpu_seconds).map_err(|error| unable("limits", &error))?;
    let mut component = Vec::new();
    io::stdin().take(input_bytes).read_to_end(&mut component).map_err(|error| unable("input", &error))?;
    if component.len() as u64 != input_bytes {
        // Whoever wanted it is gone.
        return Err((UNABLE, "input ended early".into()));
    }
    let engine = engine::for_compiling().map_err(|error| unable("engine", &error))?;
    let code = engine.precompile_component(&component).map_err(|error| match error.is::<OutOfMemory>() {
        true => (NO_MEMORY, String::new()),
        false => (INVALID, format!("{error:#}")),
    })?;
    let mut stdout = io::stdout();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(|error| unable("output", &error))
}

fn confine(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    // When the machine itself runs out of memory, this process is the one to go. Not every system lets it say so.
    _ = fs::write("/proc/self/oom_score_adj", "1000");
    let set = |resource, soft, hard| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    set(Resource::As, memory_bytes, memory_bytes)?;
    // The soft limit's signal tells it from a lack of memory.
    set(Resource::Cpu, cpu_seconds, cpu_seconds + 1)?;
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    set(Resource::Nofile, OPEN_FILES, OPEN_FILES)?;
    Ok(())
}
