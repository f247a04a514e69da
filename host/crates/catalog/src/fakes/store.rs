//! The store as maps behind one lock: what every durable one must agree with.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{Fault, held};
use crate::{
    add_product::products_named,
    embedding::Space,
    filter::Filter,
    id::{EffectKey, ImageHash, ProductId, TenantId},
    models::{CatalogueImage, Chosen, ModelChoice, ModelStore},
    order::{ListOrder, Sort, SortKey},
    picture::PerceptualHash,
    port::{
        About, Change, Counts, Edit, Edited, Intent, KnownImage, NewImage, Noted, PortError, PortErrorKind,
        PortResult, Position, Shelved, Store, VectorRow,
    },
    product::{Product, add_offer},
    words::{Wanted, fold},
};

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub struct InMemoryStore {
    tables: Mutex<Tables>,
    fault: Fault,
    lose_reply: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct Tables {
    products: BTreeMap<(TenantId, ProductId), (Product, String)>,
    /// Products by when their texts last changed.
    told: BTreeMap<usize, (TenantId, ProductId)>,
    images: BTreeMap<(TenantId, ImageHash), ProductId>,
    /// Nothing where one was removed.
    vectors: Vec<Option<(String, VectorRow)>>,
    receipts: BTreeMap<(TenantId, EffectKey), (Timestamp, Value)>,
    versions: BTreeMap<TenantId, u64>,
    intents: BTreeMap<(TenantId, ImageHash), Intended>,
    choice: Option<ModelChoice>,
}

/// Who is about to host a picture; nobody while it is being removed.
#[derive(Debug, Clone)]
struct Intended {
    effects: BTreeSet<EffectKey>,
    at: Timestamp,
}

impl InMemoryStore {
    /// The next commit writes nothing and fails so.
    pub fn fail_next_commit(&self, kind: PortErrorKind) {
        self.fault.arm(kind);
    }

    /// The next commit writes everything and then answers that it is unavailable: the reply was lost.
    pub fn lose_next_reply(&self) {
        self.lose_reply.store(true, Ordering::Relaxed);
    }
}

/// The number of a place; 0 before the first.
fn passed(after: Option<&Position>) -> PortResult<usize> {
    match after.map(|after| after.0.parse::<usize>()) {
        None => Ok(0),
        Some(Ok(passed)) => Ok(passed),
        Some(Err(error)) => refused(PortErrorKind::Invalid, error.to_string()),
    }
}

fn refused<T>(kind: PortErrorKind, message: impl Into<String>) -> PortResult<T> {
    Err(PortError::new("store", kind, message))
}

impl Tables {
    fn apply(
        &mut self,
        tenant: &TenantId,
        effect: &EffectKey,
        space: &Space,
        change: Change,
    ) -> PortResult<()> {
        if !matches!(change, Change::None) {
            *self.versions.entry(tenant.clone()).or_default() += 1;
        }
        if let Change::Create { images, .. } | Change::Merge { images, .. } = &change {
            images.iter().try_for_each(|new| self.take_back(tenant, effect, new.image.hash))?;
        }
        match change {
            Change::None => Ok(()),
            Change::Create { product, images, index_text } => {
                let id = product.id.clone();
                let key = (tenant.clone(), id.clone());
                if self.products.contains_key(&key) {
                    return refused(PortErrorKind::Conflict, format!("product {id} is there already"));
                }
                self.tell(&key);
                self.products.insert(key, (*product, index_text));
                self.add_images(tenant, space, &id, &images)
            }
            Change::Merge { product, images } => {
                let stored = self.touch(tenant, &product)?;
                stored.images.extend(images.iter().map(|new| new.image.clone()));
                self.add_images(tenant, space, &product, &images)
            }
            Change::Offer { product, offer } => {
                add_offer(&mut self.touch(tenant, &product)?.offers, *offer);
                Ok(())
            }
        }
    }

    /// A product that changes now.
    fn touch(&mut self, tenant: &TenantId, product: &ProductId) -> PortResult<&mut Product> {
        let Some((stored, _)) = self.products.get_mut(&(tenant.clone(), product.clone())) else {
            return refused(PortErrorKind::Conflict, format!("product {product} is not there"));
        };
        stored.updated_at = Timestamp::now();
        stored.revision += 1;
        Ok(stored)
    }

    /// Puts a product's text at the end of all.
    fn tell(&mut self, product: &(TenantId, ProductId)) {
        let next = self.told.last_key_value().map_or(1, |(last, _)| last + 1);
        self.told.retain(|_, told| told != product);
        self.told.insert(next, product.clone());
    }

    fn add_images(
        &mut self,
        tenant: &TenantId,
        space: &Space,
        product: &ProductId,
        images: &[NewImage],
    ) -> PortResult<()> {
        for new in images {
            let image = new.image.hash;
            if new.embedding.dimension() != space.dimension {
                return refused(PortErrorKind::Invalid, "vector of another dimension");
            }
            if self.images.insert((tenant.clone(), image), product.clone()).is_some() {
                return refused(PortErrorKind::Conflict, format!("image {image} is there already"));
            }
            let (tenant, product) = (tenant.clone(), product.clone());
            let row = VectorRow { tenant, product, image, embedding: new.embedding.clone() };
            self.vectors.push(Some((space.id.clone(), row)));
        }
        Ok(())
    }

    /// The intent for a picture that is about to be stored.
    fn take_back(&mut self, tenant: &TenantId, effect: &EffectKey, image: ImageHash) -> PortResult<()> {
        let key = (tenant.clone(), image);
        let Some(intended) = self.intents.get_mut(&key) else { return Ok(()) };
        if intended.effects.is_empty() {
            return refused(PortErrorKind::Conflict, format!("image {image} is being removed"));
        }
        intended.effects.remove(effect);
        if intended.effects.is_empty() {
            self.intents.remove(&key);
        }
        Ok(())
    }

    fn edit(&mut self, tenant: &TenantId, product: &ProductId, revision: u64, edit: &Edit) -> Edited {
        let key = (tenant.clone(), product.clone());
        let Some((stored, text)) = self.products.get_mut(&key) else { return Edited::Missing };
        if stored.revision != revision {
            return Edited::Changed;
        }
        let gone: Vec<_> = match edit {
            Edit::Describe { details, index_text } => {
                stored.details = details.as_ref().clone();
                index_text.iter().for_each(|new| text.clone_from(new));
                Vec::new()
            }
            Edit::RemoveImages(images) => {
                let gone = stored.images.extract_if(.., |image| images.contains(&image.hash));
                gone.map(|image| image.hash).collect()
            }
            Edit::RemoveOffer(offer) => {
                stored.offers.retain(|known| known.id != *offer);
                Vec::new()
            }
            Edit::Delete => stored.images.iter().map(|image| image.hash).collect(),
        };
        stored.revision += 1;
        stored.updated_at = Timestamp::now();
        let revision = stored.revision;
        if matches!(edit, Edit::Describe { index_text: Some(_), .. }) {
            self.tell(&key);
        }
        if matches!(edit, Edit::Delete) {
            self.told.retain(|_, told| *told != key);
            self.products.remove(&key);
        }
        *self.versions.entry(tenant.clone()).or_default() += 1;
        self.vectors.iter_mut().for_each(|place| {
            place.take_if(|(_, row)| row.tenant == *tenant && gone.contains(&row.image));
        });
        let left_over = gone.iter().copied().filter(|image| self.give_up(tenant, *image)).collect();
        Edited::Done { revision, gone, left_over }
    }

    /// Takes a picture from its product; whether nobody wants it.
    fn give_up(&mut self, tenant: &TenantId, image: ImageHash) -> bool {
        let key = (tenant.clone(), image);
        self.images.remove(&key);
        let nobody = Intended { effects: BTreeSet::new(), at: Timestamp::now() };
        self.intents.entry(key).or_insert(nobody).effects.is_empty()
    }

    /// Vectors with their places, which they keep when others go.
    fn vectors(&self) -> impl Iterator<Item = (usize, &String, &VectorRow)> {
        let there = (1..).zip(&self.vectors);
        there.filter_map(|(at, place)| place.as_ref().map(|(space, row)| (at, space, row)))
    }

    /// Pictures that have no vector in a space.
    fn without(&self, space: &Space) -> impl Iterator<Item = CatalogueImage> {
        let vectors = self.vectors().filter(|(_, id, _)| **id == space.id);
        let with: BTreeSet<_> = vectors.map(|(_, _, row)| (&row.tenant, row.image)).collect();
        let images = self.products.values().flat_map(|(product, _)| {
            let (tenant, id) = (&product.tenant, &product.id);
            product.images.iter().map(move |image| (tenant, id, image))
        });
        images.filter(move |(tenant, _, image)| !with.contains(&(*tenant, image.hash))).map(
            |(tenant, product, image)| CatalogueImage {
                tenant: tenant.clone(),
                product: product.clone(),
                image: image.clone(),
            },
        )
    }

    fn of<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = &'a (Product, String)> {
        self.products.values().filter(move |(product, _)| product.tenant == *tenant)
    }
}

