//! Changing a stored product at the revision that was looked at, so that of two who change it at once none is lost.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use taja_catalog::{
    Details, Product,
    port::{Edit, Edited, PortErrorKind},
};

use super::{
    super::{Problem, Shared},
    revision, stored,
};
use crate::access::Caller;

/// Times that a product is looked at again that others keep changing.
const MAX_RACES: u32 = 10;

/// Makes an edit of a product as it is, if there is anything to edit, and does it; the product's revision after that.
pub(super) async fn change(
    app: &Shared,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    make: impl Fn(&Product) -> Result<Option<Edit>, Problem>,
) -> Result<u64, Problem> {
    for _ in 0..MAX_RACES {
        let product = stored(app, caller, id).await?;
        revision::must_match(headers, product.revision)?;
        let Some(edit) = make(&product)? else { return Ok(product.revision) };
        match run(app, product, edit).await? {
            Edited::Done { revision, .. } => return Ok(revision),
            Edited::Missing => return Err(Problem::not_found("product")),
            Edited::Changed => {}
        }
    }
    let detail = "others keep changing this product: look at it again, then try again";
    Err(Problem::new(StatusCode::CONFLICT, "product_busy", detail))
}

/// As [`change`], for an edit that takes something from a product: an answer without a body, with the product's tag now.
pub(super) async fn take(
    app: &Shared,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    make: impl Fn(&Product) -> Result<Option<Edit>, Problem>,
) -> Result<Response, Problem> {
    let tag = [(header::ETAG, revision::tag(change(app, caller, id, headers, make).await?))];
    Ok((StatusCode::NO_CONTENT, tag).into_response())
}

/// To the end even when the client hangs up meanwhile: the indexes must hear of what the store did.
async fn run(app: &Shared, product: Product, edit: Edit) -> Result<Edited, Problem> {
    let edits = app.edits.clone();
    let editing =
        tokio::spawn(async move { edits.run(&product.tenant, &product.id, product.revision, &edit).await });
    let edited = editing.await.map_err(|error| Problem::internal(&error))?;
    edited.map_err(|error| match error.kind {
        PortErrorKind::Invalid => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "product_unusable", error.message)
        }
        _ => error.into(),
    })
}

/// The edit after which a product is described so; none when it is already. Words are written anew only when they are
/// others.
pub(super) fn describe(product: &Product, details: Details) -> Option<Edit> {
    if details == product.details {
        return None;
    }
    let index_text = details.index_text();
    let same = details.name == product.details.name && index_text == product.details.index_text();
    Some(Edit::Describe { details: Box::new(details), index_text: (!same).then_some(index_text) })
}
