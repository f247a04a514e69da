//! `GET /products`: what a shop has, newest first or in another order of time.

use std::{fmt::Display, str::FromStr};

use axum::{
    Json,
    extract::{Query, State},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use taja_catalog::{
    Filter, Moment,
    order::{ListOrder, Sort},
    port::Shelved,
};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Problem, Shared},
    ProductView, view,
};
use crate::{access::Caller, http::search::MAX_LIMIT};

/// Products on a page unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 20;

/// Which products to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListOptions {
    /// Conditions on fields, as JSON: `{"category": "shoes", "stock": {"gt": 0}}`.
    filter: Option<String>,
    /// `created_at` or `updated_at`, or with `-` before it for the latest first; `-created_at` unless told. By `updated_at` a
    /// product that changes while pages are read is told again, in an order that rises, or left out, in one that falls.
    sort: Option<String>,
    /// Products on the page, 1 to 100; 20 unless told.
    limit: Option<u32>,
    /// Where to go on: `next` of the page before, with the same `filter` and `sort`.
    cursor: Option<String>,
}

/// A page of products.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
pub struct ProductList {
    /// The products, newest first unless `sort` says otherwise.
    products: Vec<ProductView>,
    /// What to send as `cursor` for the next page.
    next: Option<String>,
}

/// Lists products, newest first unless told. Pages go on where they stood whatever is added, edited or deleted meanwhile.
#[utoipa::path(
    get, path = "/products", tag = "products", params(ListOptions),
    responses((status = 200, body = ProductList), (status = 422, body = Problem), (status = 503, body = Problem))
)]
pub async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(options): Query<ListOptions>,
) -> Result<Json<Value>, Problem> {
    caller.may_read()?;
    let limit = read_limit(options.limit, DEFAULT_LIMIT)?;
    let filter = read_filter(options.filter.as_deref())?;
    let order = read_order(options.sort.as_deref())?;
    let after = options.cursor.as_deref().map(|cursor| read_place(cursor, order)).transpose()?;
    // One more tells whether there is a next page.
    let mut places = app.store.listed(&caller.tenant, &filter, order, after.as_ref(), limit + 1).await?;
    let is_last = places.len() <= limit;
    places.truncate(limit);
    let ids: Vec<_> = places.iter().map(|place| place.id.clone()).collect();
    let products = app.store.products(&caller.tenant, &ids).await?;
    let mut page =
        json!({ "products": products.iter().map(|product| view(&app, product)).collect::<Vec<_>>() });
    if let Some(last) = places.last().filter(|_| !is_last) {
        page["next"] = write_place(last, order).into();
    }
    Ok(Json(page))
}

pub(super) fn read_limit(limit: Option<u32>, usual: u32) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(usual);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(Problem::field("limit", format!("is not a number from 1 to {MAX_LIMIT}")))
    }
}

pub(super) fn read_filter(filter: Option<&str>) -> Result<Filter, Problem> {
    Filter::parse_text(filter.unwrap_or_default())
        .map_err(|error| Problem::field("filter", format!("{}: {}", error.at, error.problem)))
}

fn read_order(sort: Option<&str>) -> Result<ListOrder, Problem> {
    let Some(text) = sort.filter(|text| !text.is_empty()) else { return Ok(ListOrder::NEWEST) };
    let order = Sort::parse(text)
        .ok()
        .and_then(|Sort { field, descending }| Some(ListOrder { by: Moment::named(&field)?, descending }));
    order.ok_or_else(|| {
        Problem::field("sort", "is neither created_at nor updated_at, with or without - before it")
    })
}

/// A place in a list of products, which is one in this order alone.
fn write_place(place: &Shelved, order: ListOrder) -> String {
    write_cursor(place.at, format_args!("{order}:{}", place.id))
}

/// Reads what [`write_place`] wrote.
pub(in super::super) fn read_place(cursor: &str, order: ListOrder) -> Result<Shelved, Problem> {
    let (at, whose) = read_cursor::<String>(cursor)?;
    let id = whose.strip_prefix(&format!("{order}:")).and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Problem::field("cursor", "is none that a list with this sort gave"))?;
    Ok(Shelved { at, id })
}

/// A place in a list by time: the moment, and whose it is.
pub(super) fn write_cursor(at: Timestamp, whose: impl Display) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{whose}", at.as_microsecond()))
}

/// Reads what [`write_cursor`] wrote.
pub(in super::super) fn read_cursor<T: FromStr>(cursor: &str) -> Result<(Timestamp, T), Problem> {
    let read = || {
        let place = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, whose) = place.split_once(':')?;
        Some((Timestamp::from_microsecond(at.parse().ok()?).ok()?, whose.parse().ok()?))
    };
    read().ok_or_else(|| Problem::field("cursor", "is none that a list gave"))
}

#[cfg(test)]
mod tests {
    use taja_catalog::ProductId;

    use super::*;

    #[test]
    fn a_list_goes_by_a_moment_that_every_product_has() {
        let by = |by, descending| ListOrder { by, descending };
        for (text, order) in [
            (None, ListOrder::NEWEST),
            (Some("created_at"), by(Moment::Created, false)),
            (Some("updated_at:desc"), by(Moment::Updated, true)),
        ] {
            assert_eq!(read_order(text).unwrap(), order);
        }
        for text in ["price", "-created_at:asc", "attributes.created_at"] {
            assert_eq!(read_order(Some(text)).unwrap_err().errors[0].pointer, "/sort", "{text}");
        }
    }

    #[test]
    fn a_cursor_that_no_list_in_its_order_gave_is_refused() {
        let place =
            Shelved { at: Timestamp::from_second(1_700_000_000).unwrap(), id: "shoe".parse().unwrap() };
        let cursor = write_place(&place, ListOrder::NEWEST);
        assert_eq!(read_place(&cursor, ListOrder::NEWEST).unwrap(), place);
        for sort in ["created_at", "updated_at", "-updated_at"] {
            let order = read_order(Some(sort)).unwrap();
            assert_eq!(read_place(&cursor, order).unwrap_err().errors[0].pointer, "/cursor", "{sort}");
        }
        for text in
            ["", "shoe", "1:", "1:shoe", "9223372036854775807:-created_at:shoe", "1:-created_at:no id!"]
        {
            let cursor = BASE64_URL_SAFE_NO_PAD.encode(text);
            assert_eq!(read_place(&cursor, ListOrder::NEWEST).unwrap_err().status, 422, "{text}");
        }
        assert_eq!(read_cursor::<ProductId>("%%%").unwrap_err().status, 422);
    }
}