/// How many of the words begin a word of the text, or stand anywhere in it if they are not written with spaces; those that
/// others stand for count less.
fn words_found(wanted: &Wanted, text: &str) -> f32 {
    let text = fold(text);
    let has = |word: &str| {
        let spaced = word.is_ascii();
        text.split(|c: char| !c.is_alphanumeric())
            .any(|own| if spaced { own.starts_with(word) } else { own.contains(word) })
    };
    let found = |word: &str| {
        let instead = || {
            wanted
                .instead(word)
                .iter()
                .find(|other| other.words().all(|word| has(&fold(word))))
                .map(|other| other.weight)
        };
        if has(&fold(word)) { Some(1.0) } else { instead() }
    };
    let typed = wanted.text().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    typed.filter_map(found).sum()
}

#[async_trait]
impl Store for InMemoryStore {
    async fn product(&self, tenant: &TenantId, id: &ProductId) -> PortResult<Option<Product>> {
        let tables = held(&self.tables);
        Ok(tables.products.get(&(tenant.clone(), id.clone())).map(|(product, _)| product.clone()))
    }

    async fn products(&self, tenant: &TenantId, ids: &[ProductId]) -> PortResult<Vec<Product>> {
        let tables = held(&self.tables);
        let stored = |id: &ProductId| tables.products.get(&(tenant.clone(), id.clone()));
        Ok(ids.iter().filter_map(stored).map(|(product, _)| product.clone()).collect())
    }

