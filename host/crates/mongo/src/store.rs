//! The port's face.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::bson::doc;
use serde_json::Value;
use taja_catalog::{
    EffectKey, Filter, ImageHash, JudgementSetId, PerceptualHash, PortResult, Product, ProductId, Space,
    TenantId,
    access::{AccessStore, ApiKey, KeyId, Tenant},
    callback::{CallbackSecret, CallbackSecrets},
    judgements::JudgementSet,
    order::{ListOrder, Sort, SortKey},
    port::{
        About, Change, Counts, Edit, Edited, Intent, KnownImage, Noted, Position, Shelved, Store, VectorRow,
    },
    words::{Wanted, WordSettings},
};

use crate::{
    access,
    atlas::{self, AtlasIndex, search::INDEX},
    collections::Collections,
    connection::Mongo,
    deadline::{PREPARE, READ, WRITE, within},
    edit::EditOne,
    error::mongo,
    intents::{self, Intend, Withdraw},
    judgements, keyword,
    legacy::{self, Legacy, migrate::MigrationReport},
    look, lookup,
    ranked::{Placed, best},
    schema,
    terms::{Asked, asked},
    texts,
    transaction::transact,
    vectors::{self, Place},
    write::Commit,
};

/// How a store is opened.
#[derive(Debug, Clone, Default)]
pub struct MongoStoreOptions {
    /// To whom documents of the older service in Python belong; without it they are not looked at.
    pub legacy: Option<Legacy>,
}

/// A store in one MongoDB database.
#[derive(Debug)]
pub struct MongoStore {
    pub(crate) collections: Collections,
    version: String,
    legacy: Option<Legacy>,
    /// The lists that keyword searches go through.
    lists: keyword::Lists,
    /// Whether Atlas Search answers keyword searches.
    has_atlas_search: AtomicBool,
}

impl MongoStore {
    /// Opens the store: collections, rules and indexes are made or brought up to date. Several processes may do so at
    /// once. Takes as long as the indexes take to build over documents that are there already, ten minutes at most.
    ///
    /// # Errors
    /// When the server cannot be reached, an index cannot be built, or the collection of products has the name of
    /// another one.
    pub async fn open(mongo: &Mongo, options: MongoStoreOptions) -> PortResult<Self> {
        let collections = Collections::of(mongo)?;
        let prepare = async {
            schema::prepare(&collections).await?;
            atlas::ensure(&collections.database, collections.search.name(), atlas::search::index()).await
        };
        let has_atlas_search = AtomicBool::new(within(PREPARE, "open", prepare).await?);
        let version = mongo.version().to_owned();
        let lists = keyword::Lists::default();
        Ok(Self { collections, version, legacy: options.legacy, lists, has_atlas_search })
    }

    /// An index of a space's vectors that Atlas Vector Search answers; none while the server has none, or builds it.
    /// It has not run against Atlas. Vectors in documents of the older service are not in it before [`Self::migrate`].
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses to make the index.
    pub async fn vector_search(&self, space: &Space) -> PortResult<Option<AtlasIndex>> {
        within(READ, "vector_search", AtlasIndex::open(&self.collections, space)).await
    }

    /// Brings the documents of the older service to the form of today where they lie, one transaction each. Products
    /// keep their identifiers. It may be interrupted and run again, and run beside everything else. `progress` hears of
    /// the report after every document. Nothing happens when no shop was configured for them.
    ///
    /// # Errors
    /// When the server cannot be reached; what was migrated stays so.
    pub async fn migrate(
        &self,
        mut progress: impl FnMut(&MigrationReport) + Send,
    ) -> PortResult<MigrationReport> {
        match &self.legacy {
            Some(legacy) => legacy::migrate::all(&self.collections, legacy, &mut progress).await,
            None => Ok(MigrationReport::default()),
        }
    }

    /// The older service's documents, if they belong to this shop.
    fn legacy_of(&self, tenant: &TenantId) -> Option<&Legacy> {
        self.legacy.as_ref().filter(|legacy| legacy.tenant == *tenant)
    }

    /// Whether there may be documents of the older service.
    pub(crate) fn has_legacy(&self) -> bool {
        self.legacy.is_some()
    }

