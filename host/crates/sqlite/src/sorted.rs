//! The first products in an order of fields, among all that pass a filter.
//!
//! A field stands where its value stands that comes first; dates go before the texts that write them. Values of kinds compare
//! as the domain has it: numbers, texts, truth values, dates.

use std::collections::HashSet;

use rusqlite::{Connection, types::Value as Sql};
use taja_catalog::{Details, Filter, Moment, PortResult, ProductId, TenantId, order::Sort};

use crate::{
    error::sqlite,
    filter::{Bindings, condition},
    rows,
};

/// Products among which the first ones are, and the last value of the first field that one of them has.
struct Among {
    products: Vec<Sql>,
    last: Sql,
}

/// The first products in this order.
pub(crate) fn sorted(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
    sort: &[Sort],
    limit: usize,
) -> PortResult<Vec<ProductId>> {
    // One snapshot for all that is read.
    let connection = &connection.unchecked_transaction().map_err(sqlite)?;
    let among = match sort.first() {
        Some(first) => along_the_index(connection, tenant, filter, first, limit)?,
        None => None,
    };
    ordered(connection, tenant, filter, sort, among, limit)
}

/// The first that pass in the order of a field, with all that are equal to the last of them, as the index has them. None where
/// it does not lead to enough: what has no value is not in it, and what writes a date is in it twice.
fn along_the_index(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
    Sort { field, descending }: &Sort,
    limit: usize,
) -> PortResult<Option<Among>> {
    if Moment::named(field).is_some() {
        return Ok(None);
    }
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let name = bindings.bind(Details::stored_name(field));
    let of_field = format!("f.tenant = {shop} AND f.name = {name}");
    let passes = condition(filter, &shop, &mut bindings);
    let direction = if *descending { "DESC" } else { "ASC" };
    // The products are only read where the filter asks for what only they have.
    let sql = format!(
        "SELECT p.seq, p.value, EXISTS (SELECT 1 FROM fields f WHERE {of_field} AND f.value > x'02')
         FROM (SELECT f.product AS seq, f.value, q.created_at, q.updated_at
               FROM fields f LEFT JOIN products q ON q.seq = f.product
               WHERE {of_field} AND f.value <> x'') p
         WHERE {passes} ORDER BY p.value {direction}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let (mut seen, mut last) = (HashSet::new(), Sql::Null);
    while let Some(row) = rows.next().map_err(sqlite)? {
        let value: Sql = row.get(1).map_err(sqlite)?;
        if row.get(2).map_err(sqlite)? {
            return Ok(None);
        }
        if seen.len() >= limit && value != last {
            break;
        }
        seen.insert(row.get::<_, i64>(0).map_err(sqlite)?);
        last = value;
    }
    let products = seen.into_iter().map(Sql::Integer).collect::<Vec<_>>();
    Ok((products.len() >= limit && limit > 0).then_some(Among { products, last }))
}

/// The first in order of those that pass, or of these.
fn ordered(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
    sort: &[Sort],
    among: Option<Among>,
    limit: usize,
) -> PortResult<Vec<ProductId>> {
    let mut bindings = Bindings::default();
    let shop = bindings.bind(tenant.as_str().to_owned());
    let (mut by_number, mut of_these, mut until) = ("", String::new(), None);
    let passes = match among {
        Some(Among { products, last }) => {
            let products = bindings.bind_all(products);
            // By number, instead of through all products of the shop.
            by_number = " NOT INDEXED";
            of_these = format!(" AND f.product IN rarray({products})");
            until = Some(bindings.bind(last));
            format!("p.seq IN rarray({products})")
        }
        None => condition(filter, &shop, &mut bindings),
    };
    let (mut joined, mut order) = (String::new(), String::new());
    for (place, Sort { field, descending }) in sort.iter().enumerate() {
        let (first, direction, before) =
            if *descending { ("max", "DESC", ">=") } else { ("min", "ASC", "<=") };
        if let Some(moment) = Moment::named(field) {
            order += &format!("p.{} {direction}, ", moment.name());
            continue;
        }
        let name = bindings.bind(Details::stored_name(field));
        let until = match &until {
            Some(last) if place == 0 => format!(" AND f.value {before} {last}"),
            _ => String::new(),
        };
        joined += &format!(
            " LEFT JOIN (SELECT f.product,
                coalesce({first}(CASE WHEN f.value > x'02' THEN f.value END), {first}(f.value)) AS value
              FROM fields f WHERE f.tenant = {shop} AND f.name = {name} AND f.value <> x''{until}{of_these}
              GROUP BY f.product) s{place} ON s{place}.product = p.seq"
        );
        order += &format!("s{place}.value IS NULL, s{place}.value {direction}, ");
    }
    let limit = bindings.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT p.id FROM products p{by_number}{joined} WHERE p.tenant = {shop} AND {passes}
         ORDER BY {order}p.created_at DESC, p.id DESC LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&bindings.0)).map_err(sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        found.push(rows::id(row, 0)?);
    }
    Ok(found)
}
