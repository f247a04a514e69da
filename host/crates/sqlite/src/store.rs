//! The port's face.

use std::{collections::BTreeMap, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;
use taja_catalog::{
    EffectKey, Filter, ImageHash, JudgementSetId, PerceptualHash, PortResult, Product, ProductId, Space,
    TenantId,
    access::{AccessStore, ApiKey, KeyId, Tenant},
    callback::{CallbackSecret, CallbackSecrets},
    judgements::JudgementSet,
    order::{ListOrder, Sort},
    port::{
        About, Change, Counts, Edit, Edited, Intent, KnownImage, Noted, PortErrorKind, Position, Shelved,
        Store, VectorRow,
    },
    words::{Wanted, WordSettings},
};
use tokio::time::timeout;

use crate::{
    access,
    edit::EditOne,
    error::{OpenError, failed, sqlite},
    intents, judgements, keyword, lookup, rows, schema, sorted, texts,
    threads::Threads,
    write::Commit,
};

/// Connections that read. Reads are mostly computation, so more than the cores of a small machine help nobody.
const READERS: usize = 4;
/// Longest wait for the threads to finish when closing.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) writer: Threads,
    readers: Threads,
    words: Arc<keyword::Lists>,
}

impl SqliteStore {
    /// Opens a file, or makes one, and brings its tables up to date. Blocks for some milliseconds, longer when there
    /// is much to recover or to migrate.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let writer = schema::writer(path)?;
        let readers = (0..READERS).map(|_| schema::reader(path)).collect::<Result<_, _>>()?;
        tracing::debug!(path = %path.display(), "store opened");
        Ok(Self {
            writer: Threads::start("store-writer", vec![writer])?,
            readers: Threads::start("store-reader", readers)?,
            words: Arc::default(),
        })
    }

    /// Reads the whole file and fails when it is damaged. Takes seconds per gigabyte.
    pub async fn check(&self) -> PortResult<()> {
        self.read("check", |connection| {
            let found: String =
                connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
            if found == "ok" { Ok(()) } else { Err(failed(PortErrorKind::Broken, found)) }
        })
        .await
    }

    /// Finishes what is in line, moves the log into the file and closes it. Every later call is `Unavailable`.
    pub async fn close(&self) -> PortResult<()> {
        // The readers first: the last connection to close takes the log away, and must be one that may write.
        join(self.readers.stop()).await?;
        let tidied = self.writer.call("close", |connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sqlite)
        });
        let tidied = tidied.await;
        join(self.writer.stop()).await?;
        tidied
    }

    /// Runs `work` on a connection that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        self.readers.call(operation, |connection| work(connection)).await
    }
}

