//! What every keeper of shops and keys must do.

use jiff::Timestamp;

use super::{claims, shop};
use crate::{
    access::{AccessStore, ApiKey, KEY_BYTES, Scope, ShownKey, Tenant},
    callback::{CallbackSecret, CallbackSecrets, SECRET_BYTES},
    judgements::JudgementSet,
    port::PortErrorKind,
    words::{Language, Synonyms, WordSettings},
};

/// Runs every claim against a store made by `make`.
///
/// # Panics
/// When the store breaks a claim.
pub async fn access_suite<S: AccessStore, G>(make: impl AsyncFn() -> (S, G)) {
    claims![make();
        a_shop_is_registered_once,
        a_key_comes_back_as_it_was_kept,
        a_key_belongs_to_one_shop,
        a_revoked_key_stays_revoked,
        a_shop_says_how_its_words_are_understood,
        judgements_come_back_as_they_were_kept,
        secrets_of_callbacks_take_the_place_of_those_that_were_read,
    ];
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("the suites use small times")
}

fn tenant(name: &str) -> Tenant {
    Tenant { id: shop(name), name: format!("Shop {name}"), created_at: moment(1_700_000_000) }
}

fn key(byte: u8, of: &str) -> ApiKey {
    let shown = ShownKey::of_random(&[byte; KEY_BYTES]);
    let scopes = [Scope::Search, Scope::Admin].into();
    ApiKey::new(&shown, shop(of), scopes, "for the \"till\"".to_owned(), moment(byte.into()))
}

async fn a_shop_is_registered_once(store: &impl AccessStore) {
    assert!(store.tenants().await.expect("answers").is_empty());
    assert!(store.add_tenant(&tenant("b")).await.expect("answers"));
    assert!(store.add_tenant(&tenant("a")).await.expect("answers"));
    let again = Tenant { name: "another name".to_owned(), ..tenant("a") };
    assert!(!store.add_tenant(&again).await.expect("answers"));
    assert_eq!(store.tenants().await.expect("answers"), [tenant("a"), tenant("b")]);
    assert_eq!(store.tenant(&shop("a")).await.expect("answers"), Some(tenant("a")));
    assert_eq!(store.tenant(&shop("c")).await.expect("answers"), None);
}

async fn a_key_comes_back_as_it_was_kept(store: &impl AccessStore) {
    let plain = key(1, "a");
    let limited = ApiKey { per_minute: Some(60), expires_at: Some(moment(9)), ..key(2, "a") };
    store.add_key(&limited).await.expect("a new key is kept");
    store.add_key(&plain).await.expect("a new key is kept");
    assert_eq!(store.key(&limited.id).await.expect("answers"), Some(limited.clone()));
    assert_eq!(store.keys(&shop("a")).await.expect("answers"), [plain.clone(), limited]);
    let taken = store.add_key(&ApiKey { tenant: shop("b"), ..plain.clone() }).await;
    assert_eq!(taken.expect_err("the id is taken").kind, PortErrorKind::Conflict);
    assert_eq!(store.key(&plain.id).await.expect("answers"), Some(plain));
    assert_eq!(store.key(&key(3, "a").id).await.expect("answers"), None);
}

async fn a_key_belongs_to_one_shop(store: &impl AccessStore) {
    let (ours, theirs) = (key(1, "a"), key(2, "b"));
    for key in [&ours, &theirs] {
        store.add_key(key).await.expect("a new key is kept");
    }
    assert_eq!(store.keys(&shop("a")).await.expect("answers"), [ours]);
    assert!(!store.revoke_key(&shop("a"), &theirs.id, moment(5)).await.expect("answers"));
    assert_eq!(store.key(&theirs.id).await.expect("answers"), Some(theirs));
}

async fn a_revoked_key_stays_revoked(store: &impl AccessStore) {
    let key = key(1, "a");
    store.add_key(&key).await.expect("a new key is kept");
    for at in [5, 6] {
        assert!(store.revoke_key(&shop("a"), &key.id, moment(at)).await.expect("answers"));
    }
    let revoked = ApiKey { revoked_at: Some(moment(5)), ..key.clone() };
    assert_eq!(store.key(&key.id).await.expect("answers"), Some(revoked));
}

