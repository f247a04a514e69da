//! The secrets that a shop's callbacks are signed with: made when they are first needed, and changed when asked.

use jiff::{Timestamp, ToSpan};
use taja_catalog::{
    PortError, PortResult, TenantId,
    access::AccessStore,
    callback::{CallbackSecret, CallbackSecrets, SECRET_BYTES},
    port::PortErrorKind,
};

/// How long callbacks are signed with a former secret too, so that its receivers have the time to learn the new one.
const RETIRES_AFTER_HOURS: i64 = 24;
/// How often a change is tried that others came in between.
const ROUNDS: u32 = 5;

/// A shop's secrets; the first one is drawn now if there is none.
pub async fn secrets(shops: &dyn AccessStore, tenant: &TenantId) -> PortResult<CallbackSecrets> {
    for _ in 0..ROUNDS {
        if let Some(secrets) = shops.callback_secrets(tenant).await? {
            return Ok(secrets);
        }
        let first = CallbackSecrets::first(draw()?, Timestamp::now());
        if shops.replace_callback_secrets(tenant, None, &first).await? {
            tracing::info!(%tenant, "secret of callbacks made");
            return Ok(first);
        }
    }
    Err(restless(tenant))
}

/// Draws another secret for a shop.
pub async fn rotate(shops: &dyn AccessStore, tenant: &TenantId) -> PortResult<CallbackSecrets> {
    for _ in 0..ROUNDS {
        let present = secrets(shops, tenant).await?;
        let now = Timestamp::now();
        let rotated = present.rotated(draw()?, now, now + RETIRES_AFTER_HOURS.hours());
        if shops.replace_callback_secrets(tenant, Some(&present.current), &rotated).await? {
            tracing::info!(%tenant, "secret of callbacks changed");
            return Ok(rotated);
        }
    }
    Err(restless(tenant))
}

fn draw() -> PortResult<CallbackSecret> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| PortError::new("randomness", PortErrorKind::Unavailable, error.to_string()))?;
    Ok(CallbackSecret::of_random(&bytes))
}

fn restless(tenant: &TenantId) -> PortError {
    let message = format!("{tenant} is not registered, or others keep changing its secret");
    PortError::new("shops", PortErrorKind::Unavailable, message)
}
