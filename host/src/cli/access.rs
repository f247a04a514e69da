//! `taja tenant` and `taja key`: shops, and the keys that speak for them.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde_json::{Value, json};

use super::{client::At, write_out};

/// Register and list shops.
#[derive(Subcommand)]
pub enum Tenants {
    /// Register a shop
    Add {
        /// Its name in every row, job and metric: 1 to 64 of a-z, 0-9, hyphen and underscore
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// List shops
    List {
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
}

/// Make, list and revoke the keys of a shop.
#[derive(Subcommand)]
pub enum Keys {
    /// Make a key, and print it: it is shown this once and kept nowhere
    Add {
        /// The shop
        shop: String,
        /// What it may be used for
        #[arg(long, value_delimiter = ',', required = true, value_name = "search,catalogue,admin")]
        scopes: Vec<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
        /// Requests per minute at each process, in place of the service's own limit
        #[arg(long)]
        per_minute: Option<u32>,
        /// Days until it expires
        #[arg(long)]
        days: Option<u32>,
        #[command(flatten)]
        at: At,
    },
    /// List the keys of a shop
    List {
        /// The shop
        shop: String,
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Revoke a key: within seconds it opens nothing any more
    Revoke {
        /// The shop
        shop: String,
        /// The key's public part, 16 hex digits
        key: String,
        #[command(flatten)]
        at: At,
    },
}

impl Tenants {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::Add { id, name, at } => {
                let tenant = at
                    .with(async |client| client.create("/tenants", &json!({ "id": id, "name": name })).await)
                    .await?;
                write_out(text(&tenant["id"]))?;
            }
            Self::List { json, at } => {
                let tenants = at.with(async |client| client.get("/tenants").await).await?;
                print(&tenants, json, &["id", "name", "created_at"])?;
            }
        }
        Ok(true)
    }
}

impl Keys {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::Add { shop, scopes, label, per_minute, days, at } => {
                let new = json!({ "scopes": scopes, "label": label, "per_minute": per_minute, "days": days });
                let route = format!("/tenants/{shop}/keys");
                let key = at.with(async |client| client.create(&route, &new).await).await?;
                write_out(text(&key["key"]))?;
            }
            Self::List { shop, json, at } => {
                let route = format!("/tenants/{shop}/keys");
                let keys = at.with(async |client| client.get(&route).await).await?;
                let columns = ["id", "scopes", "label", "state", "per_minute", "created_at", "expires_at"];
                print(&keys, json, &columns)?;
            }
            Self::Revoke { shop, key, at } => {
                let route = format!("/tenants/{shop}/keys/{key}");
                at.with(async |client| client.delete(&route).await).await?;
            }
        }
        Ok(true)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The rows as JSON lines, or these columns of them as a table.
fn print(rows: &Value, json: bool, columns: &[&str]) -> anyhow::Result<()> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return rows.iter().try_for_each(|row| write_out(&row.to_string()));
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns);
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(&row[*column])));
    }
    write_out(&table.to_string())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