async fn a_shop_says_how_its_words_are_understood(store: &impl AccessStore) {
    let synonyms = vec![Synonyms::parse("sneaker, trainer").expect("a rule")];
    let german =
        WordSettings { language: "de".parse::<Language>().into_iter().collect(), typos: false, synonyms };
    assert!(!store.set_word_settings(&shop("a"), &german).await.expect("answers"), "it is not registered");
    for name in ["a", "b"] {
        store.add_tenant(&tenant(name)).await.expect("answers");
    }
    assert_eq!(store.word_settings(&shop("a")).await.expect("answers"), None);
    for settings in [german, WordSettings::default()] {
        assert!(store.set_word_settings(&shop("a"), &settings).await.expect("answers"));
        assert_eq!(store.word_settings(&shop("a")).await.expect("answers"), Some(settings));
    }
    assert_eq!(store.word_settings(&shop("b")).await.expect("answers"), None);
    assert_eq!(store.tenant(&shop("a")).await.expect("answers"), Some(tenant("a")));
}

async fn judgements_come_back_as_they_were_kept(store: &impl AccessStore) {
    let set = |name: &str, lines: &str, at: i64| {
        JudgementSet::of(name.parse().expect("a name"), lines, 1, moment(at))
    };
    let (lines, others) = ("{\"query\": \"Schühe 🛒\"}\n\n{\"id\": \"$q.a\"}\r\n", "{}");
    let (shoes, hats) = (set("shoes", lines, 5), set("hats", others, 6));
    let keep = async |set: &JudgementSet, lines: &str| {
        store.keep_judgements(&shop("a"), set, lines).await.expect("answers")
    };
    assert!(!keep(&shoes, lines).await, "the shop is not registered");
    for name in ["a", "b"] {
        store.add_tenant(&tenant(name)).await.expect("answers");
    }
    assert_eq!(store.judgements(&shop("a")).await.expect("answers"), []);
    assert!(keep(&shoes, lines).await && keep(&hats, others).await);
    assert_eq!(store.judgements(&shop("a")).await.expect("answers"), [hats.clone(), shoes.clone()]);
    let kept = store.judgement_lines(&shop("a"), &shoes.id).await.expect("answers");
    assert_eq!(kept, Some((shoes.clone(), lines.to_owned())));
    let changed = set("shoes", others, 7);
    assert_ne!(changed.digest, shoes.digest);
    assert!(keep(&changed, others).await, "it takes the place of the one before");
    let kept = store.judgement_lines(&shop("a"), &shoes.id).await.expect("answers");
    assert_eq!(kept, Some((changed.clone(), others.to_owned())));
    assert_eq!(store.judgements(&shop("b")).await.expect("answers"), []);
    assert_eq!(store.judgement_lines(&shop("b"), &shoes.id).await.expect("answers"), None);
    assert!(!store.forget_judgements(&shop("b"), &shoes.id).await.expect("answers"), "it is another shop's");
    assert!(store.forget_judgements(&shop("a"), &hats.id).await.expect("answers"));
    assert!(!store.forget_judgements(&shop("a"), &hats.id).await.expect("answers"));
    assert_eq!(store.judgements(&shop("a")).await.expect("answers"), [changed]);
}

async fn secrets_of_callbacks_take_the_place_of_those_that_were_read(store: &impl AccessStore) {
    let secret = |byte| CallbackSecret::of_random(&[byte; SECRET_BYTES]);
    let first = CallbackSecrets::first(secret(1), moment(5));
    let replace = async |current: Option<&CallbackSecret>, secrets: &CallbackSecrets| {
        store.replace_callback_secrets(&shop("a"), current, secrets).await.expect("answers")
    };
    assert!(!replace(None, &first).await, "the shop is not registered");
    for name in ["a", "b"] {
        store.add_tenant(&tenant(name)).await.expect("answers");
    }
    assert_eq!(store.callback_secrets(&shop("a")).await.expect("answers"), None);
    assert!(!replace(Some(&secret(1)), &first).await, "there is none to replace");
    assert!(replace(None, &first).await);
    assert!(!replace(None, &CallbackSecrets::first(secret(2), moment(6))).await, "somebody was first");
    let rotated = first.rotated(secret(3), moment(7), moment(9));
    assert!(replace(Some(&secret(1)), &rotated).await);
    assert!(!replace(Some(&secret(1)), &first).await);
    assert_eq!(store.callback_secrets(&shop("a")).await.expect("answers"), Some(rotated));
    assert_eq!(store.callback_secrets(&shop("b")).await.expect("answers"), None);
    assert_eq!(store.tenant(&shop("a")).await.expect("answers"), Some(tenant("a")));
}