async fn join(threads: Vec<JoinHandle<()>>) -> PortResult<()> {
    let join = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
    match timeout(CLOSE_DEADLINE, join).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(_) => Err(failed(PortErrorKind::Broken, "a thread panicked")),
        Err(_) => Err(failed(PortErrorKind::Unavailable, "did not close before the deadline")),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn product(&self, tenant: &TenantId, id: &ProductId) -> PortResult<Option<Product>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read("product", move |connection| rows::product(connection, &tenant, &id)).await
    }

    async fn products(&self, tenant: &TenantId, ids: &[ProductId]) -> PortResult<Vec<Product>> {
        let (tenant, ids) = (tenant.clone(), ids.to_vec());
        self.read("products", move |connection| {
            // One snapshot for all of them.
            let connection = &connection.unchecked_transaction().map_err(sqlite)?;
            ids.iter().filter_map(|id| rows::product(connection, &tenant, id).transpose()).collect()
        })
        .await
    }

    async fn image(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.read("image", move |connection| lookup::image(connection, &tenant, &hash)).await
    }

    async fn images_like(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        limit: usize,
    ) -> PortResult<Vec<KnownImage>> {
        let tenant = tenant.clone();
        self.read("images_like", move |connection| {
            lookup::images_like(connection, &tenant, look, max_distance, limit)
        })
        .await
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        wanted: &Wanted,
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let (tenant, wanted, filter) = (tenant.clone(), wanted.clone(), filter.clone());
        let words = Arc::clone(&self.words);
        self.read("keyword", move |connection| {
            keyword::search(connection, &words, &tenant, &wanted, &filter, limit)
        })
        .await
    }

    async fn texts(
        &self,
        tenant: &TenantId,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, String)>> {
        let (tenant, after) = (tenant.clone(), after.cloned());
        self.read("texts", move |connection| texts::after(connection, &tenant, after.as_ref(), limit)).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        order: ListOrder,
        after: Option<&Shelved>,
        limit: usize,
    ) -> PortResult<Vec<Shelved>> {
        let (tenant, filter, after) = (tenant.clone(), filter.clone(), after.cloned());
        self.read("listed", move |connection| {
            lookup::listed(connection, &tenant, &filter, order, after.as_ref(), limit)
        })
        .await
    }

    async fn sorted(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        sort: &[Sort],
        limit: usize,
    ) -> PortResult<Vec<ProductId>> {
        let (tenant, filter, sort) = (tenant.clone(), filter.clone(), sort.to_vec());
        self.read("sorted", move |connection| sorted::sorted(connection, &tenant, &filter, &sort, limit))
            .await
    }

    async fn edit(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        revision: u64,
        edit: &Edit,
    ) -> PortResult<Edited> {
        let edit = EditOne { tenant: tenant.clone(), product: product.clone(), revision, edit: edit.clone() };
        self.writer.call("edit", move |connection| edit.run(connection)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        effect: &EffectKey,
        space: &Space,
        change: Change,
        receipt: &Value,
    ) -> PortResult<()> {
        let (tenant, effect, space) = (tenant.clone(), effect.clone(), space.clone());
        let commit = Commit { tenant, effect, space, change, receipt: receipt.clone() };
        self.writer.call("commit", move |connection| commit.run(connection)).await
    }

    async fn receipt(&self, tenant: &TenantId, effect: &EffectKey) -> PortResult<Option<Value>> {
        let (tenant, effect) = (tenant.clone(), effect.clone());
        self.read("receipt", move |connection| lookup::receipt(connection, &tenant, &effect)).await
    }

    async fn receipts_about(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        after: Option<&Noted>,
        limit: usize,
    ) -> PortResult<Vec<(Noted, Value)>> {
        let (tenant, product, after) = (tenant.clone(), product.clone(), after.cloned());
        self.read("receipts_about", move |connection| {
            lookup::receipts_about(connection, &tenant, &product, after.as_ref(), limit)
        })
        .await
    }

    async fn vectors(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, VectorRow)>> {
        let (space, after) = (space.clone(), after.cloned());
        self.read("vectors", move |connection| rows::vectors(connection, &space, after.as_ref(), limit)).await
    }

    async fn vectors_of(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        space: &Space,
    ) -> PortResult<Vec<VectorRow>> {
        let (tenant, product, space) = (tenant.clone(), product.clone(), space.clone());
        self.read("vectors_of", move |connection| rows::vectors_of(connection, &tenant, &product, &space))
            .await
    }

    async fn version(&self, tenant: &TenantId) -> PortResult<u64> {
        let tenant = tenant.clone();
        self.read("version", move |connection| lookup::version(connection, &tenant)).await
    }

    async fn intend(&self, tenant: &TenantId, effect: &EffectKey, images: &[ImageHash]) -> PortResult<()> {
        let (tenant, effect, images) = (tenant.clone(), effect.clone(), images.to_vec());
        let intend =
            move |connection: &mut Connection| intents::intend(connection, &tenant, &effect, &images);
        self.writer.call("intend", intend).await
    }

    async fn intents(&self, before: Timestamp, limit: usize) -> PortResult<Vec<Intent>> {
        self.read("intents", move |connection| intents::before(connection, before, limit)).await
    }

    async fn withdraw(&self, tenant: &TenantId, effect: &EffectKey, image: &ImageHash) -> PortResult<bool> {
        let (tenant, effect, image) = (tenant.clone(), effect.clone(), *image);
        let withdraw =
            move |connection: &mut Connection| intents::withdraw(connection, &tenant, &effect, &image);
        self.writer.call("withdraw", withdraw).await
    }

    async fn removed(&self, tenant: &TenantId, image: &ImageHash) -> PortResult<()> {
        let (tenant, image) = (tenant.clone(), *image);
        self.writer.call("removed", move |connection| intents::removed(connection, &tenant, &image)).await
    }

    async fn about(&self) -> PortResult<About> {
        self.read("about", |connection| {
            connection.query_row("SELECT count(*) FROM spaces", [], |_| Ok(())).map_err(sqlite)
        })
        .await?;
        let details = BTreeMap::from([("version", rusqlite::version().to_owned())]);
        Ok(About { backend: "sqlite", details })
    }

    async fn counts(&self) -> PortResult<Counts> {
        self.read("counts", lookup::counts).await
    }

    async fn spaces(&self) -> PortResult<BTreeMap<String, u64>> {
        self.read("spaces", lookup::spaces).await
    }
}

