//! The batcher with a tower that does what the test tells it, so that no test depends on how long a model takes.

use std::sync::mpsc;

use tokio::time::timeout;

use super::*;

/// Tells the test of every batch, and answers it when the test says so. Item 0 breaks it, item 99 makes it panic.
struct Puppet {
    seen: mpsc::Sender<Vec<u32>>,
    go: Receiver<()>,
}

impl Tower for Puppet {
    type Item = u32;

    fn run(&mut self, items: &[&u32]) -> Result<Vec<Vec<f32>>, String> {
        let batch: Vec<u32> = items.iter().map(|item| **item).collect();
        self.seen.send(batch.clone()).map_err(|_| "the test is over".to_owned())?;
        self.go.recv().map_err(|_| "the test is over".to_owned())?;
        assert!(!batch.contains(&99), "as asked");
        if batch.contains(&0) {
            return Err("cannot take 0".to_owned());
        }
        Ok(batch.into_iter().map(|item| vec![item as f32]).collect())
    }
}

struct Stage {
    batcher: Arc<Batcher<u32>>,
    seen: Receiver<Vec<u32>>,
    go: mpsc::Sender<()>,
}

type Call = tokio::task::JoinHandle<PortResult<Vec<Vec<f32>>>>;

/// Long enough for any machine; a test that needs it has failed.
const LONG: Duration = Duration::from_secs(20);

fn stage(max_batch: usize, max_wait: Duration, capacity: usize) -> Stage {
    let (tell, seen) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let pool = Preparers::start(1).unwrap();
    let limits = Limits { max_batch, max_wait, capacity };
    let batcher = Batcher::start("test", Puppet { seen: tell, go: gone }, limits, pool).unwrap();
    Stage { batcher: Arc::new(batcher), seen, go }
}

impl Stage {
    fn call(&self, items: &[u32]) -> Call {
        self.call_as(Urgency::Interactive, items)
    }

    fn call_as(&self, urgency: Urgency, items: &[u32]) -> Call {
        let (batcher, items) = (Arc::clone(&self.batcher), items.to_vec());
        tokio::spawn(async move { batcher.embed(urgency, items, |item: &u32| Ok(*item)).await })
    }

    fn batch(&self) -> Vec<u32> {
        self.seen.recv_timeout(LONG).unwrap()
    }