    async fn image(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<Option<KnownImage>> {
        let tables = held(&self.tables);
        let product = tables.images.get(&(tenant.clone(), *hash));
        Ok(product.map(|product| KnownImage { product: product.clone(), hash: *hash, distance: 0 }))
    }

    async fn images_like(
        &self,
        tenant: &TenantId,
        look: PerceptualHash,
        max_distance: u32,
        limit: usize,
    ) -> PortResult<Vec<KnownImage>> {
        let tables = held(&self.tables);
        let images = tables.of(tenant).flat_map(|(product, _)| {
            product.images.iter().map(|image| KnownImage {
                product: product.id.clone(),
                hash: image.hash,
                distance: image.perceptual.distance(look),
            })
        });
        let mut alike: Vec<_> = images.filter(|image| image.distance <= max_distance).collect();
        alike.sort_by_key(|image| (image.distance, image.hash));
        alike.truncate(limit);
        Ok(alike)
    }

    async fn keyword(
        &self,
        tenant: &TenantId,
        wanted: &Wanted,
        filter: &Filter,
        limit: usize,
    ) -> PortResult<Vec<(ProductId, f32)>> {
        let tables = held(&self.tables);
        let mut found: Vec<_> = tables
            .of(tenant)
            .filter(|(product, _)| filter.matches(product))
            .map(|(product, text)| {
                (words_found(wanted, &format!("{} {text}", product.details.name)), product)
            })
            .filter(|(found, _)| *found > 0.0)
            .collect();
        found.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.id.cmp(&other.id)));
        found.truncate(limit);
        Ok(found.into_iter().map(|(found, product)| (product.id.clone(), found)).collect())
    }

    async fn texts(
        &self,
        tenant: &TenantId,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, String)>> {
        let passed = passed(after)?;
        let tables = held(&self.tables);
        let told = tables.told.range(passed + 1..).filter(|(_, (shop, _))| shop == tenant);
        let text = |(at, key): (&usize, &(TenantId, ProductId))| {
            let (product, text) = tables.products.get(key)?;
            Some((Position(at.to_string()), format!("{}\n{text}", product.details.name)))
        };
        Ok(told.filter_map(text).take(limit).collect())
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        order: ListOrder,
        after: Option<&Shelved>,
        limit: usize,
    ) -> PortResult<Vec<Shelved>> {
        let tables = held(&self.tables);
        let mut passing: Vec<_> = tables
            .of(tenant)
            .filter(|(product, _)| filter.matches(product))
            .map(|(product, _)| Shelved { at: product.moment(order.by), id: product.id.clone() })
            .filter(|place| after.is_none_or(|after| order.compare(after, place).is_lt()))
            .collect();
        passing.sort_by(|one, other| order.compare(one, other));
        passing.truncate(limit);
        Ok(passing)
    }

    async fn sorted(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        sort: &[Sort],
        limit: usize,
    ) -> PortResult<Vec<ProductId>> {
        let tables = held(&self.tables);
        let mut passing: Vec<_> = tables
            .of(tenant)
            .map(|(product, _)| product)
            .filter(|product| filter.matches(*product))
            .map(|product| SortKey::among_all(sort, product))
            .collect();
        passing.sort();
        passing.truncate(limit);
        Ok(passing.into_iter().map(|(_, Reverse((_, id)))| id).collect())
    }

    async fn edit(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        revision: u64,
        edit: &Edit,
    ) -> PortResult<Edited> {
        self.fault.strike("store")?;
        Ok(held(&self.tables).edit(tenant, product, revision, edit))
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        effect: &EffectKey,
        space: &Space,
        change: Change,
        receipt: &Value,
    ) -> PortResult<()> {
        self.fault.strike("store")?;
        let mut tables = held(&self.tables);
        let mut after = tables.clone();
        let choice = after.choice.as_ref().filter(|_| !matches!(change, Change::None));
        if let Some(choice) = choice.filter(|choice| choice.active.id != space.id) {
            return refused(PortErrorKind::Unavailable, format!("vectors of {} serve now", choice.active.id));
        }
        let noted = (Timestamp::now(), receipt.clone());
        if after.receipts.insert((tenant.clone(), effect.clone()), noted).is_some() {
            return refused(PortErrorKind::Conflict, format!("receipt of {effect} is there already"));
        }
        after.apply(tenant, effect, space, change)?;
        *tables = after;
        if self.lose_reply.swap(false, Ordering::Relaxed) {
            return refused(PortErrorKind::Unavailable, "told to lose the reply");
        }
        Ok(())
    }

    async fn receipt(&self, tenant: &TenantId, effect: &EffectKey) -> PortResult<Option<Value>> {
        let tables = held(&self.tables);
        Ok(tables.receipts.get(&(tenant.clone(), effect.clone())).map(|(_, receipt)| receipt.clone()))
    }

    async fn receipts_about(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        after: Option<&Noted>,
        limit: usize,
    ) -> PortResult<Vec<(Noted, Value)>> {
        let tables = held(&self.tables);
        let of_shop = tables.receipts.iter().filter(|((shop, _), _)| shop == tenant);
        let naming = of_shop.filter(|(_, (_, receipt))| products_named(receipt).contains(product));
        let mut found: Vec<_> = naming
            .map(|((_, effect), (at, receipt))| (Noted { at: *at, effect: effect.clone() }, receipt.clone()))
            .collect();
        let place = |noted: &Noted| (noted.at, noted.effect.clone());
        found.sort_by_key(|(noted, _)| Reverse(place(noted)));
        found.retain(|(noted, _)| after.is_none_or(|after| place(noted) < place(after)));
        found.truncate(limit);
        Ok(found)
    }

    async fn vectors(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, VectorRow)>> {
        let passed = passed(after)?;
        let tables = held(&self.tables);
        let rows = tables.vectors().filter(|(at, id, _)| *at > passed && **id == space.id);
        Ok(rows.take(limit).map(|(at, _, row)| (Position(format!("{at}")), row.clone())).collect())
    }

    async fn vectors_of(
        &self,
        tenant: &TenantId,
        product: &ProductId,
        space: &Space,
    ) -> PortResult<Vec<VectorRow>> {
        let tables = held(&self.tables);
        let rows = tables
            .vectors()
            .filter(|(_, id, row)| (*id, &row.tenant, &row.product) == (&space.id, tenant, product));
        Ok(rows.map(|(_, _, row)| row.clone()).collect())
    }

    async fn version(&self, tenant: &TenantId) -> PortResult<u64> {
        Ok(held(&self.tables).versions.get(tenant).copied().unwrap_or(0))
    }

    async fn intend(&self, tenant: &TenantId, effect: &EffectKey, images: &[ImageHash]) -> PortResult<()> {
        let mut tables = held(&self.tables);
        let keys: Vec<_> = images.iter().map(|image| (tenant.clone(), *image)).collect();
        let removing = |key| tables.intents.get(key).is_some_and(|intended| intended.effects.is_empty());
        if keys.iter().any(removing) {
            return refused(PortErrorKind::Conflict, "an image is being removed");
        }
        let at = Timestamp::now();
        for key in keys {
            let intended = tables.intents.entry(key).or_insert(Intended { effects: BTreeSet::new(), at });
            intended.effects.insert(effect.clone());
            intended.at = at;
        }
        Ok(())
    }

    async fn intents(&self, before: Timestamp, limit: usize) -> PortResult<Vec<Intent>> {
        let tables = held(&self.tables);
        let mut old: Vec<_> = tables.intents.iter().filter(|(_, intended)| intended.at < before).collect();
        old.sort_by_key(|(_, intended)| intended.at);
        let intent = |((tenant, image), intended): (&(TenantId, ImageHash), &Intended)| Intent {
            tenant: tenant.clone(),
            image: *image,
            effects: intended.effects.iter().cloned().collect(),
        };
        Ok(old.into_iter().take(limit).map(intent).collect())
    }

    async fn withdraw(&self, tenant: &TenantId, effect: &EffectKey, image: &ImageHash) -> PortResult<bool> {
        let mut tables = held(&self.tables);
        let key = (tenant.clone(), *image);
        let stored = tables.images.contains_key(&key);
        let nobody = Intended { effects: BTreeSet::new(), at: Timestamp::now() };
        let intended = tables.intents.entry(key.clone()).or_insert(nobody);
        intended.effects.remove(effect);
        intended.at = Timestamp::now();
        let left_over = intended.effects.is_empty() && !stored;
        if intended.effects.is_empty() && stored {
            tables.intents.remove(&key);
        }
        Ok(left_over)
    }

    async fn removed(&self, tenant: &TenantId, image: &ImageHash) -> PortResult<()> {
        let mut tables = held(&self.tables);
        let key = (tenant.clone(), *image);
        if tables.intents.get(&key).is_some_and(|intended| intended.effects.is_empty()) {
            tables.intents.remove(&key);
        }
        Ok(())
    }

    async fn about(&self) -> PortResult<About> {
        Ok(About { backend: "memory", details: BTreeMap::new() })
    }

    async fn counts(&self) -> PortResult<Counts> {
        let tables = held(&self.tables);
        Ok(Counts { products: tables.products.len() as u64, images: tables.images.len() as u64 })
    }

    async fn spaces(&self) -> PortResult<BTreeMap<String, u64>> {
        let tables = held(&self.tables);
        let mut spaces = BTreeMap::new();
        tables.vectors().for_each(|(_, space, _)| *spaces.entry(space.clone()).or_default() += 1);
        Ok(spaces)
    }
}

