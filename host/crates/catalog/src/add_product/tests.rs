//! Taking products in when things go wrong: twice, at once, half-way.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::{
    fakes::{
        FakeEmbedder, InMemoryImageHost, InMemoryIndex, InMemoryStore, PpmDecoder, RecordingJob,
        ScriptedLineup, plain,
    },
    policy::{PolicyError, PolicyFault},
    retrieval::Retrieval,
    sweep::Sweep,
};

struct House {
    store: Arc<InMemoryStore>,
    images: Arc<InMemoryImageHost>,
    index: Arc<InMemoryIndex>,
    add: AddProduct,
    lineup: ScriptedLineup,
}

fn keep_all(submission: &Submission) -> Decision {
    let keep = submission.uploads.iter().map(|(index, _)| *index).collect();
    let details = Box::new(submission.details.clone());
    Decision { outcome: Outcome::Create { details, keep, index_text: "red".into() }, dropped: Vec::new() }
}

fn house(ingest: impl Fn(&Submission) -> Result<Decision, PolicyError> + Send + Sync + 'static) -> House {
    let store = Arc::new(InMemoryStore::default());
    let images = Arc::new(InMemoryImageHost::default());
    let embedder = Arc::new(FakeEmbedder::default());
    let index = Arc::new(InMemoryIndex::new(embedder.space().dimension));
    let lineup = ScriptedLineup { ingest: Box::new(ingest), ..ScriptedLineup::default() };
    let add = AddProduct {
        decoder: Arc::new(PpmDecoder),
        embedder,
        store: store.clone(),
        index: index.clone(),
        images: images.clone(),
        catalogue: Arc::new(Retrieval::new(store.clone(), index.clone())),
    };
    House { store, images, index, add, lineup }
}

fn new(effect: &str, seeds: &[u8]) -> NewProduct {
    NewProduct {
        effect: effect.parse().unwrap(),
        tenant: "shop".parse().unwrap(),
        details: Details { name: "shoe".into(), price: 1.0, ..Details::default() },
        images: seeds.iter().map(|seed| plain([200, 10, 10], *seed)).collect(),
        offers: Vec::new(),
    }
}

async fn run(house: &House, new: NewProduct) -> Result<Receipt, Failure> {
    house.add.run(new, &house.lineup, Arc::new(RecordingJob::default())).await
}

#[tokio::test]
async fn a_second_run_has_no_second_effect() {
    let house = house(|submission| Ok(keep_all(submission)));
    let first = run(&house, new("job-1", &[1, 2])).await.unwrap();
    // The uploads are gone by then.
    let again = run(&house, NewProduct { images: Vec::new(), ..new("job-1", &[]) }).await.unwrap();
    assert_eq!((first.status, first.added), (AddStatus::Success, 2));
    assert_eq!(first, again);
    assert_eq!((house.store.counts().await.unwrap().products, house.index.len()), (1, 2));
}

#[tokio::test]
async fn an_offer_that_takes_an_earlier_ones_place_comes_in_where_no_other_has_room() {
    let known = ProductId::of_effect(&"job-0".parse().unwrap());
    let of = known.clone();
    let house = house(move |submission| {
        if submission.details.sku.is_none() {
            return Ok(keep_all(submission));
        }
        let outcome = Outcome::Merge { product: of.clone(), keep: Vec::new() };
        Ok(Decision { outcome, dropped: Vec::new() })
    });
    let offered = async |effect: String, sku: usize, price: f64| {
        let mut again = new(&effect, &[1]);
        (again.details.sku, again.details.price) = (Some(sku.to_string()), price);
        run(&house, again).await.unwrap()
    };
    run(&house, new("job-0", &[1])).await.unwrap();
    for sku in 1..=MAX_LIST_ENTRIES {
        assert_eq!(offered(format!("job-{sku}"), sku, 2.0).await.status, AddStatus::Offer);
    }
    let refused = offered("one-more".into(), MAX_LIST_ENTRIES + 1, 2.0).await;
    assert!(refused.reason.is_some_and(|reason| reason.contains("100 offers already")));
    assert_eq!(offered("renewed".into(), 7, 9.0).await.status, AddStatus::Offer);
    let stored = house.store.product(&"shop".parse().unwrap(), &known).await.unwrap().unwrap();
    let newest = stored.offers.last().map(|offer| (offer.sku.as_deref(), offer.price));
    assert_eq!((stored.offers.len(), newest), (MAX_LIST_ENTRIES, Some((Some("7"), 9.0))));
}

