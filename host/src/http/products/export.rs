//! `GET /products:export`: all that a shop has, as a file that `/products:import` takes.

use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use taja_catalog::{Filter, PortError, Product, TenantId, order::ListOrder, port::Shelved};
use utoipa::IntoParams;

use super::{
    super::{Problem, Shared},
    list::read_filter,
};
use crate::{
    access::Caller,
    import::{self, Format},
};

/// Products that are read at once.
const PAGE: usize = 100;
/// What a table tells of each product; an import passes over the first.
const COLUMNS: [&str; 16] = [
    "product_id",
    "name",
    "price",
    "description",
    "category",
    "weight_kg",
    "color",
    "sizes",
    "key_features",
    "sku",
    "stock",
    "currency",
    "item_group_id",
    "attributes",
    "offers",
    "images",
];

/// What to export, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportOptions {
    /// `ndjson`, which it is unless told, or `csv`.
    format: Option<String>,
    /// Conditions on fields, as JSON: `{"category": "shoes", "stock": {"gt": 0}}`.
    filter: Option<String>,
}

/// Exports products, newest first, with the addresses of their pictures. Each that was there at the beginning and was not
/// deleted meanwhile is told once.
#[utoipa::path(
    get, path = "/products:export", tag = "products", params(ExportOptions),
    responses(
        (status = 200, description = "The products", content(
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (status = 422, body = Problem), (status = 503, body = Problem)
    )
)]
pub async fn export(
    State(app): State<Shared>,
    caller: Caller,
    Query(options): Query<ExportOptions>,
) -> Result<Response, Problem> {
    caller.may_read()?;
    let (format, content_type) = match options.format.as_deref() {
        None | Some("ndjson") => (Format::Ndjson, "application/x-ndjson"),
        Some("csv") => (Format::Csv, "text/csv"),
        Some(_) => return Err(Problem::field("format", "is neither ndjson nor csv")),
    };
    let filter = read_filter(options.filter.as_deref())?;
    let mut shelf = Shelf { app, tenant: caller.tenant, filter, after: None, over: false };
    // Before the answer begins, so that a store that is away is told as such.
    let first = shelf.page().await?.unwrap_or_default();
    let head = if format == Format::Csv { table([COLUMNS.map(Value::from).into()])? } else { String::new() };
    let begin = head + &shelf.text(format, &first)?;
    let rest = stream::try_unfold(shelf, move |mut shelf| async move {
        let Some(products) = shelf.page().await? else { return Ok(None) };
        let text = shelf.text(format, &products).map_err(|problem| problem.detail.into_string())?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some((text, shelf)))
    });
    let body = futures::StreamExt::chain(stream::iter([Ok(begin)]), rest);
    Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(body)).into_response())
}

/// A walk along all that a shop has.
struct Shelf {
    app: Shared,
    tenant: TenantId,
    filter: Filter,
    after: Option<Shelved>,
    over: bool,
}

impl Shelf {
    async fn page(&mut self) -> Result<Option<Vec<Product>>, PortError> {
        if self.over {
            return Ok(None);
        }
        let store = &self.app.store;
        let (order, after) = (ListOrder::NEWEST, self.after.as_ref());
        let mut places = store.listed(&self.tenant, &self.filter, order, after, PAGE).await?;
        self.over = places.len() < PAGE;
        let ids: Vec<_> = places.iter().map(|place| place.id.clone()).collect();
        // Where the last of them stood, whatever became of it meanwhile.
        self.after = places.pop();
        Ok(Some(store.products(&self.tenant, &ids).await?))
    }

    fn text(&self, format: Format, products: &[Product]) -> Result<String, Problem> {
        let rows = products.iter().map(|product| self.row(product));
        match format {
            Format::Ndjson => Ok(rows.map(|row| format!("{row}\n")).collect()),
            Format::Csv => table(rows.map(|row| COLUMNS.map(|column| row[column].clone()).into())),
        }
    }

    fn row(&self, product: &Product) -> Value {
        let images = product.images.iter().map(|image| self.app.absolute_url(&image.url));
        let mut row = serde_json::to_value(&product.details).unwrap_or_default();
        row["product_id"] = json!(product.id);
        if !product.offers.is_empty() {
            row["offers"] = import::offers::told(&product.offers);
        }
        row["images"] = images.collect();
        row
    }
}

/// Rows of a table: texts as they are, addresses side by side, all else as JSON.
fn table(rows: impl IntoIterator<Item = Vec<Value>>) -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let cells = row.iter().zip(COLUMNS).map(|(value, column)| cell(column, value));
        writer.write_record(cells).map_err(|error| Problem::internal(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| Problem::internal(&error))?;
    String::from_utf8(bytes).map_err(|error| Problem::internal(&error))
}

fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(images) if column == "images" => {
            images.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|")
        }
        value => value.to_string(),
    }
}
