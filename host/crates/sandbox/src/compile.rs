//! From a component to machine code, in a child process: a component on which the compiler takes all memory, works
//! for hours or crashes costs that process and nothing else.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};
use wasmtime::{Engine, component::Component};

mod child;

pub use self::child::{SUBCOMMAND, child};

/// Most machine code that is taken from a child, bytes.
const MAX_CODE_BYTES: u64 = 512 << 20;
/// Most that is kept of what a child says about its failure, bytes.
const MAX_WORDS_BYTES: u64 = 4 << 10;
/// Threads of a child: more would each take address space for their stack and their part of the heap.
const MAX_THREADS: usize = 4;
/// Compilations that one may wait for, each as long as a compilation may compute.
const PATIENCE: u32 = 4;
/// How many times as long as it may compute a compilation may last: an interpreter takes some 15 seconds of computing,
/// which on a machine that has other things to do is a minute.
const LASTING: u32 = 4;

/// How components are compiled in a process of their own.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program; called with [`SUBCOMMAND`] it gives what follows to [`child`]. Built from the same sources as
    /// this one, or its code is refused.
    pub program: PathBuf,
    /// Address space that the process may use, bytes.
    pub memory_bytes: u64,
    /// Time that every thread may compute for.
    pub time: Duration,
    /// Compilations at one time.
    places: Arc<Semaphore>,
}

impl Compiler {
    /// With 1 GiB, 30 seconds of computing, and one component at a time.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            memory_bytes: 1 << 30,
            time: Duration::from_secs(30),
            places: Arc::new(Semaphore::new(1)),
        }
    }

    fn command(&self, input_bytes: usize) -> Command {
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).to_string();
        let cpu_seconds = self.time.as_secs().max(1);
        let mut command = Command::new(&self.program);
        command
            .arg(SUBCOMMAND)
            .args([self.memory_bytes.to_string(), cpu_seconds.to_string(), input_bytes.to_string()])
            .env_clear()
            .env("RAYON_NUM_THREADS", &threads)
            // Allocators reserve address space: the C library's 64 MiB for every further arena, mimalloc a gigabyte
            // unless told, in KiB, to take less.
            .env("MALLOC_ARENA_MAX", &threads)
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            .current_dir("/")
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A component ready to be linked: compiled by a child, or in this process where there is no compiler. The error says
/// what is wrong with the component.
pub(crate) async fn component(
    compiler: Option<&Compiler>,
    engine: &Engine,
    bytes: Bytes,
) -> Result<Component, String> {
    let engine = engine.clone();
    let Some(compiler) = compiler else {
        return blocking(move || {
            Component::from_binary(&engine, &bytes).map_err(|error| not_valid(&format!("{error:#}")))
        })
        .await;
    };
    let code = compile(compiler, &bytes).await?;
    // SAFETY: this is machine code, and it will be run. It came over a pipe from a child that this process started
    // from a program of its own choosing, which compiled the component with the settings that `engine` has; nobody
    // else could write to that pipe. A component that took the child over by a fault of the compiler could have done
    // the same to this process. Beyond the pipe the code is kept only where `Cache` authenticates it.
    blocking(move || unsafe { Component::deserialize(&engine, &code) }.map_err(|error| foreign(&error))).await
}

fn foreign(error: &wasmtime::Error) -> String {
    tracing::error!(%error, "the compiler's code cannot be loaded: is it of another build?");
    format!(
        "cannot be loaded as the compiler left it: {error:#}: tell the operator that it is of another build"
    )
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("the check broke off: {error}"))?
}

/// The component as [`Component::deserialize`] takes it.
pub(crate) async fn compile(compiler: &Compiler, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let place = timeout(compiler.time * PATIENCE, compiler.places.acquire()).await;
    let _place = place.map_err(|_| "waited too long for others to be compiled: try again later")?;
    let mut child = compiler.command(bytes.len()).spawn().map_err(|error| {
        tracing::error!(program = %compiler.program.display(), %error, "the compiler cannot be started");
        format!("the compiler cannot be started: {error}: tell the operator")
    })?;
    let Ok(ended) = timeout(compiler.time * LASTING, converse(&mut child, bytes)).await else {
        // Waited for, so that the next one does not compute beside it.
        _ = child.kill().await;
        return Err(too_slow(compiler));
    };
    let ended =
        ended.map_err(|error| format!("the compiler cannot be talked to: {error}: try again later"))?;
    if ended.code.len() as u64 > MAX_CODE_BYTES {
        return Err(format!(
            "becomes more than {} MiB of machine code: make it smaller",
            MAX_CODE_BYTES >> 20
        ));
    }
    if ended.status.success() {
        return Ok(ended.code);
    }
    tracing::info!(status = %ended.status, said = ended.words, "a component was not compiled");
    Err(reason(compiler, ended.status, &ended.words))
}

/// All that a child left.
struct Ended {
    status: ExitStatus,
    code: Vec<u8>,
    words: String,
}

async fn converse(child: &mut Child, bytes: &[u8]) -> std::io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let give = async {
        if let Some(mut stdin) = stdin {
            // It fails when the child ended before it had read everything; how it ended says more.
            _ = stdin.write_all(bytes).await;
        }
    };
    let ((), code, words) =
        tokio::join!(give, read(stdout, MAX_CODE_BYTES + 1), read(stderr, MAX_WORDS_BYTES));
    // Whatever a child that says too much is still about to do, nobody waits for it.
    _ = child.start_kill();
    let words: String = String::from_utf8_lossy(&words?).trim().replace(char::is_control, " ");
    Ok(Ended { code: code?, words, status: child.wait().await? })
}

/// The first bytes of a pipe; closed when there are more.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn not_valid(words: &str) -> String {
    format!(
        "does not compile: {words}: build it again for wasm32-wasip2, without threads and 64-bit memories"
    )
}

fn too_slow(compiler: &Compiler) -> String {
    format!("compiles for longer than {:?}: make the component smaller or split it", compiler.time)
}

/// Why there is no code.
fn reason(compiler: &Compiler, status: ExitStatus, words: &str) -> String {
    use std::os::unix::process::ExitStatusExt;

    use rustix::process::Signal;

    // What the standard library says before it aborts.
    let out_of_memory = words.contains("memory allocation of");
    match (status.code(), status.signal()) {
        (Some(child::INVALID), _) => not_valid(words),
        (Some(child::UNABLE), _) => format!("the compiler cannot work: {words}: tell the operator"),
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => too_slow(compiler),
        // Not by us: by the kernel, when the machine has less memory than the limit.
        (_, Some(signal)) if out_of_memory || signal == Signal::KILL.as_raw() => too_large(compiler),
        (Some(child::NO_MEMORY), _) => too_large(compiler),
        (Some(_), _) if out_of_memory => too_large(compiler),
        (Some(code), _) => format!("makes the compiler fail (exit status {code}): simplify the component"),
        (None, signal) => {
            format!(
                "makes the compiler crash (signal {}): simplify the component",
                signal.unwrap_or_default()
            )
        }
    }
}

fn too_large(compiler: &Compiler) -> String {
    let mebibytes = compiler.memory_bytes >> 20;
    format!("takes more than {mebibytes} MiB of memory to compile: make the component smaller or split it")
}

#[cfg(test)]
mod tests;
