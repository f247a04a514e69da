//! A trial serves whole sessions: whoever is served by it once is served by it again.

use std::{collections::HashSet, ops::Range};

use futures::{StreamExt, stream};
use serde_json::json;

use super::{build, plugin_of, searched};
use crate::{
    pictures::photograph,
    support::{Server, product},
};

/// Searches at once.
const AT_ONCE: usize = 4;
const SESSIONS: Range<usize> = 0..120;
const PERCENT: usize = 40;

impl Server {
    /// The sessions, of these, that a plugin ranks for.
    async fn ranked_for(&self, sessions: Range<usize>, query: &str, digest: &str) -> HashSet<usize> {
        let asked = stream::iter(sessions).map(|session| async move {
            let request =
                self.http.post(self.url("/search")).header("Taja-Session", format!("shopper {session}"));
            let result = searched(request, query).await;
            (plugin_of(&result, "rank")["digest"] == json!(digest)).then_some(session)
        });
        asked.buffer_unordered(AT_ONCE).filter_map(async |session| session).collect().await
    }
}

#[tokio::test]
async fn a_session_stays_on_its_side_and_the_trial_has_its_share() {
    let server = Server::start().await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let digest = server.uploaded("", "", build("rank-plain", "1.0.0", "")).await;
    let canary = |percent: usize| json!({ "digest": digest, "percent": percent });
    server.step("/plugins/rank-plain/canary", canary(PERCENT)).await;
    let tried = server.ranked_for(SESSIONS, "cup", &digest).await;
    // The sessions are drawn by a hash: three times the deviation to either side of the share.
    let (mean, spread) = (SESSIONS.len() * PERCENT / 100, 16);
    assert!((mean - spread..=mean + spread).contains(&tried.len()), "{} of {}", tried.len(), SESSIONS.len());
    for query in ["cup", "a cup", "cup of coffee"] {
        assert_eq!(
            server.ranked_for(0..40, query, &digest).await,
            tried.iter().copied().filter(|it| *it < 40).collect()
        );
    }
    // A larger share keeps those that it had, so nobody goes there and back.
    server.step("/plugins/rank-plain/canary", canary(70)).await;
    let more = server.ranked_for(SESSIONS, "cup", &digest).await;
    assert!(more.is_superset(&tried) && more.len() > tried.len(), "{} then {}", tried.len(), more.len());
}
