//! Policies are replaced under load, and between the attempts of a job.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{at_last, bundled, digest_of, plugin_of};
use crate::{
    pictures::photograph,
    support::{Server, product, words},
    tenants::answer,
};

/// Versions of each of two plugins.
const VERSIONS: usize = 8;
const SWAPS: usize = 100;
/// Shoppers who search all the time.
const SHOPPERS: usize = 3;
const PLUGINS: [&str; 2] = ["rank-default", "search-text"];

/// Who ranked and who searched.
type Pair = [String; 2];

/// What was searched for; the answer's status and what took part.
async fn search(server: &Server, query: String) -> (u16, Value) {
    let request = server.http.post(server.url("/search")).header("Prefer", "wait=30");
    answer(request.multipart(words(&query)).send().await.unwrap()).await
}

/// Searches until there are no more swaps; the pairs that served.
async fn shop_around(server: &Server, shopper: usize, over: &AtomicBool) -> Vec<Pair> {
    let mut served = Vec::new();
    while !over.load(Relaxed) {
        let (status, job) = search(server, format!("cup {shopper} {}", served.len())).await;
        assert_eq!((status, &job["status"]), (200, &json!("completed")), "{job}");
        assert!(job["result"]["degraded"].is_null(), "{job}");
        served
            .push(PLUGINS.map(|name| plugin_of(&job["result"], name)["digest"].as_str().unwrap().to_owned()));
    }
    served
}

#[tokio::test]
async fn a_hundred_swaps_under_load_fail_nobody_and_mix_nothing() {
    let server = Server::start_with(&[("result-cache-minutes", "0")]).await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let (_, job) = search(&server, "cup".into()).await;
    let mut now: Pair =
        PLUGINS.map(|name| plugin_of(&job["result"], name)["digest"].as_str().unwrap().to_owned());
    let mut versions = [Vec::new(), Vec::new()];
    for (versions, name) in versions.iter_mut().zip(PLUGINS) {
        for version in 1..=VERSIONS {
            versions.push(server.uploaded("", "", bundled(name, &format!("{version}.0.0"))).await);
        }
    }
    let over = AtomicBool::new(false);
    let swapping = async {
        let mut together = HashSet::from([now.clone()]);
        for swap in 0..SWAPS {
            // In turn, so that of all pairs only neighbours are ever in force together.
            let (place, version) = (swap % 2, swap / 2 % VERSIONS);
            let order = json!({ "digest": versions[place][version] });
            server.step(&format!("/plugins/{}/activate", PLUGINS[place]), order).await;
            now[place].clone_from(&versions[place][version]);
            together.insert(now.clone());
        }
        over.store(true, Relaxed);
        together
    };
    let shopping = join_all((0..SHOPPERS).map(|shopper| shop_around(&server, shopper, &over)));
    let (together, served) = tokio::join!(swapping, shopping);
    let served: Vec<_> = served.into_iter().flatten().collect();
    for pair in &served {
        assert!(together.contains(pair), "{pair:?} were never in force together");
    }
    assert!(together.len() < VERSIONS * VERSIONS / 2);
    let seen: HashSet<_> = served.iter().collect();
    assert!(seen.len() > VERSIONS, "only {} pairs served {} searches", seen.len(), served.len());
    let (_, events) = server.get(&format!("/plugins/rank-default/history?limit={SWAPS}")).await;
    let activated = events.as_array().unwrap().iter().filter(|event| event["action"] == "activated");
    assert_eq!(activated.count(), SWAPS / 2 + 1, "none was withdrawn: {events}");
}

#[tokio::test]
async fn a_job_that_failed_is_tried_again_with_the_policy_it_was_accepted_with() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("attempts", "10"), ("lease-seconds", "2")];
    let server = Server::start_on(folder.path(), &settings).await;
    // Nothing can be hosted where a file stands in the folder's place.
    let (images, away) = (folder.path().join("images"), folder.path().join("away"));
    std::fs::rename(&images, &away).unwrap();
    std::fs::write(&images, "").unwrap();
    let (_, accepted) = server.post("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let job = format!("/jobs/{}", accepted["job_id"].as_str().unwrap());
    let failed = at_last("its first attempt fails", async || {
        let (_, job) = server.get(&job).await;
        job["error"].is_object().then_some(job)
    })
    .await;
    assert_eq!(
        (&failed["error"]["blame"], &failed["error"]["retryable"]),
        (&json!("dependency"), &json!(true))
    );
    let tried = failed["attempts"].as_u64().unwrap();

    let next = bundled("ingest-product", "9.0.0");
    let digest = server.uploaded("", "?activate=true", next.clone()).await;
    assert_eq!(digest, digest_of(&next));
    // Whoever was to try again dies, and the pin with it if it were kept in memory.
    server.kill().await;
    std::fs::remove_file(&images).unwrap();
    std::fs::rename(&away, &images).unwrap();
    let server = Server::start_on(folder.path(), &settings).await;
    let done = at_last("it is done", async || {
        let (_, job) = server.get(&format!("{job}?wait=5")).await;
        (job["status"] == "completed").then_some(job)
    })
    .await;
    assert!(done["attempts"].as_u64().unwrap() > tried, "{done}");
    assert_eq!(plugin_of(&done["result"], "ingest-product")["version"], "0.1.0", "{done}");
    let other = server.result("/add_product", product("Rocket", vec![photograph("rocket")])).await;
    assert_eq!(plugin_of(&other, "ingest-product")["digest"], json!(digest));
    let (_, plugin) = server.ask("", Method::GET, "/plugins/ingest-product", None).await;
    assert_eq!(plugin["activation"]["live"]["version"], "9.0.0");
}
