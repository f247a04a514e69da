//! The connection to Redis: kept by one task, shared by all commands.
//!
//! While Redis is away, every command is refused at once instead of waiting in a line of its own; the keeper alone
//! tries to come back, several times a second.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::fault::Fault;
use crate::{Clock, Error, Result};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// How long to wait for an answer.
const ANSWER: Duration = Duration::from_millis(1500);

/// How long an operation may take in all: a script that the server does not know yet takes three answers.
const WITHIN: Duration = Duration::from_secs(2);

/// How often to try while Redis is away.
const RETRY: Duration = Duration::from_millis(200);

/// How often to ask whether Redis is still there.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
enum State {
    Up { connection: MultiplexedConnection, since: i64 },
    Down(Error),
}

/// The way to Redis.
#[derive(Debug)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    suspicion: Arc<Notify>,
    _keeper: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects.
    pub(super) async fn open(client: Client, clock: Arc<dyn Clock>) -> Result<Self> {
        let connection = connect(&client).await?;
        let (states, state) = watch::channel(State::Up { connection, since: clock.now_us() });
        let suspicion = Arc::new(Notify::new());
        let keeper = Keeper { client, clock, states, suspicion: Arc::clone(&suspicion) };
        Ok(Self { state, suspicion, _keeper: AbortOnDropHandle::new(tokio::spawn(keeper.keep())) })
    }

    /// Since when the connection stands, in microseconds since 1970; an error while there is none.
    pub(super) fn since(&self) -> Result<i64> {
        match &*self.state.borrow() {
            State::Up { since, .. } => Ok(*since),
            State::Down(error) => Err(error.clone()),
        }
    }

    pub(super) async fn script<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Fault> {
        let mut connection = self.connection()?;
        self.judge(tokio::time::timeout(WITHIN, call.invoke_async(&mut connection)).await)
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut connection = self.connection()?;
        self.judge(tokio::time::timeout(WITHIN, command.query_async(&mut connection)).await)
    }

    pub(super) async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Fault> {
        let mut connection = self.connection()?;
        self.judge(tokio::time::timeout(WITHIN, commands.query_async(&mut connection)).await)
    }

    fn connection(&self) -> Result<MultiplexedConnection, Fault> {
        match &*self.state.borrow() {
            State::Up { connection, .. } => Ok(connection.clone()),
            State::Down(error) => Err(Fault::refused(error.clone())),
        }
    }

    fn judge<T>(
        &self,
        outcome: Result<Result<T, RedisError>, tokio::time::error::Elapsed>,
    ) -> Result<T, Fault> {
        let fault = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Fault::from(error),
            Err(elapsed) => Fault::unanswered(Error::unavailable(elapsed)),
        };
        if !fault.refused {
            self.suspicion.notify_one();
        }
        Err(fault)
    }
}

struct Keeper {
    client: Client,
    clock: Arc<dyn Clock>,
    states: watch::Sender<State>,
    suspicion: Arc<Notify>,
}

impl Keeper {
    async fn keep(self) {
        loop {
            let connection = match &*self.states.borrow() {
                State::Up { connection, .. } => Some(connection.clone()),
                State::Down(_) => None,
            };
            match connection {
                Some(connection) => self.watch(connection).await,
                None => self.come_back().await,
            }
        }
    }

    /// Returns when the connection is lost.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        loop {
            tokio::select! {
                () = self.suspicion.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = ping(&mut connection).await {
                tracing::warn!(%error, "redis is lost");
                self.states.send_replace(State::Down(Error::unavailable(error)));
                return;
            }
        }
    }

    async fn come_back(&self) {
        match connect(&self.client).await {
            Ok(connection) => {
                tracing::info!("redis is back");
                self.states.send_replace(State::Up { connection, since: self.clock.now_us() });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn connect(client: &Client) -> Result<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    let connect = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // It may be there and still load its data.
        ping(&mut connection).await?;
        Ok(connection)
    };
    match tokio::time::timeout(WITHIN, connect).await {
        Ok(connected) => connected.map_err(|error: RedisError| Error::unavailable(error)),
        Err(elapsed) => Err(Error::unavailable(elapsed)),
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    redis::cmd("PING").query_async(connection).await
}
