//! `taja:host/catalogue`: look-ups in one shop's products, narrowed by the filter of the request.

use std::sync::Arc;

use taja_catalog::{Filter, ImageHash, ProductId, TenantId, port::KnownImage, retrieval::Catalogue};
use wasmtime::component::Resource;

use crate::{
    bindings::host::{
        catalogue::{HitColumns, Host, HostHits, LookAlike, StoredImage},
        media::Image,
    },
    hits::{Hits, Row},
    host::{
        call::Call,
        embed::{MAX_TEXT_BYTES, Rows},
    },
    manifest::Capability,
    refusal::{Answer, Refusal},
    state::{GuestState, Held},
};

/// Most rows per query that are looked up, whatever is asked for.
const MAX_K: usize = 1000;
/// Most rows one list holds.
const MAX_HIT_ROWS: usize = 100_000;
/// Longest filter, bytes.
const MAX_FILTER_BYTES: usize = 64 * 1024;
/// What one row takes in columns, bytes.
const COLUMNS_BYTES: usize = 4 * size_of::<u32>();
/// Most lists that are fused at once.
const MAX_LISTS: usize = 16;
/// Most pictures that look alike, as the contract says.
const MAX_NEAR_DUPLICATES: usize = 100;

impl Held for Hits {
    fn held_bytes(&self) -> usize {
        Self::held_bytes(self)
    }
}

impl HostHits for GuestState {
    async fn count(&mut self, hits: Resource<Hits>) -> wasmtime::Result<u32> {
        Ok(self.known(&hits)?.rows.len() as u32)
    }

    async fn columns(&mut self, hits: Resource<Hits>) -> Answer<HitColumns> {
        let call = self.begin(Capability::Catalogue, "columns", 0)?;
        let rows = &self.get(&hits)?.rows;
        fn column<T>(rows: &[Row], of: impl Fn(&Row) -> T) -> Vec<T> {
            rows.iter().map(of).collect()
        }
        call.carry(rows.len() * COLUMNS_BYTES);
        Ok(HitColumns {
            products: column(rows, |row| row.product),
            images: column(rows, |row| row.image),
            scores: column(rows, |row| row.score),
            query_rows: column(rows, |row| row.query_row),
        })
    }

    async fn select(
        &mut self,
        hits: Resource<Hits>,
        rows: Vec<u32>,
        scores: Vec<f32>,
    ) -> Answer<Resource<Hits>> {
        let bytes = size_of_val(&*rows) + size_of_val(&*scores);
        let _call = self.begin(Capability::Catalogue, "select", bytes)?;
        let selected =
            self.get(&hits)?.select(&rows, &scores).map_err(|error| Refusal::invalid(error.to_string()))?;
        self.give(selected)
    }

    async fn identify(&mut self, hits: Resource<Hits>, row: u32) -> Answer<Option<StoredImage>> {
        let call = self.begin(Capability::Catalogue, "identify", 0)?;
        let rows = &self.get(&hits)?.rows;
        let Some(row) = rows.get(row as usize) else {
            return Err(Refusal::invalid(format!("row {row} is beyond the {} rows there are", rows.len())));
        };
        Ok(self.interner.identify(row).map(|(product, image)| stored_image(&call, product, image)))
    }

    async fn fuse(
        &mut self,
        lists: Vec<Resource<Hits>>,
        weights: Vec<f32>,
        k: f32,
    ) -> Answer<Resource<Hits>> {
        let _call = self.begin(Capability::Catalogue, "fuse", size_of_val(&*weights))?;
        if lists.len() > MAX_LISTS {
            return Err(Refusal::too_large(format!("at most {MAX_LISTS} lists are fused at once")));
        }
        let lists = lists.iter().map(|list| self.get(list)).collect::<Answer<Vec<_>>>()?;
        let fused = Hits::fuse(&lists, &weights, k).map_err(|error| Refusal::invalid(error.to_string()))?;
        self.give(fused)
    }

    async fn drop(&mut self, hits: Resource<Hits>) -> wasmtime::Result<()> {
        self.forget(hits)
    }
}

