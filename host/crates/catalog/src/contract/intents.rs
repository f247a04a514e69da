//! What every store must do about pictures that are hosted before they are recorded.

use std::time::Duration;

use jiff::Timestamp;

use super::{claims, effect, image, product, put, shoe, shop};
use crate::{
    id::ImageHash,
    port::{Change, Intent, PortErrorKind, Store},
};

/// Longer than the unit that a store keeps times in.
const A_STORE_MAY_ROUND_TO: Duration = Duration::from_millis(3);

pub(super) async fn suite<S: Store, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        the_version_grows_with_every_change,
        a_commit_takes_back_the_intents_of_its_pictures,
        a_picture_that_nobody_came_to_have_is_left_over,
        a_picture_that_somebody_has_or_wants_stays,
        nobody_can_have_a_picture_that_is_being_removed,
        intents_come_oldest_first_and_only_old_ones,
    ];
}

fn picture(name: &str) -> ImageHash {
    ImageHash::of(name.as_bytes())
}

fn later() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_secs(60)
}

async fn all(store: &impl Store) -> Vec<Intent> {
    store.intents(later(), 99).await.expect("answers")
}

async fn the_version_grows_with_every_change(store: &impl Store) {
    let version = async || store.version(&shop("shop")).await.expect("answers");
    assert_eq!(version().await, 0);
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let created = version().await;
    assert!(created > 0);
    put(store, "shop", Change::None).await.expect("a receipt alone is taken");
    assert_eq!(version().await, created);
    let images = vec![image("b", 2, &[0.0, 1.0])];
    put(store, "shop", Change::Merge { product: product("shoe"), images }).await.expect("images may join");
    assert!(version().await > created);
    assert_eq!(store.version(&shop("other")).await.expect("answers"), 0);
}

async fn a_commit_takes_back_the_intents_of_its_pictures(store: &impl Store) {
    let shop = &shop("shop");
    store.intend(shop, &effect("shoe"), &[picture("a"), picture("b")]).await.expect("is noted");
    store.intend(shop, &effect("shoe"), &[picture("a"), picture("b")]).await.expect("again changes nothing");
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    let left = Intent { tenant: shop.clone(), image: picture("b"), effects: vec![effect("shoe")] };
    assert_eq!(all(store).await, [left]);
}

async fn a_picture_that_nobody_came_to_have_is_left_over(store: &impl Store) {
    let shop = &shop("shop");
    store.intend(shop, &effect("shoe"), &[picture("a")]).await.expect("is noted");
    assert!(store.withdraw(shop, &effect("shoe"), &picture("a")).await.expect("answers"));
    let removing = Intent { tenant: shop.clone(), image: picture("a"), effects: Vec::new() };
    assert_eq!(all(store).await, [removing]);
    assert!(
        store.withdraw(shop, &effect("shoe"), &picture("a")).await.expect("answers"),
        "it was not removed yet"
    );
    store.removed(shop, &picture("a")).await.expect("answers");
    store.removed(shop, &picture("a")).await.expect("twice is once");
    assert_eq!(all(store).await, []);
}

async fn a_picture_that_somebody_has_or_wants_stays(store: &impl Store) {
    let shop = &shop("shop");
    store.intend(shop, &effect("one"), &[picture("a")]).await.expect("is noted");
    store.intend(shop, &effect("shoe"), &[picture("a")]).await.expect("is noted");
    assert!(!store.withdraw(shop, &effect("one"), &picture("a")).await.expect("answers"), "another wants it");
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("a new product is taken");
    store.intend(shop, &effect("late"), &[picture("a")]).await.expect("is noted");
    assert!(
        !store.withdraw(shop, &effect("late"), &picture("a")).await.expect("answers"),
        "a product has it"
    );
    assert_eq!(all(store).await, []);
    store.removed(shop, &picture("a")).await.expect("answers");
    assert!(store.image(shop, &picture("a")).await.expect("answers").is_some());
}

async fn nobody_can_have_a_picture_that_is_being_removed(store: &impl Store) {
    let shop = &shop("shop");
    store.intend(shop, &effect("one"), &[picture("a")]).await.expect("is noted");
    assert!(store.withdraw(shop, &effect("one"), &picture("a")).await.expect("answers"));
    let refused = store.intend(shop, &effect("two"), &[picture("b"), picture("a")]).await;
    assert_eq!(refused.expect_err("it is being removed").kind, PortErrorKind::Conflict);
    assert_eq!(all(store).await.len(), 1, "a refused intent leaves no trace");
    let refused = put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await;
    assert_eq!(refused.expect_err("it is being removed").kind, PortErrorKind::Conflict);
    assert_eq!(store.product(shop, &product("shoe")).await.expect("answers"), None);
    store.removed(shop, &picture("a")).await.expect("answers");
    store.intend(shop, &effect("two"), &[picture("a")]).await.expect("it is gone now");
    put(store, "shop", shoe(vec![image("a", 1, &[1.0, 0.0])])).await.expect("it is gone now");
}

async fn intents_come_oldest_first_and_only_old_ones(store: &impl Store) {
    let shop = &shop("shop");
    for name in ["a", "b", "c"] {
        store.intend(shop, &effect("job"), &[picture(name)]).await.expect("is noted");
        std::thread::sleep(A_STORE_MAY_ROUND_TO);
    }
    let two: Vec<_> =
        store.intents(later(), 2).await.expect("answers").into_iter().map(|old| old.image).collect();
    assert_eq!(two, [picture("a"), picture("b")]);
    let long_ago = Timestamp::now() - jiff::SignedDuration::from_secs(60);
    assert_eq!(store.intents(long_ago, 9).await.expect("answers"), []);
}
