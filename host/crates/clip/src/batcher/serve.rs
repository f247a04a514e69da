//! What a tower's thread does: gather a batch, run it, answer.

use std::{panic::AssertUnwindSafe, sync::mpsc::Receiver, time::Instant};

use super::{Limits, Request, broken, desk::Desk};
use crate::{runtime::panic_message, tower::Tower};

/// Answers requests until nobody can send any more.
pub(super) fn serve<T: Tower>(
    name: &'static str,
    mut tower: T,
    requests: &Receiver<Request<T::Item>>,
    limits: Limits,
) {
    let mut desk = Desk::new(requests, limits);
    while let Some(batch) = desk.next_batch() {
        let size = batch.len();
        // Told before anybody is answered: who asks again upon an answer was not there at the same time.
        answer(name, &mut tower, batch, || desk.batch_ended(size));
    }
}

fn answer<T: Tower>(
    name: &'static str,
    tower: &mut T,
    mut batch: Vec<Request<T::Item>>,
    ended: impl FnOnce(),
) {
    batch.retain(|request| !request.reply.is_closed());
    if batch.is_empty() {
        return;
    }
    for request in &batch {
        let waited = request.queued.elapsed().as_secs_f64();
        let urgency = request.urgency.name();
        metrics::histogram!("taja_batch_wait_seconds", "tower" => name, "urgency" => urgency).record(waited);
    }
    let items: Vec<_> = batch.iter().map(|request| &request.item).collect();
    let outcome = run(name, tower, &items);
    drop(items);
    ended();
    match outcome {
        Ok(vectors) => {
            for (request, vector) in batch.into_iter().zip(vectors) {
                reply(name, request, Ok(vector));
            }
        }
        Err(problem) if batch.len() == 1 => {
            for request in batch {
                reply(name, request, Err(problem.clone()));
            }
        }
        // One bad item must fail alone.
        Err(problem) => {
            tracing::warn!(
                tower = name,
                size = batch.len(),
                "batch failed and is run item by item: {problem}"
            );
            for request in batch {
                let outcome = run(name, tower, &[&request.item]).map(|mut vectors| vectors.remove(0));
                reply(name, request, outcome);
            }
        }
    }
}

/// As many vectors as items, or a problem.
fn run<T: Tower>(name: &'static str, tower: &mut T, items: &[&T::Item]) -> Result<Vec<Vec<f32>>, String> {
    let start = Instant::now();
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| tower.run(items)));
    metrics::histogram!("taja_inference_seconds", "tower" => name).record(start.elapsed().as_secs_f64());
    metrics::histogram!("taja_batch_size", "tower" => name).record(items.len() as f64);
    match outcome {
        Ok(Ok(vectors)) if vectors.len() != items.len() => {
            Err(format!("gave {} vectors for {} items", vectors.len(), items.len()))
        }
        Ok(outcome) => outcome,
        Err(panic) => Err(format!("panicked: {}", panic_message(&*panic))),
    }
}

fn reply<I>(name: &'static str, request: Request<I>, outcome: Result<Vec<f32>, String>) {
    if outcome.is_ok() {
        let urgency = request.urgency.name();
        metrics::counter!("taja_embed_items_total", "tower" => name, "urgency" => urgency).increment(1);
    }
    let answer = outcome.map_err(|problem| broken(format!("the {name} tower {problem}")));
    // The caller may have left meanwhile.
    let _ = request.reply.send(answer);
}
