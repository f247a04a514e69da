//! What two models find in the same catalogue, side by side, without anybody having judged anything.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Side;
use crate::{
    embedding::{Embedding, Space},
    failure::Failure,
    id::{ImageHash, ProductId, TenantId},
    port::{Neighbour, PortResult, Store, VectorRow},
    product::Product,
};

/// Pictures that are compared.
const SAMPLE: usize = 200;
/// How many of the nearest count as found.
const NEAREST: usize = 10;
/// Vectors read from a store at once.
const PAGE: usize = 1000;

/// How often what should be found was among the ten nearest products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Queries.
    pub of: usize,
    /// Share found with the vectors that serve, 0 to 1.
    pub before: f64,
    /// Share found with those of the other model.
    pub after: f64,
}

/// Two models on one catalogue: on as many as 200 of its pictures, drawn by their SHA-256, so that another run draws the
/// same ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Pictures that were drawn.
    pub pictures: usize,
    /// The share of a picture's ten nearest products that both models agree on, 0 to 1.
    pub overlap: f64,
    /// Products found by their own name as words.
    pub names: Found,
    /// Pictures whose product is found by another one of its pictures.
    pub siblings: Found,
}

impl Comparison {
    /// Why the second model is no fit successor: it finds less than this share of what the first one finds. Too few queries
    /// prove nothing.
    pub fn objection(&self, at_least: f64) -> Option<String> {
        const FEW: usize = 20;
        let worse = |what: &str, found: Found| {
            let enough = found.of < FEW || found.after >= found.before * at_least;
            (!enough).then(|| {
                let percent = |share: f64| format!("{:.1} %", 100.0 * share);
                format!(
                    "{what} are found for {} instead of {}, which is less than {at_least} of it",
                    percent(found.after),
                    percent(found.before)
                )
            })
        };
        worse("products by their names", self.names)
            .or_else(|| worse("pictures by others of their product", self.siblings))
    }
}

/// A picture that was drawn, with its vectors.
struct Drawn {
    product: ProductId,
    image: ImageHash,
    before: Embedding,
    after: Embedding,
}

/// What one model finds for the pictures of a shop, and for the names of their products.
struct Finds {
    products: Vec<Vec<Neighbour>>,
    images: Vec<Vec<Neighbour>>,
    named: Vec<Vec<Neighbour>>,
}

/// Compares what serves with what is to.
pub async fn compare(store: &dyn Store, before: &Side, after: &Side) -> Result<Comparison, Failure> {
    let mut tally = Tally::default();
    for (tenant, drawn) in draw(store, before.embedder.space(), after.embedder.space()).await? {
        let ids: Vec<_> = drawn.iter().map(|drawn| drawn.product.clone()).collect();
        let products = store.products(&tenant, &ids).await?;
        let products: HashMap<_, _> = products.iter().map(|product| (&product.id, product)).collect();
        // What was removed meanwhile is found by nobody.
        let drawn: Vec<_> = drawn.into_iter().filter(|drawn| products.contains_key(&drawn.product)).collect();
        let names: Vec<_> = drawn.iter().map(|drawn| products[&drawn.product].details.name.clone()).collect();
        let vectors = |of: fn(&Drawn) -> &Embedding| drawn.iter().map(|drawn| of(drawn).clone()).collect();
        let old = before.finds(&tenant, vectors(|drawn| &drawn.before), &names).await?;
        let new = after.finds(&tenant, vectors(|drawn| &drawn.after), &names).await?;
        for (at, drawn) in drawn.iter().enumerate() {
            tally.count(drawn, products[&drawn.product], [&old, &new].map(|finds| finds.at(at)));
        }
    }
    Ok(tally.comparison())
}

impl Side {
    async fn finds(
        &self,
        tenant: &TenantId,
        pictures: Vec<Embedding>,
        names: &[String],
    ) -> PortResult<Finds> {
        let words = self.embedder.texts(tenant, names).await?;
        // One more: a picture is its own nearest.
        let products = self.index.nearest_products(tenant, &pictures, None, NEAREST + 1).await?;
        let images = self.index.nearest(tenant, &pictures, None, NEAREST + 1).await?;
        let named = self.index.nearest_products(tenant, &words, None, NEAREST).await?;
        Ok(Finds { products, images, named })
    }
}

impl Finds {
    /// What was found for one picture: products, images, and products for its product's name.
    fn at(&self, at: usize) -> [&[Neighbour]; 3] {
        [&self.products, &self.images, &self.named].map(|lists| lists.get(at).map_or(&[][..], Vec::as_slice))
    }
}

/// Draws the same pictures from two spaces: those with the lowest SHA-256, by shop.
async fn draw(
    store: &dyn Store,
    before: &Space,
    after: &Space,
) -> PortResult<BTreeMap<TenantId, Vec<Drawn>>> {
    let mut drawn = BTreeMap::new();
    each_vector(store, before, |row| {
        drawn.insert((row.image, row.tenant.clone()), row);
        if drawn.len() > SAMPLE {
            drawn.pop_last();
        }
    })
    .await?;
    let mut by_shop: BTreeMap<_, Vec<_>> = BTreeMap::new();
    each_vector(store, after, |row| {
        if let Some(old) = drawn.remove(&(row.image, row.tenant.clone())) {
            let VectorRow { tenant, product, image, embedding } = row;
            let pair = Drawn { product, image, before: old.embedding, after: embedding };
            by_shop.entry(tenant).or_default().push(pair);
        }
    })
    .await?;
    Ok(by_shop)
}

async fn each_vector(store: &dyn Store, space: &Space, mut visit: impl FnMut(VectorRow)) -> PortResult<()> {
    let mut after = None;
    loop {
        let page = store.vectors(space, after.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        page.into_iter().for_each(|(_, row)| visit(row));
    }
}

/// What was counted so far.
#[derive(Default)]
struct Tally {
    pictures: usize,
    overlap: f64,
    names: Count,
    siblings: Count,
}

/// Queries, and how many of them found what they should, before and after.
#[derive(Default)]
struct Count {
    of: usize,
    found: [usize; 2],
}

impl Count {
    fn add(&mut self, found: [bool; 2]) {
        self.of += 1;
        self.found.iter_mut().zip(found).for_each(|(sum, found)| *sum += usize::from(found));
    }

    fn share(&self) -> Found {
        let [before, after] = self.found.map(|found| found as f64 / self.of.max(1) as f64);
        Found { of: self.of, before, after }
    }
}

impl Tally {
    fn count(&mut self, drawn: &Drawn, product: &Product, finds: [[&[Neighbour]; 3]; 2]) {
        self.pictures += 1;
        let [old, new] = finds.map(|[products, ..]| {
            let others = products.iter().map(|near| &near.product).filter(|id| **id != product.id);
            others.take(NEAREST).collect::<Vec<_>>()
        });
        // In a shop with nothing else both agree.
        let common = old.iter().filter(|id| new.contains(id)).count();
        self.overlap += if old.is_empty() { 1.0 } else { common as f64 / old.len() as f64 };
        self.names.add(finds.map(|[.., named]| named.iter().any(|near| near.product == product.id)));
        if product.images.len() > 1 {
            let sibling = |near: &Neighbour| near.product == product.id && near.image != drawn.image;
            self.siblings.add(finds.map(|[_, images, _]| images.iter().any(sibling)));
        }
    }

    fn comparison(&self) -> Comparison {
        Comparison {
            pictures: self.pictures,
            overlap: self.overlap / self.pictures.max(1) as f64,
            names: self.names.share(),
            siblings: self.siblings.share(),
        }
    }
}
