//! The way to the server.

use std::time::Duration;

use mongodb::{
    Client, Database,
    bson::doc,
    options::{ClientOptions, ReadConcern, WriteConcern},
};
use tokio::time::timeout;

use crate::error::ConnectError;

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// `mongodb://` or `mongodb+srv://`; it may hold a password, so it is not to be logged.
    pub uri: String,
    /// The database.
    pub database: String,
    /// The collection of products; the others are named after what they hold.
    pub products: String,
    /// How long an operation waits for a primary.
    pub patience: Duration,
}

impl MongoOptions {
    /// The usual settings for this server and database.
    pub fn new(uri: impl Into<String>, database: impl Into<String>) -> Self {
        let (uri, database) = (uri.into(), database.into());
        Self { uri, database, products: "products".into(), patience: Duration::from_secs(10) }
    }
}

/// A connection pool to one database. Every write waits for a majority of the replica set.
#[derive(Debug, Clone)]
pub struct Mongo {
    database: Database,
    products: String,
    version: String,
}

impl Mongo {
    /// Connects, and finds out whom it talks to.
    ///
    /// # Errors
    /// When the address makes no sense, or the server cannot be reached or has no transactions.
    pub async fn connect(options: &MongoOptions) -> Result<Self, ConnectError> {
        // Finding a primary and two questions to it; a server that is frozen takes a connection and answers nothing.
        let limit = options.patience.saturating_mul(3);
        timeout(limit, Self::meet(options)).await.unwrap_or(Err(ConnectError::Silent))
    }

    async fn meet(options: &MongoOptions) -> Result<Self, ConnectError> {
        let mut client = ClientOptions::parse(&options.uri).await.map_err(ConnectError::Address)?;
        client.app_name.get_or_insert_with(|| "taja".into());
        client.write_concern = Some(WriteConcern::majority());
        client.read_concern = Some(ReadConcern::majority());
        client.server_selection_timeout.get_or_insert(options.patience);
        client.connect_timeout.get_or_insert(options.patience);
        let client = Client::with_options(client).map_err(ConnectError::Address)?;
        let admin = client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await.map_err(ConnectError::Server)?;
        if !hello.contains_key("setName") && hello.get_str("msg").ok() != Some("isdbgrid") {
            return Err(ConnectError::StandAlone);
        }
        let build = admin.run_command(doc! { "buildInfo": 1 }).await.map_err(ConnectError::Server)?;
        let version = build.get_str("version").unwrap_or("unknown").to_owned();
        Ok(Self { database: client.database(&options.database), products: options.products.clone(), version })
    }

    /// The database everything is in.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The name of the collection of products.
    pub(crate) fn products_name(&self) -> &str {
        &self.products
    }

    /// The server's version, such as `6.0.5`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}