#[tokio::test]
async fn a_lost_reply_is_found_as_a_success_and_keeps_the_hosted_images() {
    let house = house(|submission| Ok(keep_all(submission)));
    house.store.lose_next_reply();
    let unknown = run(&house, new("job-1", &[1])).await.unwrap_err();
    assert!(unknown.retryable);
    let receipt = run(&house, new("job-1", &[1])).await.unwrap();
    assert_eq!(receipt.status, AddStatus::Success);
    assert_eq!(house.images.hosted(&"shop".parse().unwrap()).len(), 1);
}

#[tokio::test]
async fn what_was_hosted_for_a_failed_commit_is_taken_back() {
    let house = house(|submission| Ok(keep_all(submission)));
    house.store.fail_next_commit(PortErrorKind::Unavailable);
    let failure = run(&house, new("job-1", &[1])).await.unwrap_err();
    assert_eq!((failure.retryable, failure.code.as_str()), (true, "store_unavailable"));
    assert!(house.images.hosted(&"shop".parse().unwrap()).is_empty());
    assert_eq!(house.store.counts().await.unwrap().products, 0);
}

#[tokio::test]
async fn a_lost_race_is_decided_anew() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let house = house(move |submission| match counted.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Ok(keep_all(submission)),
        _ => {
            Ok(Decision { outcome: Outcome::Duplicate { of: "job-1".parse().unwrap() }, dropped: Vec::new() })
        }
    });
    run(&house, new("job-1", &[1])).await.unwrap();
    let receipt = run(&house, new("job-2", &[1])).await.unwrap();
    assert_eq!((receipt.status, receipt.product_id), (AddStatus::Duplicate, Some("job-1".parse().unwrap())));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(house.images.hosted(&"shop".parse().unwrap()).len(), 1, "the winner's image stays");
}

#[tokio::test]
async fn a_bad_picture_is_named_and_the_others_are_stored() {
    let house = house(|submission| Ok(keep_all(submission)));
    let mut product = new("job-1", &[1]);
    product.images.insert(0, Bytes::from_static(b"no picture"));
    let receipt = run(&house, product).await.unwrap();
    assert_eq!((receipt.added, receipt.errors, receipt.error_details[0].index), (1, 1, 0));
}

#[tokio::test]
async fn an_index_that_fails_does_not_undo_what_is_stored() {
    let house = house(|submission| Ok(keep_all(submission)));
    house.index.fail_next(PortErrorKind::Broken);
    assert_eq!(run(&house, new("job-1", &[1])).await.unwrap().status, AddStatus::Success);
    assert_eq!(house.store.counts().await.unwrap().images, 1);
}

#[tokio::test]
async fn a_plugin_that_fails_is_to_blame_and_nothing_is_stored() {
    let fault = || PolicyError { plugin: "p".into(), fault: PolicyFault::Trap("unreachable".into()) };
    let house = house(move |_| Err(fault()));
    let failure = run(&house, new("job-1", &[1])).await.unwrap_err();
    assert_eq!((failure.blame, failure.code.as_str()), (crate::Blame::Plugin, "plugin_trap"));
    assert_eq!(house.store.counts().await.unwrap().products, 0);
}

#[tokio::test]
async fn a_cancelled_job_stores_nothing() {
    let house = house(|submission| Ok(keep_all(submission)));
    let job = Arc::new(RecordingJob::default());
    job.cancel();
    let failure = house.add.run(new("job-1", &[1]), &house.lineup, job).await.unwrap_err();
    assert_eq!(failure.code, "cancelled");
    assert_eq!(house.store.counts().await.unwrap().products, 0);
}

/// Everything that is an hour old by then is looked at.
async fn sweep(house: &House, is_over: bool) -> u32 {
    let sweep = Sweep { store: house.store.clone(), images: house.images.clone() };
    let in_an_hour = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    sweep.run(in_an_hour, |_, _| async move { Ok(is_over) }).await.unwrap()
}

