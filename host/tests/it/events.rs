//! A job's progress as Server-Sent Events.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::Response;
use serde_json::{Value, json};
use taja_queue::{Claim, Company, NewJob, Queue, SqliteOptions, SqliteQueue};

use crate::{
    pictures::{another_view, photograph},
    support::{Server, product, words},
};

/// Longer than any event may take.
const LONG: Duration = Duration::from_secs(60);
/// A kind that no worker of the service takes.
const KIND: &str = "by_hand";

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub id: String,
    pub name: String,
    pub data: Value,
}

/// An open stream, and what was received of the next event.
pub struct Listening {
    response: Response,
    text: String,
}

impl Server {
    /// Opens the stream of a job.
    pub async fn listen(&self, id: &str, last: Option<&str>) -> Response {
        let request = self.http.get(self.url(&format!("/jobs/{id}/events")));
        let request = match last {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// Every event of a job from now to its end.
    pub async fn told(&self, id: &str) -> Vec<Told> {
        Listening::to(self.listen(id, None).await).all().await
    }
}

impl Listening {
    pub fn to(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; none when the stream ended in good order.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                // A comment keeps the connection alive and tells nothing.
                if let Some(told) = read(&event) {
                    return Some(told);
                }
                continue;
            }
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await.expect("in time").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn all(mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(event) = self.next().await {
            told.push(event);
        }
        told
    }
}

fn read(event: &str) -> Option<Told> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    let data = serde_json::from_str(field("data")?).unwrap();
    Some(Told { id: field("id")?.to_owned(), name: field("event")?.to_owned(), data })
}

/// The queue of a running service in the hands of another process: this one.
struct Elsewhere(Arc<SqliteQueue>);

impl Elsewhere {
    fn of(data: &Path) -> Self {
        Self(Arc::new(SqliteQueue::open(&data.join("taja.db"), SqliteOptions::default()).unwrap()))
    }

    async fn push(&self) -> String {
        self.0.push(NewJob::new(KIND, "default", json!({}))).await.unwrap().job.id.to_string()
    }

    async fn claim(&self) -> Claim {
        self.0.claim("elsewhere", &[KIND], Company::Shared, LONG).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_job_tells_its_progress_and_then_its_end() {
    let server = Server::start().await;
    let pictures = vec![photograph("coffee"), another_view("rocket"), photograph("chelsea")];
    let (_, accepted) = server.post("/add_product", product("Cup", pictures)).await;
    let id = accepted["job_id"].as_str().unwrap();
    let told = server.told(id).await;
    let (end, progress) = told.split_last().unwrap();
    assert!(!progress.is_empty(), "{told:?}");
    for event in progress {
        assert_eq!((event.name.as_str(), &event.data["job_id"]), ("progress", &json!(id)));
        assert!(event.data["timestamp"].is_string() && event.data["message"].is_string(), "{event:?}");
    }
    let percents: Vec<i64> = progress.iter().map(|event| event.data["progress"].as_i64().unwrap()).collect();
    assert!(
        percents.is_sorted() && percents.iter().all(|percent| (0..=100).contains(percent)),
        "{percents:?}"
    );
    assert_eq!((end.name.as_str(), &end.data), ("end", &server.get(&format!("/jobs/{id}")).await.1));
    assert_eq!(end.data["result"]["status"], "success");
}

#[tokio::test]
async fn what_another_process_does_with_a_job_is_told_step_by_step() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::of(&server.data);
    let id = elsewhere.push().await;
    let mut listening = Listening::to(server.listen(&id, None).await);
    let first = listening.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["progress"]), ("progress", &json!(0)));

    let claim = elsewhere.claim().await;
    for (percent, message) in [(40, "embedding"), (70, "hosting")] {
        elsewhere.0.progress(&claim.token, percent, message).await.unwrap();
        // That it was claimed may be told by itself.
        loop {
            let told = listening.next().await.unwrap();
            if told.data["message"] == message {
                assert_eq!((&told.data["progress"], told.name.as_str()), (&json!(percent), "progress"));
                break;
            }
        }
    }
    elsewhere.0.complete(&claim.token, json!("done").into()).await.unwrap();
    let end = listening.next().await.unwrap();
    assert_eq!((end.name.as_str(), &end.data["result"]), ("end", &json!("done")));
    assert_eq!(listening.next().await, None, "the stream has ended");
}

#[tokio::test]
async fn whoever_comes_again_is_not_told_twice() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::of(&server.data);
    let id = elsewhere.push().await;
    let first = Listening::to(server.listen(&id, None).await).next().await.unwrap();
    let mut again = Listening::to(server.listen(&id, Some(&first.id)).await);
    let claim = elsewhere.claim().await;
    elsewhere.0.complete(&claim.token, json!(1).into()).await.unwrap();
    let next = again.next().await.unwrap();
    assert_ne!(next.id, first.id);

    // One that has ended answers with its end at once, but only to those who have not seen it.
    let told = server.told(&id).await;
    let names: Vec<_> = told.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["end"]);
    assert_eq!(server.listen(&id, Some(&told[0].id)).await.status(), 204);
    assert_eq!(server.listen(&id, Some("not ours")).await.status(), 200);
}

#[tokio::test]
async fn there_are_no_events_of_what_is_no_job() {
    let server = Server::start().await;
    for id in ["0192f0c1-2a3b-7c4d-8e5f-001122334455", "nothing"] {
        let answer = server.listen(id, None).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "not_found");
    }
}

#[tokio::test]
async fn streams_are_bounded_and_a_client_that_leaves_makes_room() {
    let server = Server::start_with(&[("event-streams-per-tenant", "2"), ("event-streams", "2")]).await;
    let id = Elsewhere::of(&server.data).push().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut listening = Listening::to(server.listen(&id, None).await);
        listening.next().await.unwrap();
        open.push(listening);
    }
    let refused = server.listen(&id, None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "too_many_streams");

    drop(open.pop());
    let freed = async {
        while server.listen(&id, None).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, freed).await.expect("the place is free again");
}

#[tokio::test]
async fn a_service_that_stops_ends_its_streams_in_good_order() {
    let server = Server::start().await;
    let id = Elsewhere::of(&server.data).push().await;
    let mut listening = Listening::to(server.listen(&id, None).await);
    listening.next().await.unwrap();
    let (ended, status) = tokio::join!(listening.next(), server.terminate());
    assert_eq!(ended, None);
    assert!(status.success());
}

#[tokio::test]
async fn a_search_ends_with_its_first_page() {
    let server = Server::start().await;
    server.result("/add_product", product("Cup", vec![photograph("coffee")])).await;
    let (_, accepted) = server.post("/search", words("cup")).await;
    let told = server.told(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(told.last().unwrap().data["result"]["matches"][0]["name"], "Cup");
}