impl Host for GuestState {
    async fn nearest(&mut self, queries: Resource<Rows>, filter: String, k: u32) -> Answer<Resource<Hits>> {
        let look_up = self.look_up("nearest", &filter, 0)?;
        let k = capped(k)?;
        let queries = self.get(&queries)?.clone();
        let rows = queries.vectors.len() * k;
        if rows > MAX_HIT_ROWS {
            return Err(Refusal::too_large(format!(
                "{rows} rows are more than the {MAX_HIT_ROWS} of one list"
            )));
        }
        self.room_for(rows * size_of::<Row>())?;
        let found = look_up.catalogue.nearest(&look_up.tenant, &queries.vectors, &look_up.filter, k);
        let found = look_up.call.wait(found).await?;
        let hits = self.interner.neighbours(found, &queries.at_ms);
        self.give(hits)
    }

    async fn keyword(&mut self, text: String, filter: String, k: u32) -> Answer<Resource<Hits>> {
        let look_up = self.look_up("keyword", &filter, text.len())?;
        let k = capped(k)?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(Refusal::too_large(format!("the text is longer than {MAX_TEXT_BYTES} bytes")));
        }
        let found = look_up.catalogue.keyword(&look_up.tenant, &text, &look_up.filter, k);
        let found = look_up.call.wait(found).await?;
        let hits = self.interner.products(found);
        self.give(hits)
    }

    async fn matching(&mut self, filter: String, k: u32) -> Answer<Resource<Hits>> {
        let look_up = self.look_up("matching", &filter, 0)?;
        let k = capped(k)?;
        let found = look_up.catalogue.matching(&look_up.tenant, &look_up.filter, k);
        let found = look_up.call.wait(found).await?;
        let hits = self.interner.products(found.into_iter().map(|product| (product, 1.0)));
        self.give(hits)
    }

    async fn image_by_hash(&mut self, sha256: String) -> Answer<Option<StoredImage>> {
        let look_up = self.look_up("image-by-hash", "", sha256.len())?;
        let hash: ImageHash = sha256.parse().map_err(|error| Refusal::invalid(format!("{error}")))?;
        let found = look_up.catalogue.image_by_hash(&look_up.tenant, &hash);
        let found = look_up.call.wait(found).await?;
        Ok(found.map(|known| stored_image(&look_up.call, &known.product, &known.hash)))
    }

    async fn near_duplicates(&mut self, image: Resource<Image>, max_distance: u32) -> Answer<Vec<LookAlike>> {
        let look_up = self.look_up("near-duplicates", "", 0)?;
        if max_distance > 64 {
            return Err(Refusal::invalid("two hashes of 64 bits are at most 64 apart"));
        }
        let look = self.get(&image)?.look();
        let found =
            look_up.catalogue.near_duplicates(&look_up.tenant, look, max_distance, MAX_NEAR_DUPLICATES);
        let found = look_up.call.wait(found).await?;
        let look_alike = |known: &KnownImage| LookAlike {
            image: stored_image(&look_up.call, &known.product, &known.hash),
            distance: known.distance,
        };
        Ok(found.iter().take(MAX_NEAR_DUPLICATES).map(look_alike).collect())
    }
}

/// One look-up: whose products, and which of them.
struct LookUp {
    call: Call,
    catalogue: Arc<dyn Catalogue>,
    tenant: TenantId,
    filter: Filter,
}

impl GuestState {
    /// Begins a look-up. The tenant and the request's filter are always part of it.
    fn look_up(&self, name: &'static str, filter: &str, more_bytes: usize) -> Answer<LookUp> {
        let call = self.begin(Capability::Catalogue, name, filter.len() + more_bytes)?;
        if filter.len() > MAX_FILTER_BYTES {
            return Err(Refusal::too_large(format!("the filter is longer than {MAX_FILTER_BYTES} bytes")));
        }
        let narrower = Filter::parse_text(filter).map_err(|error| Refusal::invalid(error.to_string()))?;
        let session = self.session()?;
        Ok(LookUp {
            call,
            catalogue: Arc::clone(&session.catalogue),
            tenant: session.tenant.clone(),
            filter: session.filter.clone().and(narrower),
        })
    }
}

fn capped(k: u32) -> Answer<usize> {
    match k {
        0 => Err(Refusal::invalid("k is at least 1")),
        k => Ok((k as usize).min(MAX_K)),
    }
}

fn stored_image(call: &Call, product: &ProductId, image: &ImageHash) -> StoredImage {
    let image = StoredImage { product_id: product.to_string(), sha256: image.to_string() };
    call.carry(image.product_id.len() + image.sha256.len());
    image
}
