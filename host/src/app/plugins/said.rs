//! What this process has said of how policies have been doing, so that it says what is new.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use taja_catalog::{
    PluginDigest, TenantId,
    plugins::{Part, Statistic, Tally},
};

/// How often all of it is said, also what did not change: whoever says nothing for long is taken to be gone.
pub(in crate::app) const RENEW_EVERY: Duration = Duration::from_secs(3600);

/// What was said since the last time that all was.
pub(super) struct Said {
    rows: HashMap<(TenantId, PluginDigest, Part), Tally>,
    renewed: Instant,
}

impl Said {
    /// Nothing yet.
    pub(super) fn nothing(now: Instant) -> Self {
        Self { rows: HashMap::new(), renewed: now }
    }

    /// What is to be said now.
    pub(super) fn news(&mut self, mut rows: Vec<Statistic>, now: Instant) -> Vec<Statistic> {
        if now.duration_since(self.renewed) >= RENEW_EVERY {
            *self = Self::nothing(now);
        }
        rows.retain(|row| self.rows.get(&(row.tenant.clone(), row.digest, row.part)) != Some(&row.tally));
        rows
    }

    /// That was said.
    pub(super) fn remember(&mut self, rows: Vec<Statistic>) {
        self.rows.extend(rows.into_iter().map(|row| ((row.tenant, row.digest, row.part), row.tally)));
    }
}

#[cfg(test)]
mod tests {
    use taja_catalog::plugins::Slot;

    use super::*;

    fn row(shop: &str, part: Part, calls: u64) -> Statistic {
        let mut tally = Tally::default();
        (0..calls).for_each(|_| tally.count("ok", 1));
        let tenant = shop.parse().unwrap();
        Statistic { tenant, slot: Slot::Rank, digest: PluginDigest::of(b"p"), part, tally }
    }

    #[test]
    fn what_changed_is_said_and_once_an_hour_all_of_it() {
        let began = Instant::now();
        let mut said = Said::nothing(began);
        let all = vec![row("a", Part::Live, 1), row("a", Part::Shadow, 1), row("b", Part::Live, 1)];
        assert_eq!(said.news(all.clone(), began), all);
        assert_eq!(said.news(all.clone(), began), all, "it was not heard");
        said.remember(all.clone());
        assert_eq!(said.news(all.clone(), began), []);
        let more = vec![row("a", Part::Live, 1), row("a", Part::Shadow, 2), row("b", Part::Live, 1)];
        let later = began + RENEW_EVERY - Duration::from_millis(1);
        assert_eq!(said.news(more.clone(), later), more[1..2]);
        assert_eq!(said.news(more.clone(), began + RENEW_EVERY), more);
        said.remember(more.clone());
        assert_eq!(said.news(more, began + RENEW_EVERY), []);
    }
}
