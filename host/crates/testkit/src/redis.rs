//! A redis-server that keeps its data over a restart.

use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::process::{Process, free_port, program};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STARTS: u32 = 3;

/// A redis-server with its append-only file, on a free loopback port.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl RedisServer {
    /// Starts one.
    ///
    /// # Errors
    /// When the program is missing or does not get ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with further options, such as `["--maxmemory", "8mb"]`.
    ///
    /// # Errors
    /// When the program is missing or does not get ready.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let mut starts = 1;
        loop {
            match Self::try_start(options).await {
                Err(_) if starts < STARTS => starts += 1,
                started => return started,
            }
        }
    }

    async fn try_start(options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let dir = folder.path().display().to_string();
        let fixed = [
            ["--port", &port.to_string()],
            ["--bind", "127.0.0.1"],
            ["--dir", &dir],
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "everysec"],
        ];
        let arguments = fixed.iter().flatten().chain(options).map(ToString::to_string);
        let process = Process::new(&program("TAJA_TEST_REDIS", "redis-server"), arguments);
        let mut server = Self { process, port, _folder: folder };
        server.restart().await?;
        Ok(server)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it outright.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`Self::kill`], with what its append-only file holds.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.start()?;
        let deadline = Instant::now() + READY_WITHIN;
        while !self.answers().await {
            if self.process.has_ended() || Instant::now() > deadline {
                bail!("redis-server on port {} does not get ready", self.port);
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Stops it in its tracks; connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    async fn answers(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(answer == *b"+PONG")
        };
        matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
    }
}
