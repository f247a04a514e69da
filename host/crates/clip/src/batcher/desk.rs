//! Where prepared requests wait, and which of them make the next batch.

use std::{collections::VecDeque, sync::mpsc::Receiver, time::Instant};

use super::{Limits, Request, Urgency};

/// Batches in a row that may go by without anything that fills up, while such is waiting. The next one keeps a place for it:
/// one in this many, so that searches without end slow an import down and do not stop it.
const PATIENCE: usize = 8;

pub(super) struct Desk<'a, I> {
    requests: &'a Receiver<Request<I>>,
    /// Somebody waits for these.
    urgent: VecDeque<Request<I>>,
    /// These take the places that are left.
    filling: VecDeque<Request<I>>,
    limits: Limits,
    /// Requests that were about when the last batch ended: those in it, and those that had arrived meanwhile.
    crowd: usize,
    ended: Instant,
    /// Batches in a row without one of `filling` while some waited.
    passed: usize,
}

impl<'a, I> Desk<'a, I> {
    pub(super) fn new(requests: &'a Receiver<Request<I>>, limits: Limits) -> Self {
        let (urgent, filling) = (VecDeque::new(), VecDeque::new());
        Self { requests, urgent, filling, limits, crowd: 1, ended: Instant::now(), passed: 0 }
    }

    /// Waits for the first request; none when there will be no more.
    pub(super) fn next_batch(&mut self) -> Option<Vec<Request<I>>> {
        if self.waiting() == 0 {
            let first = self.requests.recv().ok()?;
            self.seat(first);
        }
        self.take_arrived();
        let expected = if self.ended.elapsed() > self.limits.max_wait { 1 } else { self.crowd };
        self.wait_for(expected.min(self.limits.max_batch));
        Some(self.batch())
    }

    /// Who waits first, then what fills up.
    fn batch(&mut self) -> Vec<Request<I>> {
        let kept = usize::from(self.passed >= PATIENCE && !self.filling.is_empty());
        let urgent = self.urgent.len().min(self.limits.max_batch - kept);
        let filling = self.filling.len().min(self.limits.max_batch - urgent);
        self.passed = if filling == 0 && !self.filling.is_empty() { self.passed + 1 } else { 0 };
        self.urgent.drain(..urgent).chain(self.filling.drain(..filling)).collect()
    }

    fn wait_for(&mut self, expected: usize) {
        let deadline = Instant::now() + self.limits.max_wait;
        while self.waiting() < expected {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(left) {
                Ok(request) => self.seat(request),
                Err(_) => return,
            }
        }
    }

    fn take_arrived(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.seat(request);
        }
        // Those whose caller left are not worth a place in a batch.
        for queue in [&mut self.urgent, &mut self.filling] {
            queue.retain(|request| !request.reply.is_closed());
        }
    }

    fn seat(&mut self, request: Request<I>) {
        match request.urgency {
            Urgency::Interactive => self.urgent.push_back(request),
            Urgency::Bulk => self.filling.push_back(request),
        }
    }

    fn waiting(&self) -> usize {
        self.urgent.len() + self.filling.len()
    }

    pub(super) fn batch_ended(&mut self, size: usize) {
        self.take_arrived();
        self.crowd = size + self.waiting();
        self.ended = Instant::now();
    }
}
