//! A mongod that is a replica set of one, so that transactions and change streams work.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::process::{Process, free_port, program};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STARTS: u32 = 3;

/// A mongod on a free loopback port, the primary of a replica set of one; fail points can be set.
#[derive(Debug)]
pub struct MongoServer {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl MongoServer {
    /// Starts one and waits until it is primary.
    ///
    /// # Errors
    /// When the program is missing or does not get ready.
    pub async fn start() -> Result<Self> {
        let mut starts = 1;
        loop {
            match Self::try_start().await {
                Err(_) if starts < STARTS => starts += 1,
                started => return started,
            }
        }
    }

    async fn try_start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let path = folder.path();
        let options = [
            ["--port", &port.to_string()],
            ["--bind_ip", "127.0.0.1"],
            ["--dbpath", &path.display().to_string()],
            ["--logpath", &path.join("log").display().to_string()],
            ["--replSet", "rs0"],
            ["--oplogSize", "128"],
            ["--wiredTigerCacheSizeGB", "0.5"],
            ["--setParameter", "enableTestCommands=1"],
            ["--setParameter", "diagnosticDataCollectionEnabled=false"],
        ];
        let arguments = options.iter().flatten().copied().chain(["--nounixsocket", "--quiet"]);
        let process = Process::new(&program("TAJA_TEST_MONGOD", "mongod"), arguments.map(ToOwned::to_owned));
        let mut server = Self { process, port, _folder: folder };
        server.process.start()?;
        server.initiate().await?;
        server.until_primary().await?;
        Ok(server)
    }

    /// Its address, for a client that follows the replica set.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?replicaSet=rs0", self.port)
    }

    /// Kills it outright.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`Self::kill`] and waits until it is primary.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.start()?;
        self.until_primary().await
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

    /// Makes the primary step down for some seconds; writes fail until it is elected again.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn step_down(&self, seconds: u32) -> Result<()> {
        let stepped = self
            .admin(doc! { "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": true })
            .await;
        // Older servers answer by closing the connection.
        match stepped {
            Err(error) if !error.to_string().contains("I/O") => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs a command on its `admin` database, such as one that sets a fail point.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn admin(&self, command: Document) -> Result<Document> {
        Ok(self.direct().await?.database("admin").run_command(command).await?)
    }

    async fn direct(&self) -> Result<Client> {
        let uri = format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000",
            self.port
        );
        Ok(Client::with_uri_str(uri).await?)
    }

    async fn initiate(&mut self) -> Result<()> {
        let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", self.port) };
        // It elects itself as soon as it may.
        let settings = doc! { "electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": "rs0", "members": [member], "settings": settings };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.admin(doc! { "replSetInitiate": config.clone() }).await {
                Ok(_) => return Ok(()),
                Err(error) if self.process.has_ended() || Instant::now() > deadline => {
                    return Err(error).context("mongod does not take its replica set");
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn until_primary(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let hello = timeout(Duration::from_secs(5), self.admin(doc! { "hello": 1 })).await;
            if matches!(&hello, Ok(Ok(hello)) if hello.get_bool("isWritablePrimary").unwrap_or_default()) {
                return Ok(());
            }
            if self.process.has_ended() || Instant::now() > deadline {
                bail!("mongod on port {} does not become primary", self.port);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}