#[tokio::test]
async fn what_a_killed_job_hosted_is_swept_once_it_is_over() {
    let house = house(|submission| Ok(keep_all(submission)));
    let shop: TenantId = "shop".parse().unwrap();
    let (picture, effect) =
        (PpmDecoder.decode(plain([200, 10, 10], 1)).await.unwrap(), "job-1".parse().unwrap());
    let hash = picture.hash.unwrap();
    house.store.intend(&shop, &effect, &[hash]).await.unwrap();
    house.images.put(&shop, &hash, &picture).await.unwrap();
    assert_eq!(sweep(&house, false).await, 0, "it may run again");
    assert_eq!(house.images.hosted(&shop).len(), 1);
    assert_eq!(sweep(&house, true).await, 1);
    assert!(house.images.hosted(&shop).is_empty());
    assert_eq!(
        run(&house, new("job-2", &[1])).await.unwrap().status,
        AddStatus::Success,
        "it may come again"
    );
    assert_eq!(sweep(&house, true).await, 0);
    assert_eq!(house.images.hosted(&shop).len(), 1, "a product has it");
}

#[tokio::test]
async fn a_removal_that_broke_off_is_finished_by_the_next_sweep() {
    let house = house(|submission| Ok(keep_all(submission)));
    let (shop, effect) = ("shop".parse().unwrap(), "job-1".parse().unwrap());
    let hash = ImageHash::of(b"picture");
    house.store.intend(&shop, &effect, &[hash]).await.unwrap();
    house.images.fail_next(PortErrorKind::Unavailable);
    let run = Sweep { store: house.store.clone(), images: house.images.clone() };
    let in_an_hour = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    assert!(run.run(in_an_hour, |_, _| async { Ok(true) }).await.is_err());
    assert_eq!(sweep(&house, true).await, 1);
    assert!(house.store.intents(in_an_hour, 9).await.unwrap().is_empty());
}

fn more(effect: &str, product: &ProductId, seeds: &[u8]) -> MoreImages {
    let NewProduct { effect, tenant, images, .. } = new(effect, seeds);
    MoreImages { effect, tenant, product: product.clone(), images }
}

async fn add_images(house: &House, more: MoreImages) -> Result<Receipt, Failure> {
    house.add.add_images(more, Arc::new(RecordingJob::default())).await
}

#[tokio::test]
async fn pictures_are_added_to_a_product_once_and_known_ones_are_named() {
    let house = house(|submission| Ok(keep_all(submission)));
    let id = run(&house, new("job-1", &[1])).await.unwrap().product_id.unwrap();
    let mut request = more("job-2", &id, &[1, 2, 2]);
    request.images.push(Bytes::from_static(b"no picture"));
    let receipt = add_images(&house, request.clone()).await.unwrap();
    assert_eq!(
        (receipt.status, receipt.added, receipt.duplicates, receipt.errors),
        (AddStatus::Merged, 1, 2, 1)
    );
    let reasons: Vec<_> = receipt.duplicate_details.iter().map(|known| (known.index, known.reason)).collect();
    assert_eq!(reasons, [(0, DropReason::ExactDuplicate), (2, DropReason::Repeated)]);
    assert_eq!(add_images(&house, request).await.unwrap(), receipt, "a second run has no second effect");
    let again = add_images(&house, more("job-3", &id, &[2])).await.unwrap();
    assert_eq!((again.status, again.added), (AddStatus::Duplicate, 0));
    let shop = "shop".parse().unwrap();
    let stored = house.store.product(&shop, &id).await.unwrap().unwrap();
    assert_eq!((stored.images.len(), house.index.len(), house.images.hosted(&shop).len()), (2, 2, 2));
}

#[tokio::test]
async fn pictures_for_a_product_that_is_gone_are_not_hosted() {
    let house = house(|submission| Ok(keep_all(submission)));
    let failure = add_images(&house, more("job-1", &"nobody".parse().unwrap(), &[1])).await.unwrap_err();
    assert_eq!((failure.blame, failure.code.as_str()), (crate::Blame::Client, "product_gone"));
    assert!(house.images.hosted(&"shop".parse().unwrap()).is_empty());
}

#[tokio::test]
async fn the_group_of_a_product_is_the_shops_whatever_the_policy_answers() {
    let house = house(|submission| {
        let mut decision = keep_all(submission);
        if let Outcome::Create { details, .. } = &mut decision.outcome {
            details.item_group_id = None;
        }
        Ok(decision)
    });
    let mut product = new("job-1", &[1]);
    product.details.item_group_id = Some("shirts".into());
    let id = run(&house, product).await.unwrap().product_id.unwrap();
    let stored = house.store.product(&"shop".parse().unwrap(), &id).await.unwrap().unwrap();
    assert_eq!(stored.details.item_group_id.as_deref(), Some("shirts"));
}
