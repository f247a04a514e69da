//! The little of WASI that the standard libraries of guest languages drag in: no files, no sockets, no environment,
//! no standard input. For a ranking the clock stands still and chance is a constant, so that it replays exactly.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{
        OutputStream, Pollable, StreamResult,
        bindings::{cli, clocks, filesystem, random},
    },
    random::{Deterministic, WasiRandom},
};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::{host::log::LogBook, state::GuestState};

/// What chance is made of for a ranking: the fraction of the golden ratio, no other reason.
const SEED: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
/// Handles of WASI that a guest may hold: streams and polls. A debug build of the table never reuses a place, hence
/// more than any guest holds at one time.
const MAX_WASI_HANDLES: usize = 1024;
/// Bytes one request for chance may ask for.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;

/// Bytes a guest may write to a standard stream at once.
const STREAM_PERMIT_BYTES: usize = 4096;

/// The WASI of one call, made when the guest first asks for anything: most guests never do.
pub(crate) struct Wasi {
    frozen: bool,
    log: LogBook,
    made: Option<Box<(WasiCtx, ResourceTable)>>,
}

impl Wasi {
    pub(crate) fn new(frozen: bool, log: LogBook) -> Self {
        Self { frozen, log, made: None }
    }

    fn make(frozen: bool, log: &LogBook) -> Box<(WasiCtx, ResourceTable)> {
        let mut builder = WasiCtx::builder();
        builder
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES);
        builder.stdout(LogStream(log.clone())).stderr(LogStream(log.clone()));
        if frozen {
            let chance = || Deterministic::new(SEED.to_le_bytes().to_vec());
            builder.secure_random(chance()).insecure_random(chance()).insecure_random_seed(SEED);
            builder.wall_clock(Frozen).monotonic_clock(Frozen);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_WASI_HANDLES);
        Box::new((builder.build(), table))
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { frozen, log, made } = &mut self.wasi;
        let (ctx, table) = &mut **made.get_or_insert_with(|| Wasi::make(*frozen, log));
        WasiCtxView { ctx, table }
    }
}

/// Gives the streams and polls of WASI their table.
struct WasiTable;

impl HasData for WasiTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Offers the allowed interfaces. Sockets and HTTP are not among them: a component that imports them is refused.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    type S = GuestState;
    io::error::add_to_linker::<S, WasiTable>(linker, |state| state.ctx().table)?;
    io::poll::add_to_linker::<S, WasiTable>(linker, |state| state.ctx().table)?;
    io::streams::add_to_linker::<S, WasiTable>(linker, |state| state.ctx().table)?;
    clocks::wall_clock::add_to_linker::<S, WasiClocks>(linker, S::clocks)?;
    clocks::monotonic_clock::add_to_linker::<S, WasiClocks>(linker, S::clocks)?;
    random::random::add_to_linker::<S, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<S, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    filesystem::types::add_to_linker::<S, WasiFilesystem>(linker, S::filesystem)?;
    filesystem::preopens::add_to_linker::<S, WasiFilesystem>(linker, S::filesystem)?;
    cli::exit::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::environment::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::stdin::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::stdout::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::stderr::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(linker, S::cli)
}

/// A clock that stands still at the first of January 2020.
struct Frozen;

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1_577_836_800)
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// A standard stream that ends in the log.
#[derive(Clone)]
struct LogStream(LogBook);

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.stream(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.stream(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STREAM_PERMIT_BYTES)
    }
}
