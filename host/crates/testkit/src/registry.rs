//! A docker-registry that keeps what it is given in a folder of its own.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::process::{Process, free_port, program};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STARTS: u32 = 3;
/// [`RegistryServer::PASSWORD`] in the only form that the server reads: bcrypt, here of the least cost it knows.
const PASSWORD_HASH: &str = "$2b$04$abcdefghijklmnopqrstuufuJEabelKu/MP0LDJdu3qSG/jhhAI6W";

/// A docker-registry on a free loopback port.
#[derive(Debug)]
pub struct RegistryServer {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl RegistryServer {
    /// Who is let in by one that asks.
    pub const USER: &str = "publisher";
    /// What lets them in.
    pub const PASSWORD: &str = "a long enough secret";

    /// Starts one that lets everybody in.
    ///
    /// # Errors
    /// When the program is missing or does not get ready.
    pub async fn start() -> Result<Self> {
        Self::start_as(false).await
    }

    /// Starts one that asks for [`Self::USER`] and [`Self::PASSWORD`].
    ///
    /// # Errors
    /// When the program is missing or does not get ready.
    pub async fn start_with_password() -> Result<Self> {
        Self::start_as(true).await
    }

    async fn start_as(asks: bool) -> Result<Self> {
        let mut starts = 1;
        loop {
            match Self::try_start(asks).await {
                Err(_) if starts < STARTS => starts += 1,
                started => return started,
            }
        }
    }

    async fn try_start(asks: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let place = |name: &str| folder.path().join(name);
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: of the tests\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n",
            place("blobs").display()
        );
        if asks {
            let users = place("htpasswd");
            std::fs::write(&users, format!("{}:{PASSWORD_HASH}\n", Self::USER))?;
            config
                .push_str(&format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", users.display()));
        }
        std::fs::write(place("config.yml"), config)?;
        let arguments = ["serve".to_owned(), place("config.yml").display().to_string()];
        let process = Process::new(&program("TAJA_TEST_REGISTRY", "docker-registry"), arguments);
        let mut server = Self { process, port, folder };
        server.process.start()?;
        server.until_ready().await?;
        Ok(server)
    }

    /// Its host and port, as references name it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes a byte of what it keeps under this digest (`sha256:` and 64 digits), behind its back.
    ///
    /// # Errors
    /// When it keeps nothing under the digest.
    pub fn spoil(&self, digest: &str) -> Result<()> {
        let path = self.blob(digest)?;
        let mut bytes = std::fs::read(&path).with_context(|| format!("no {digest}"))?;
        *bytes.last_mut().context("it is empty")? ^= 1;
        Ok(std::fs::write(path, bytes)?)
    }

    fn blob(&self, digest: &str) -> Result<PathBuf> {
        let digits = digest.strip_prefix("sha256:").context("no SHA-256")?;
        let folder = self.folder.path().join("blobs/docker/registry/v2/blobs/sha256");
        Ok(folder.join(&digits[..2]).join(digits).join("data"))
    }

    async fn until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.answers().await {
            if self.process.has_ended() || Instant::now() > deadline {
                bail!("docker-registry on port {} does not get ready", self.port);
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Whether it speaks the protocol, to whomever.
    async fn answers(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer.to_lowercase().contains("docker-distribution-api-version"))
        };
        matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
    }
}
