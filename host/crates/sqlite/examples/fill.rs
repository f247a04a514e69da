//! Fills a data folder with products for measuring: one JSON object a line on standard input, and for each a picture with
//! the next vector of a file of 32-bit floats. `fill FOLDER SPACE DIMENSION VECTORS`, where SPACE is what `taja model
//! verify` tells.
//!
//! Every product goes through the port, in a commit of its own, as in a shop that takes them in.
#![expect(clippy::print_stdout, reason = "how fast it went is worth a line")]

use std::{
    error::Error,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::json;
use taja_catalog::{
    Details, Embedding, ImageHash, PerceptualHash, Product, Space, StoredImage, TenantId,
    port::{Change, NewImage, Store},
};
use taja_sqlite::SqliteStore;

/// The shop that requests belong to unless they say otherwise.
const SHOP: &str = "default";

/// A product as a line tells it.
#[derive(Deserialize)]
struct Line {
    id: String,
    name: String,
    description: String,
    price: f64,
    category: String,
    image_url: String,
    /// What the bytes of its picture would be, if there were one.
    picture: String,
}

/// A new product with its one picture. Its text is put together as for a product that an older service's database is
/// taken over with, so that both stores hold the same words.
fn creation(shop: &TenantId, line: Line, embedding: Embedding) -> Result<Change, Box<dyn Error>> {
    let hash = ImageHash::of(line.picture.as_bytes());
    let look = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let image =
        StoredImage { hash, perceptual: PerceptualHash(look), url: line.image_url, width: 1200, height: 900 };
    let now = jiff::Timestamp::now();
    let index_text = format!("{}\n{}", line.description, line.category);
    let product = Product {
        tenant: shop.clone(),
        id: line.id.parse()?,
        details: Details {
            name: line.name,
            price: line.price,
            description: line.description,
            category: Some(line.category),
            ..Details::default()
        },
        images: vec![image.clone()],
        created_at: now,
        updated_at: now,
        offers: Vec::new(),
        revision: 1,
    };
    let images = vec![NewImage { image, embedding }];
    Ok(Change::Create { product: Box::new(product), images, index_text })
}

/// Commits what the lines tell; how many there were, and the time that their commits took.
async fn fill(
    store: &SqliteStore,
    space: &Space,
    mut vectors: impl Read,
    lines: impl Iterator<Item = std::io::Result<String>>,
) -> Result<(u32, Duration), Box<dyn Error>> {
    let shop: TenantId = SHOP.parse()?;
    let mut vector = vec![0; space.dimension * size_of::<f32>()];
    let (mut count, mut taken) = (0, Duration::ZERO);
    for line in lines {
        let line: Line = serde_json::from_str(&line?)?;
        let effect = line.id.parse()?;
        let receipt = json!({"product": line.id});
        vectors.read_exact(&mut vector)?;
        let change = creation(&shop, line, Embedding::from_le_bytes(&vector, space.dimension)?)?;
        let began = Instant::now();
        store.commit(&shop, &effect, space, change, &receipt).await?;
        taken += began.elapsed();
        count += 1;
    }
    Ok((count, taken))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, space, dimension, vectors] = arguments.as_slice() else {
        return Err("usage: fill FOLDER SPACE DIMENSION VECTORS < PRODUCTS".into());
    };
    let (model, _) =
        space.split_once('@').ok_or("a space is a model's name, `@`, and some digits of its sum")?;
    let space = Space { id: space.clone(), model: model.to_owned(), dimension: dimension.parse()? };
    std::fs::create_dir_all(folder)?;
    let store = SqliteStore::open(Path::new(folder).join("taja.db"))?;
    let (count, taken) =
        fill(&store, &space, BufReader::new(File::open(vectors)?), std::io::stdin().lock().lines()).await?;
    store.close().await?;
    println!("{count} products, {:.0} commits/s", f64::from(count) / taken.as_secs_f64());
    Ok(())
}