    async fn by_words(
        &self,
        tenant: &TenantId,
        asked: &[Asked],
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Vec<Placed>> {
        let search = &self.collections.search;
        let at_most = i64::try_from(limit).unwrap_or(i64::MAX);
        let old = match self.legacy_of(tenant) {
            Some(_) => legacy::found_by_words(&self.collections, asked, filter).await?,
            None => legacy::Found::nothing(asked.len()),
        };
        let (collections, lists) = (&self.collections, &self.lists);
        let by_lists = keyword::Search { collections, lists, tenant, asked, filter, limit };
        let (found, occurrences) = if self.has_atlas_search.load(Ordering::Relaxed) {
            let pipeline = atlas::search::pipeline(tenant, asked, filter, at_most);
            let found = keyword::run(search, pipeline).await?;
            // Atlas counts on its own, and a word alone is as rare as itself.
            let counts = asked.len() > 1 && !old.by_words.is_empty();
            let occurrences = if counts {
                by_lists.run(&old.occurrences).await?.occurrences
            } else {
                keyword::Occurrences::none(asked.len())
            };
            (found, occurrences)
        } else {
            let found = by_lists.run(&old.occurrences).await?;
            let occurrences = found.occurrences.clone();
            (by_lists.passing(found).await?, occurrences)
        };
        let score =
            |(placed, words): (Placed, Vec<f64>)| Placed { score: occurrences.score(&words), ..placed };
        let old_by_words: Vec<_> = old.by_words.into_iter().map(score).collect();
        if !found.is_empty() || !old_by_words.is_empty() {
            return Ok(best([found, old_by_words], limit));
        }
        let Some(wanted) = keyword::by_pieces(tenant, asked, filter) else { return Ok(Vec::new()) };
        Ok(best([keyword::run_by_pieces(search, wanted, at_most).await?, old.by_pieces], limit))
    }

    async fn vectors_after(
        &self,
        space: &Space,
        after: Option<Place>,
        limit: usize,
    ) -> PortResult<Vec<(Position, VectorRow)>> {
        let mut rows = Vec::new();
        let after_old = match after {
            None => Some(None),
            Some(Place::Old(document, number)) => Some(Some((document, number))),
            Some(Place::New(_)) => None,
        };
        let legacy = self.legacy.as_ref().filter(|legacy| legacy.space.as_ref() == Some(space));
        if let (Some(after), Some(legacy)) = (after_old, legacy) {
            rows = legacy::vectors(&self.collections, legacy, space, after, limit).await?;
        }
        if rows.len() < limit {
            let after = match after {
                Some(Place::New(id)) => Some(id),
                _ => None,
            };
            rows.extend(vectors::after(&self.collections, space, after, limit - rows.len()).await?);
        }
        Ok(rows)
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn product(&self, tenant: &TenantId, id: &ProductId) -> PortResult<Option<Product>> {
        within(READ, "product", async {
            match (lookup::product(&self.collections, tenant, id).await?, self.legacy_of(tenant)) {
                (None, Some(legacy)) => legacy::product(&self.collections, legacy, id).await,
                (found, _) => Ok(found),
            }
        })
        .await
    }

    async fn products(&self, tenant: &TenantId, ids: &[ProductId]) -> PortResult<Vec<Product>> {
        within(READ, "products", async {
            let mut found = lookup::products(&self.collections, tenant, ids).await?;
            if let Some(legacy) = self.legacy_of(tenant) {
                let left: Vec<_> = ids.iter().filter(|id| !found.contains_key(id)).cloned().collect();
                found.extend(legacy::products(&self.collections, legacy, &left).await?);
            }
            Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
        })
        .await
    }

    async fn image(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        within(READ, "image", async {
            match (lookup::image(&self.collections, tenant, hash).await?, self.legacy_of(tenant)) {
                (None, Some(_)) => legacy::image(&self.collections, hash).await,
                (found, _) => Ok(found),
            }
        })
        .await
    }

    async fn images_like(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        limit: usize,
    ) -> PortResult<Vec<KnownImage>> {
        let alike = look::alike(&self.collections, tenant, look, max_distance, limit);
        within(READ, "images_like", alike).await
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        wanted: &Wanted,
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let asked = asked(wanted);
        if asked.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let found = within(READ, "keyword", self.by_words(tenant, &asked, filter, limit)).await?;
        Ok(found.into_iter().map(|placed| (placed.product, placed.score as f32)).collect())
    }

    async fn texts(
        &self,
        tenant: &TenantId,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, String)>> {
        let Some(at_most) = lookup::at_most(limit) else { return Ok(Vec::new()) };
        within(READ, "texts", texts::after(&self.collections, tenant, after, at_most)).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        order: ListOrder,
        after: Option<&Shelved>,
        limit: usize,
    ) -> PortResult<Vec<Shelved>> {
        let Some(at_most) = lookup::at_most(limit) else { return Ok(Vec::new()) };
        within(READ, "listed", async {
            let mut found = lookup::listed(&self.collections, tenant, filter, order, after, at_most).await?;
            if self.legacy_of(tenant).is_some() {
                found.extend(legacy::listed(&self.collections, filter, order, after, limit).await?);
                found.sort_by(|one, other| order.compare(one, other));
                found.truncate(limit);
            }
            Ok(found)
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
        let Some(at_most) = lookup::at_most(limit) else { return Ok(Vec::new()) };
        within(READ, "sorted", async {
            let found = lookup::sorted(&self.collections, tenant, filter, sort, at_most).await?;
            let Some(legacy) = self.legacy_of(tenant) else { return Ok(found) };
            let mut products = legacy::passing(&self.collections, legacy, filter).await?;
            products.extend(lookup::products(&self.collections, tenant, &found).await?.into_values());
            products.sort_by_cached_key(|product| SortKey::among_all(sort, product));
            products.truncate(limit);
            Ok(products.into_iter().map(|product| product.id).collect())
        })
        .await
    }

    async fn edit(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        revision: u64,
        edit: &Edit,
    ) -> PortResult<Edited> {
        let (collections, legacy) = (&self.collections, self.legacy_of(tenant));
        let edit = EditOne { collections, legacy, tenant, product, revision, edit };
        within(WRITE, "edit", transact(collections.client(), &edit)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        effect: &EffectKey,
        space: &Space,
        change: Change,
        receipt: &Value,
    ) -> PortResult<()> {
        let (collections, legacy, change) = (&self.collections, self.legacy_of(tenant), &change);
        let commit = Commit { collections, legacy, tenant, effect, space, change, receipt };
        commit.check()?;
        within(WRITE, "commit", transact(collections.client(), &commit)).await
    }

    async fn receipt(&self, tenant: &TenantId, effect: &EffectKey) -> PortResult<Option<Value>> {
        within(READ, "receipt", lookup::receipt(&self.collections, tenant, effect)).await
    }

    async fn receipts_about(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        after: Option<&Noted>,
        limit: usize,
    ) -> PortResult<Vec<(Noted, Value)>> {
        let Some(limit) = lookup::at_most(limit) else { return Ok(Vec::new()) };
        let found = lookup::receipts_about(&self.collections, tenant, product, after, limit);
        within(READ, "receipts_about", found).await
    }

    async fn vectors(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, VectorRow)>> {
        let after = after.map(Place::parse).transpose()?;
        within(READ, "vectors", self.vectors_after(space, after, limit)).await
    }

    async fn vectors_of(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        space: &Space,
    ) -> PortResult<Vec<VectorRow>> {
        within(READ, "vectors_of", async {
            if let Some(stored) = lookup::product(&self.collections, tenant, product).await? {
                let images = stored.images.iter().map(|image| &image.hash);
                return vectors::of_images(&self.collections, space, tenant, images).await;
            }
            match self.legacy_of(tenant).filter(|legacy| legacy.space.as_ref() == Some(space)) {
                Some(legacy) => legacy::vectors_of(&self.collections, legacy, space, product).await,
                None => Ok(Vec::new()),
            }
        })
        .await
    }

    async fn version(&self, tenant: &TenantId) -> PortResult<u64> {
        within(READ, "version", lookup::version(&self.collections, tenant)).await
    }

    async fn intend(&self, tenant: &TenantId, effect: &EffectKey, images: &[ImageHash]) -> PortResult<()> {
        let collections = &self.collections;
        let intend = Intend { collections, tenant, effect, images };
        within(WRITE, "intend", transact(collections.client(), &intend)).await
    }

    async fn intents(&self, before: Timestamp, limit: usize) -> PortResult<Vec<Intent>> {
        within(READ, "intents", intents::before(&self.collections, before, limit)).await
    }

    async fn withdraw(&self, tenant: &TenantId, effect: &EffectKey, image: &ImageHash) -> PortResult<bool> {
        let (collections, legacy) = (&self.collections, self.legacy_of(tenant));
        let withdraw = Withdraw { collections, legacy, tenant, effect, image };
        within(WRITE, "withdraw", transact(collections.client(), &withdraw)).await
    }

    async fn removed(&self, tenant: &TenantId, image: &ImageHash) -> PortResult<()> {
        within(WRITE, "removed", intents::removed(&self.collections, tenant, image)).await
    }

    async fn about(&self) -> PortResult<About> {
        let indexes = within(READ, "about", async {
            let ping = self.collections.database.run_command(doc! { "ping": 1 });
            ping.await.map_err(mongo)?;
            atlas::indexes(&self.collections.search).await
        });
        let indexes = indexes.await?;
        let is_ready =
            indexes.as_ref().is_some_and(|indexes| indexes.get(INDEX).copied().unwrap_or_default());
        // An index that Atlas has built meanwhile is used from now on.
        self.has_atlas_search.store(is_ready, Ordering::Relaxed);
        let keyword = if is_ready { "Atlas Search" } else { "text index" };
        let vectors =
            if indexes.is_some() { "Atlas Vector Search" } else { "kept here, searched by the host" };
        let details =
            [("version", self.version.clone()), ("keyword", keyword.into()), ("vectors", vectors.into())];
        Ok(About { backend: "mongodb", details: BTreeMap::from(details) })
    }

    async fn counts(&self) -> PortResult<Counts> {
        within(READ, "counts", async {
            let mut counts = lookup::counts(&self.collections).await?;
            if self.legacy.is_some() {
                let old = legacy::counts(&self.collections).await?;
                counts.products += old.products;
                counts.images += old.images;
            }
            Ok(counts)
        })
        .await
    }

    async fn spaces(&self) -> PortResult<BTreeMap<String, u64>> {
        within(READ, "spaces", async {
            let mut spaces = lookup::spaces(&self.collections).await?;
            if let Some(space) = self.legacy.as_ref().and_then(|legacy| legacy.space.as_ref()) {
                let old = legacy::vector_count(&self.collections).await?;
                if old > 0 {
                    *spaces.entry(space.id.clone()).or_default() += old;
                }
            }
            Ok(spaces)
        })
        .await
    }
}

#[async_trait]
impl AccessStore for MongoStore {
    async fn add_tenant(&self, tenant: &Tenant) -> PortResult<bool> {
        within(READ, "add_tenant", access::add_tenant(&self.collections, tenant)).await
    }

    async fn tenant(&self, id: &TenantId) -> PortResult<Option<Tenant>> {
        within(READ, "tenant", access::tenant(&self.collections, id)).await
    }

    async fn tenants(&self) -> PortResult<Vec<Tenant>> {
        within(READ, "tenants", access::tenants(&self.collections)).await
    }

    async fn add_key(&self, key: &ApiKey) -> PortResult<()> {
        within(READ, "add_key", access::add_key(&self.collections, key)).await
    }

    async fn key(&self, id: &KeyId) -> PortResult<Option<ApiKey>> {
        within(READ, "key", access::key(&self.collections, id)).await
    }

    async fn keys(&self, tenant: &TenantId) -> PortResult<Vec<ApiKey>> {
        within(READ, "keys", access::keys(&self.collections, tenant)).await
    }

    async fn revoke_key(&self, tenant: &TenantId, id: &KeyId, at: Timestamp) -> PortResult<bool> {
        within(READ, "revoke_key", access::revoke_key(&self.collections, tenant, id, at)).await
    }

    async fn word_settings(&self, tenant: &TenantId) -> PortResult<Option<WordSettings>> {
        within(READ, "word_settings", access::word_settings(&self.collections, tenant)).await
    }

    async fn set_word_settings(&self, tenant: &TenantId, settings: &WordSettings) -> PortResult<bool> {
        let set = access::set_word_settings(&self.collections, tenant, settings);
        within(READ, "set_word_settings", set).await
    }

    async fn judgements(&self, tenant: &TenantId) -> PortResult<Vec<JudgementSet>> {
        within(READ, "judgements", judgements::all(&self.collections, tenant)).await
    }

    async fn judgement_lines(
        &self,
        tenant: &TenantId,
        id: &JudgementSetId,
    ) -> PortResult<Option<(JudgementSet, String)>> {
        within(READ, "judgement_lines", judgements::lines(&self.collections, tenant, id)).await
    }

    async fn keep_judgements(&self, tenant: &TenantId, set: &JudgementSet, lines: &str) -> PortResult<bool> {
        within(READ, "keep_judgements", judgements::keep(&self.collections, tenant, set, lines)).await
    }

    async fn forget_judgements(&self, tenant: &TenantId, id: &JudgementSetId) -> PortResult<bool> {
        within(READ, "forget_judgements", judgements::forget(&self.collections, tenant, id)).await
    }

    async fn callback_secrets(&self, tenant: &TenantId) -> PortResult<Option<CallbackSecrets>> {
        within(READ, "callback_secrets", access::callback_secrets(&self.collections, tenant)).await
    }

    async fn replace_callback_secrets(
        &self,
        tenant: &TenantId,
        current: Option<&CallbackSecret>,
        secrets: &CallbackSecrets,
    ) -> PortResult<bool> {
        let replace = access::replace_callback_secrets(&self.collections, tenant, current, secrets);
        within(READ, "replace_callback_secrets", replace).await
    }
}