#[async_trait]
impl AccessStore for SqliteStore {
    async fn add_tenant(&self, tenant: &Tenant) -> PortResult<bool> {
        let tenant = tenant.clone();
        self.writer.call("add_tenant", move |connection| access::add_tenant(connection, &tenant)).await
    }

    async fn tenant(&self, id: &TenantId) -> PortResult<Option<Tenant>> {
        let id = id.clone();
        self.read("tenant", move |connection| access::tenant(connection, &id)).await
    }

    async fn tenants(&self) -> PortResult<Vec<Tenant>> {
        self.read("tenants", access::tenants).await
    }

    async fn add_key(&self, key: &ApiKey) -> PortResult<()> {
        let key = key.clone();
        self.writer.call("add_key", move |connection| access::add_key(connection, &key)).await
    }

    async fn key(&self, id: &KeyId) -> PortResult<Option<ApiKey>> {
        let id = id.clone();
        self.read("key", move |connection| access::key(connection, &id)).await
    }

    async fn keys(&self, tenant: &TenantId) -> PortResult<Vec<ApiKey>> {
        let tenant = tenant.clone();
        self.read("keys", move |connection| access::keys(connection, &tenant)).await
    }

    async fn revoke_key(&self, tenant: &TenantId, id: &KeyId, at: Timestamp) -> PortResult<bool> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let revoke = move |connection: &mut Connection| access::revoke_key(connection, &tenant, &id, at);
        self.writer.call("revoke_key", revoke).await
    }

    async fn word_settings(&self, tenant: &TenantId) -> PortResult<Option<WordSettings>> {
        let tenant = tenant.clone();
        self.read("word_settings", move |connection| access::word_settings(connection, &tenant)).await
    }

    async fn set_word_settings(&self, tenant: &TenantId, settings: &WordSettings) -> PortResult<bool> {
        let (tenant, settings) = (tenant.clone(), settings.clone());
        let set =
            move |connection: &mut Connection| access::set_word_settings(connection, &tenant, &settings);
        self.writer.call("set_word_settings", set).await
    }

    async fn judgements(&self, tenant: &TenantId) -> PortResult<Vec<JudgementSet>> {
        let tenant = tenant.clone();
        self.read("judgements", move |connection| judgements::all(connection, &tenant)).await
    }

    async fn judgement_lines(
        &self,
        tenant: &TenantId,
        id: &JudgementSetId,
    ) -> PortResult<Option<(JudgementSet, String)>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read("judgement_lines", move |connection| judgements::lines(connection, &tenant, &id)).await
    }

    async fn keep_judgements(&self, tenant: &TenantId, set: &JudgementSet, lines: &str) -> PortResult<bool> {
        let (tenant, set, lines) = (tenant.clone(), set.clone(), lines.to_owned());
        let keep = move |connection: &mut Connection| judgements::keep(connection, &tenant, &set, &lines);
        self.writer.call("keep_judgements", keep).await
    }

    async fn forget_judgements(&self, tenant: &TenantId, id: &JudgementSetId) -> PortResult<bool> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let forget = move |connection: &mut Connection| judgements::forget(connection, &tenant, &id);
        self.writer.call("forget_judgements", forget).await
    }

    async fn callback_secrets(&self, tenant: &TenantId) -> PortResult<Option<CallbackSecrets>> {
        let tenant = tenant.clone();
        let read = move |connection: &Connection| access::callback_secrets(connection, &tenant);
        self.read("callback_secrets", read).await
    }

    async fn replace_callback_secrets(
        &self,
        tenant: &TenantId,
        current: Option<&CallbackSecret>,
        secrets: &CallbackSecrets,
    ) -> PortResult<bool> {
        let (tenant, current, secrets) = (tenant.clone(), current.cloned(), secrets.clone());
        let replace = move |connection: &mut Connection| {
            access::replace_callback_secrets(connection, &tenant, current.as_ref(), &secrets)
        };
        self.writer.call("replace_callback_secrets", replace).await
    }
}
