//! A metrics recorder that names so many shops and no more: whoever scrapes pays for every series.

use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};

/// The label that names a shop.
const LABEL: &str = "tenant";
/// Stands for all shops that are not named. It is no shop's name.
const OTHERS: &str = "*";

/// Records what it is told; beyond the first shops, all are one.
pub struct FirstShops<R> {
    inner: R,
    most: usize,
    named: RwLock<HashSet<String>>,
}

impl<R> FirstShops<R> {
    /// Names as many shops as `most` before `inner`.
    pub fn new(inner: R, most: usize) -> Self {
        Self { inner, most, named: RwLock::default() }
    }

    fn is_named(&self, shop: &str) -> bool {
        if self.named.read().unwrap_or_else(PoisonError::into_inner).contains(shop) {
            return true;
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        let has_room = named.len() < self.most;
        if has_room {
            named.insert(shop.to_owned());
        }
        has_room || named.contains(shop)
    }

    /// The key as it is recorded, when that is another one.
    fn renamed(&self, key: &Key) -> Option<Key> {
        let shop = key.labels().find(|label| label.key() == LABEL)?;
        if self.is_named(shop.value()) {
            return None;
        }
        let label =
            |label: &Label| if label.key() == LABEL { Label::new(LABEL, OTHERS) } else { label.clone() };
        Some(Key::from_parts(key.name().to_owned(), key.labels().map(label).collect::<Vec<_>>()))
    }
}

impl<R: Recorder> Recorder for FirstShops<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(self.renamed(key).as_ref().unwrap_or(key), metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(self.renamed(key).as_ref().unwrap_or(key), metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(self.renamed(key).as_ref().unwrap_or(key), metadata)
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, histogram, with_local_recorder};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn the_first_shops_are_named_and_the_others_are_counted_together() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        with_local_recorder(&FirstShops::new(recorder, 2), || {
            for shop in ["a", "b", "c", "d", "a"] {
                counter!("calls", "tenant" => shop, "kind" => "rank").increment(1);
                histogram!("seconds", "tenant" => shop).record(1.0);
            }
            counter!("calls", "kind" => "rank").increment(1);
        });
        let text = handle.render();
        for line in [
            "calls{tenant=\"a\",kind=\"rank\"} 2",
            "calls{tenant=\"b\",kind=\"rank\"} 1",
            "calls{tenant=\"*\",kind=\"rank\"} 2",
            "calls{kind=\"rank\"} 1",
            "seconds_count{tenant=\"*\"} 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("\"c\"") && !text.contains("\"d\""), "{text}");
    }
}
