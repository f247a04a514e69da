//! What a tower's thread does: gather a batch, run it, answer.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use super::{Limits, Request, broken};
use crate::{runtime::panic_message, tower::Tower};

/// Answers requests until nobody can send any more.
pub(super) fn serve<T: Tower>(
    name: &'static str,
    mut tower: T,
    requests: &Receiver<Request<T::Item>>,
    limits: Limits,
) {
    let mut desk = Desk { requests, waiting: VecDeque::new(), limits, crowd: 1, ended: Instant::now() };
    while let Some(batch) = desk.next_batch() {
        let size = batch.len();
        answer(name, &mut tower, batch);
        desk.batch_ended(size);
    }
}

/// Where requests wait.
struct Desk<'a, I> {
    requests: &'a Receiver<Request<I>>,
    waiting: VecDeque<Request<I>>,
    limits: Limits,
    /// Requests that were about when the last batch ended: those in it, and those that had arrived meanwhile.
    crowd: usize,
    ended: Instant,
}

impl<I> Desk<'_, I> {
    /// Waits for the first request; none when there will be no more.
    fn next_batch(&mut self) -> Option<Vec<Request<I>>> {
        if self.waiting.is_empty() {
            self.waiting.push_back(self.requests.recv().ok()?);
        }
        self.take_arrived();
        let expected = if self.ended.elapsed() > self.limits.max_wait { 1 } else { self.crowd };
        self.wait_for(expected.min(self.limits.max_batch));
        let size = self.waiting.len().min(self.limits.max_batch);
        Some(self.waiting.drain(..size).collect())
    }

    fn wait_for(&mut self, expected: usize) {
        let deadline = Instant::now() + self.limits.max_wait;
        while self.waiting.len() < expected {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(left) {
                Ok(request) => self.waiting.push_back(request),
                Err(_) => return,
            }
        }
    }

    fn take_arrived(&mut self) {
        self.waiting.extend(self.requests.try_iter());
        // Those whose caller left are not worth a place in a batch.
        self.waiting.retain(|request| !request.reply.is_closed());
    }

    fn batch_ended(&mut self, size: usize) {
        self.take_arrived();
        self.crowd = size + self.waiting.len();
        self.ended = Instant::now();
    }
}

fn answer<T: Tower>(name: &'static str, tower: &mut T, mut batch: Vec<Request<T::Item>>) {
    batch.retain(|request| !request.reply.is_closed());
    if batch.is_empty() {
        return;
    }
    for request in &batch {
        seconds("taja_batch_wait_seconds", name, request.queued.elapsed());
    }
    let items: Vec<_> = batch.iter().map(|request| &request.item).collect();
    let outcome = run(name, tower, &items);
    drop(items);
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
    seconds("taja_inference_seconds", name, start.elapsed());
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
        metrics::counter!("taja_embed_items_total", "tower" => name).increment(1);
    }
    let answer = outcome.map_err(|problem| broken(format!("the {name} tower {problem}")));
    // The caller may have left meanwhile.
    let _ = request.reply.send(answer);
}

fn seconds(metric: &'static str, tower: &'static str, duration: Duration) {
    metrics::histogram!(metric, "tower" => tower).record(duration.as_secs_f64());
}
