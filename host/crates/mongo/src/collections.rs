//! The collections, each by what it holds.

use mongodb::{Client, Collection, Database, bson::Document};

use taja_catalog::{PortResult, port::PortErrorKind};

use crate::{connection::Mongo, error::failed};

/// The collections beside the one of products.
const OTHERS: [&str; 18] = [
    "search",
    "images",
    "vectors",
    "spaces",
    "receipts",
    "versions",
    "intents",
    "tenants",
    "api_keys",
    "judgements",
    "model",
    "plugin_versions",
    "plugin_components",
    "plugin_pieces",
    "plugin_activations",
    "plugin_events",
    "plugin_statistics",
    "plugin_counters",
];

/// Every collection of the store.
#[derive(Debug, Clone)]
pub(crate) struct Collections {
    /// The database they are in.
    pub(crate) database: Database,
    /// What shops say of their products, in the field names that an older service reads too.
    pub(crate) products: Collection<Document>,
    /// One document per product, made from it: what filters and words look in.
    pub(crate) search: Collection<Document>,
    /// One document per picture: unique by shop and SHA-256, and its look.
    pub(crate) images: Collection<Document>,
    /// One document per vector.
    pub(crate) vectors: Collection<Document>,
    /// The spaces that vectors belong to.
    pub(crate) spaces: Collection<Document>,
    /// What executions left behind.
    pub(crate) receipts: Collection<Document>,
    /// How often each shop's catalogue changed.
    pub(crate) versions: Collection<Document>,
    /// Pictures that executions are about to host, and those that are being removed.
    pub(crate) intents: Collection<Document>,
    /// Shops that are registered.
    pub(crate) tenants: Collection<Document>,
    /// The keys that speak for them, hashed.
    pub(crate) api_keys: Collection<Document>,
    /// What shops judged, with the lines of each set.
    pub(crate) judgements: Collection<Document>,
    /// Which model serves, in its only document.
    pub(crate) model: Collection<Document>,
    /// Versions of plugins, by who owns them.
    pub(crate) plugin_versions: Collection<Document>,
    /// One document per component: how large it is, and how many own it.
    pub(crate) plugin_components: Collection<Document>,
    /// What components consist of.
    pub(crate) plugin_pieces: Collection<Document>,
    /// What fills the slots of shops.
    pub(crate) plugin_activations: Collection<Document>,
    /// What was done to those.
    pub(crate) plugin_events: Collection<Document>,
    /// What each process counted of each choice.
    pub(crate) plugin_statistics: Collection<Document>,
    /// How often activations changed, in its only document.
    pub(crate) plugin_counters: Collection<Document>,
}

impl Collections {
    /// The collections of a database; `Invalid` when the one of products has the name of another.
    pub(crate) fn of(mongo: &Mongo) -> PortResult<Self> {
        let database = mongo.database().clone();
        let named = |name: &str| database.collection(name);
        let products = mongo.products_name();
        if OTHERS.contains(&products) {
            let message =
                format!("products cannot be in a collection named {products}: it holds something else");
            return Err(failed(PortErrorKind::Invalid, message));
        }
        Ok(Self {
            products: named(products),
            search: named("search"),
            images: named("images"),
            vectors: named("vectors"),
            spaces: named("spaces"),
            receipts: named("receipts"),
            versions: named("versions"),
            intents: named("intents"),
            tenants: named("tenants"),
            api_keys: named("api_keys"),
            judgements: named("judgements"),
            model: named("model"),
            plugin_versions: named("plugin_versions"),
            plugin_components: named("plugin_components"),
            plugin_pieces: named("plugin_pieces"),
            plugin_activations: named("plugin_activations"),
            plugin_events: named("plugin_events"),
            plugin_statistics: named("plugin_statistics"),
            plugin_counters: named("plugin_counters"),
            database,
        })
    }

    /// The client behind them.
    pub(crate) fn client(&self) -> &Client {
        self.database.client()
    }
}