    /// Waits until this many requests are inside.
    async fn inside(&self, count: usize, capacity: usize) {
        let free = || self.batcher.room.iter().map(|room| room.available_permits()).sum::<usize>();
        timeout(LONG, async {
            while free() + count > capacity + capacity.div_ceil(2) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        // The only preparer has then handed on everything that was spawned before this.
        let pool = Arc::clone(&self.batcher.preparers);
        tokio::task::spawn_blocking(move || pool.settle()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_request_does_not_wait_for_company() {
    // A wait that would make the test time out.
    let stage = stage(8, Duration::from_secs(3600), 8);
    let call = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    stage.go.send(()).unwrap();
    assert_eq!(call.await.unwrap().unwrap(), [[1.0]]);
    let again = stage.call(&[2]);
    assert_eq!(stage.batch(), [2]);
    stage.go.send(()).unwrap();
    assert_eq!(again.await.unwrap().unwrap(), [[2.0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_arrive_meanwhile_are_run_together() {
    let stage = stage(3, Duration::ZERO, 16);
    let first = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    let others = stage.call(&[2, 3, 4, 5]);
    stage.inside(5, 16).await;
    stage.go.send(()).unwrap();
    assert_eq!(stage.batch(), [2, 3, 4]);
    stage.go.send(()).unwrap();
    assert_eq!(stage.batch(), [5]);
    stage.go.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(others.await.unwrap().unwrap(), [[2.0], [3.0], [4.0], [5.0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crowd_the_next_batch_is_waited_for() {
    // Two at most: whether the third request comes before or after the first batch ends, it makes the second one full.
    let stage = stage(2, LONG, 16);
    let first = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    let second = stage.call(&[2]);
    stage.inside(2, 16).await;
    stage.go.send(()).unwrap();
    // Two were about when the first batch ended, so the thread waits for a second one.
    let third = stage.call(&[3]);
    let mut batch = stage.batch();
    batch.sort_unstable();
    assert_eq!(batch, [2, 3]);
    stage.go.send(()).unwrap();
    for call in [first, second, third] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_fails_alone() {
    let stage = stage(8, Duration::ZERO, 16);
    let first = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    let (good, bad, panics) = (stage.call(&[2]), stage.call(&[0]), stage.call(&[99]));
    stage.inside(4, 16).await;
    // The batch of three, then each of it alone.
    for _ in 0..5 {
        stage.go.send(()).unwrap();
    }
    assert_eq!(good.await.unwrap().unwrap(), [[2.0]]);
    let error = bad.await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (PortErrorKind::Broken, "the test tower cannot take 0"));
    assert!(panics.await.unwrap().unwrap_err().message.contains("as asked"));
    first.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_left_are_not_served() {
    let stage = stage(8, Duration::ZERO, 16);
    let first = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    let left = stage.call(&[2]);
    stage.inside(2, 16).await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    let stayed = stage.call(&[3]);
    stage.inside(3, 16).await;
    stage.go.send(()).unwrap();
    assert_eq!(stage.batch(), [3]);
    stage.go.send(()).unwrap();
    first.await.unwrap().unwrap();
    stayed.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_turns_callers_away_after_a_while() {
    let stage = stage(1, Duration::ZERO, 1);
    let first = stage.call(&[1]);
    // Time stands still until everyone waits, so the deadline passes without one second going by.
    let second = stage.call(&[2]).await.unwrap().unwrap_err();
    assert_eq!(
        (second.kind, second.message.as_str()),
        (PortErrorKind::Unavailable, "the model's queue is full")
    );
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_cannot_be_prepared_is_told_in_words() {
    let stage = stage(1, Duration::ZERO, 1);
    let refuse = |_: &u32| Err::<u32, _>("not this".to_owned());
    let error = stage.batcher.embed(Urgency::Interactive, vec![1], refuse).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (PortErrorKind::Broken, "not this"));
    let panics = |_: &u32| -> Result<u32, String> { panic!("as asked") };
    let error = stage.batcher.embed(Urgency::Interactive, vec![1], panics).await.unwrap_err();
    assert!(error.message.contains("as asked"));
    // Both gave their place back.
    let call = stage.call(&[5]);
    stage.go.send(()).unwrap();
    call.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_goes_before_what_fills_up() {
    let stage = stage(2, Duration::ZERO, 16);
    let first = stage.call_as(Urgency::Bulk, &[1]);
    assert_eq!(stage.batch(), [1]);
    let import = stage.call_as(Urgency::Bulk, &[2, 3, 4]);
    stage.inside(4, 16).await;
    let search = stage.call(&[5]);
    stage.inside(5, 16).await;
    for expected in [&[5, 2][..], &[3, 4]] {
        stage.go.send(()).unwrap();
        assert_eq!(stage.batch(), expected);
    }
    stage.go.send(()).unwrap();
    assert_eq!(search.await.unwrap().unwrap(), [[5.0]]);
    first.await.unwrap().unwrap();
    assert_eq!(import.await.unwrap().unwrap(), [[2.0], [3.0], [4.0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_without_end_do_not_stop_an_import() {
    let stage = stage(1, Duration::ZERO, 16);
    let first = stage.call(&[1]);
    assert_eq!(stage.batch(), [1]);
    let import = stage.call_as(Urgency::Bulk, &[50]);
    let searches = stage.call(&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    stage.inside(14, 16).await;
    let mut order = Vec::new();
    for _ in 0..13 {
        stage.go.send(()).unwrap();
        order.extend(stage.batch());
    }
    stage.go.send(()).unwrap();
    assert_eq!(order, [2, 3, 4, 5, 6, 7, 8, 9, 50, 10, 11, 12, 13]);
    for call in [first, import, searches] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_import_leaves_room_for_searches() {
    let stage = stage(1, Duration::ZERO, 2);
    // One of it is inside, and there is room for no other.
    let import = stage.call_as(Urgency::Bulk, &[1, 2, 3]);
    assert_eq!(stage.batch(), [1]);
    let search = stage.call(&[7]);
    stage.inside(2, 2).await;
    for expected in [7, 2, 3] {
        stage.go.send(()).unwrap();
        assert_eq!(stage.batch(), [expected]);
    }
    stage.go.send(()).unwrap();
    assert_eq!(search.await.unwrap().unwrap(), [[7.0]]);
    assert_eq!(import.await.unwrap().unwrap(), [[1.0], [2.0], [3.0]]);
}
