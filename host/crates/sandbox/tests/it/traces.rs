//! Spans: one for each call of a plugin, and in it one for each of its host calls that can be refused.
#![expect(clippy::unwrap_used, reason = "what cannot be done fails the test")]

use std::sync::{Arc, Mutex};

use taja_catalog::PluginDigest;
use tracing::{
    Id, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::{
    fakes::{World, image, video},
    guests::{House, plugin},
    rank::candidates,
};

/// Every host call that can be refused, in the order in which the fixture makes them.
const ONCE_EACH: [&str; 18] = [
    "media.crop",
    "media.pixels",
    "media.frames",
    "embed.texts",
    "embed.images",
    "embed.read",
    "embed.concat",
    "embed.blend",
    "embed.cosine",
    "catalogue.nearest",
    "catalogue.keyword",
    "catalogue.matching",
    "catalogue.image-by-hash",
    "catalogue.near-duplicates",
    "catalogue.columns",
    "catalogue.select",
    "catalogue.identify",
    "catalogue.fuse",
];

/// A span, as a subscriber sees it.
#[derive(Debug, Clone)]
struct Seen {
    id: Id,
    parent: Option<Id>,
    name: &'static str,
    fields: Vec<(&'static str, String)>,
    closed: bool,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// Writes spans down.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| Some(span.parent()?.id()));
        let name = attributes.metadata().name();
        let mut seen = Seen { id: id.clone(), parent, name, fields: Vec::new(), closed: false };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.last(id, |seen| values.record(seen));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.last(&id, |seen| seen.closed = true);
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }
}

impl Notes {
    /// Ids are used again once a span is closed.
    fn last(&self, id: &Id, note: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().unwrap();
        if let Some(seen) = spans.iter_mut().rev().find(|seen| seen.id == *id) {
            note(seen);
        }
    }

    /// What was written down of these two kinds, and nothing of it any more.
    fn taken(&self) -> (Vec<Seen>, Vec<Seen>) {
        let spans = std::mem::take(&mut *self.0.lock().unwrap());
        assert!(spans.iter().all(|seen| seen.closed), "{spans:?}");
        let named = |name: &str| spans.iter().filter(|seen| seen.name == name).cloned().collect();
        (named("plugin"), named("host call"))
    }
}

/// One call of a plugin, whose span says who was called for whom, and its host calls.
fn call_of(notes: &Notes, digest: PluginDigest) -> Vec<Seen> {
    let (calls, host_calls) = notes.taken();
    let [call] = &calls[..] else { panic!("not one call: {calls:?}") };
    assert_eq!(call.field("plugin.digest"), Some(&*digest.to_string()));
    assert_eq!(call.field("tenant"), Some("shop"));
    assert_eq!(call.field("plugin.name"), call.field("kind"));
    assert!(host_calls.iter().all(|seen| seen.parent.as_ref() == Some(&call.id)), "{host_calls:?}");
    host_calls
}

#[tokio::test]
async fn a_call_has_a_span_and_in_it_each_host_call_that_can_be_refused_has_one() {
    let world = World::new().with("shop", "red", [255, 0, 0], 10.0).with("shop", "blue", [0, 0, 255], 9.0);
    let search = plugin(
        "search",
        "search",
        "accepts = [\"image\", \"video\"]\n[limits]\ncpu_ms = 8000\nwall_ms = 30000",
    );
    let rank = plugin("rank", "rank", "");
    let house = House::empty().with("s.wasm", &search).with("r.wasm", &rank);
    let sandbox = house.told("search", "once-each").ready(&world).await;
    let context = world.context("shop", "");
    let notes = Notes::default();
    let subscriber = tracing_subscriber::registry().with(notes.clone());
    let _here = tracing::subscriber::set_default(subscriber);

    let parts = vec![image([255, 0, 0]), video()];
    let error = sandbox.search(&context, parts, 5).await.unwrap_err().to_string();
    assert!(error.ends_with("12 3 3 2 true 0"), "{error}");
    let host_calls = call_of(&notes, PluginDigest::of(&search));
    let names: Vec<_> = host_calls.iter().filter_map(|seen| seen.field("what")).collect();
    assert_eq!(names, ONCE_EACH);
    assert!(host_calls.iter().all(|seen| seen.field("refused").is_none()));

    sandbox.rank(&context, candidates(10)).await.unwrap();
    assert!(call_of(&notes, PluginDigest::of(&rank)).is_empty());
}

#[tokio::test]
async fn a_host_call_that_is_refused_has_a_span_that_says_so() {
    let world = World::new();
    let search = plugin("search", "search", "accepts = [\"image\"]\n[limits]\ncpu_ms = 8000\nhost_calls = 1");
    let house = House::empty();
    house.keep_active(&search, &["embed", "catalogue"], "every-call").await;
    let sandbox = house.ready(&world).await;
    let notes = Notes::default();
    let subscriber = tracing_subscriber::registry().with(notes.clone());
    let _here = tracing::subscriber::set_default(subscriber);
    sandbox.search(&world.context("shop", ""), vec![image([1, 2, 3])], 5).await.unwrap_err();
    let host_calls = call_of(&notes, PluginDigest::of(&search));
    let refused: Vec<_> = host_calls.iter().map(|seen| (seen.field("what"), seen.field("refused"))).collect();
    assert_eq!(
        refused,
        [
            (Some("media.pixels"), Some("denied")),
            (Some("embed.texts"), None),
            (Some("catalogue.matching"), Some("quota"))
        ]
    );
}