#[async_trait]
impl ModelStore for InMemoryStore {
    async fn choice(&self) -> PortResult<Option<ModelChoice>> {
        Ok(held(&self.tables).choice.clone())
    }

    async fn choose(&self, choice: &ModelChoice, lacking: u64) -> PortResult<Chosen> {
        let mut tables = held(&self.tables);
        let stored = tables.choice.as_ref();
        if stored.map_or(0, |stored| stored.revision) + 1 != choice.revision {
            return Ok(Chosen::Changed);
        }
        if stored.is_some_and(|stored| stored.active != choice.active)
            && tables.without(&choice.active).count() as u64 > lacking
        {
            return Ok(Chosen::Incomplete);
        }
        tables.choice = Some(choice.clone());
        Ok(Chosen::Stored)
    }

    async fn images_without(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, CatalogueImage)>> {
        let tables = held(&self.tables);
        let place = |image: &CatalogueImage| Position(format!("{}:{}", image.tenant, image.image.hash));
        let mut without: Vec<_> = tables.without(space).map(|image| (place(&image), image)).collect();
        without.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
        without.retain(|(place, _)| after.is_none_or(|after| place.0 > after.0));
        without.truncate(limit);
        Ok(without)
    }

    async fn add_vectors(&self, space: &Space, rows: Vec<VectorRow>) -> PortResult<()> {
        let mut tables = held(&self.tables);
        if rows.iter().any(|row| row.embedding.dimension() != space.dimension) {
            return refused(PortErrorKind::Invalid, "vector of another dimension");
        }
        for row in rows {
            let without = tables
                .without(space)
                .any(|image| (&image.tenant, image.image.hash) == (&row.tenant, row.image));
            if without {
                *tables.versions.entry(row.tenant.clone()).or_default() += 1;
                tables.vectors.push(Some((space.id.clone(), row)));
            }
        }
        Ok(())
    }

    async fn forget_vectors(&self, space: &str, limit: usize) -> PortResult<u64> {
        let mut tables = held(&self.tables);
        if tables.choice.as_ref().is_some_and(|choice| choice.needs(space)) {
            return refused(PortErrorKind::Conflict, format!("vectors of {space} are needed"));
        }
        let mut removed = 0;
        for place in &mut tables.vectors {
            if removed < limit as u64 && place.take_if(|(id, _)| id == space).is_some() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_maps_keep_the_contract() {
        crate::contract::store_suite(async || (InMemoryStore::default(), ())).await;
        crate::contract::model_suite(async || (InMemoryStore::default(), ())).await;
        crate::contract::spelling_suite(async || (InMemoryStore::default(), ())).await;
    }
}
