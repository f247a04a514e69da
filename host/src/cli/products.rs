//! `taja products`: what a shop has, and taking it away.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use super::{
    client::{At, Client},
    write_out,
};

/// Products on a page of the list.
const PAGE: usize = 100;

/// List, show, review and delete products.
#[derive(Subcommand)]
pub enum Products {
    /// List products, newest first
    List {
        /// Only those that pass, as JSON: '{"stock": {"gt": 0}}'
        #[arg(long)]
        filter: Option<String>,
        /// How many to show, at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Print a product as JSON
    Get {
        /// The product
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Print as JSON what was taken for a product, with the evidence, and what looks like it
    Duplicates {
        /// The product
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Delete products with their pictures
    Delete {
        /// The products
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        at: At,
    },
}

impl Products {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::List { filter, limit, json, at } => {
                let products = at.with(async |client| list(client, filter, limit).await).await?;
                print(&products, json)?;
                Ok(true)
            }
            Self::Get { id, at } => {
                let product = at.with(async |client| client.get(&route(&id)).await).await?;
                write_out(&product.to_string())?;
                Ok(true)
            }
            Self::Duplicates { id, at } => {
                let found =
                    at.with(async |client| client.get(&format!("{}/duplicates?limit=100", route(&id))).await);
                write_out(&found.await?.to_string())?;
                Ok(true)
            }
            Self::Delete { ids, at } => at.with(async |client| delete(client, &ids).await).await,
        }
    }
}

fn route(id: &str) -> String {
    format!("/products/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

async fn list(client: &Client, filter: Option<String>, limit: usize) -> anyhow::Result<Vec<Value>> {
    let mut products = Vec::new();
    let mut cursor = None;
    while products.len() < limit {
        let page = (limit - products.len()).min(PAGE).to_string();
        let query = [("filter", filter.clone()), ("limit", Some(page)), ("cursor", cursor)];
        let mut page = client.call(Method::GET, "/products", &query, None).await?;
        products.extend(page["products"].as_array_mut().map(std::mem::take).unwrap_or_default());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(products)
}

/// Deletes each; one that cannot be does not keep the others from it.
async fn delete(client: &Client, ids: &[String]) -> anyhow::Result<bool> {
    let mut good = true;
    for id in ids {
        match client.delete(&route(id)).await {
            Ok(_) => write_out(id)?,
            Err(error) => {
                good = false;
                eprintln!("{id}: {error:#}");
            }
        }
    }
    Ok(good)
}

fn print(products: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        return products.iter().try_for_each(|product| write_out(&product.to_string()));
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["product", "name", "price", "stock", "category", "pictures"]);
    for product in products {
        let text = |name: &str| match &product[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            value => value.to_string(),
        };
        let pictures = product["images"].as_array().map_or(0, Vec::len).to_string();
        let fields = ["product_id", "name", "price", "stock", "category"].map(text);
        table.add_row(fields.into_iter().chain([pictures]));
    }
    write_out(&table.to_string())
}
