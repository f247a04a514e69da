//! A registry that is not to be trusted, played by a server that answers as it is told.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::header::AUTHORIZATION,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::json;

use super::*;

const BASIC: &str = "Basic c2hvcDpzZWNyZXQ=";
const COMPONENT: &[u8] = b"what is fetched";

/// A server on a loopback port, and what it was asked: the path with its query, and what was shown.
struct StandIn {
    host: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl StandIn {
    async fn start(answer: impl Fn(&Request) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&asked);
        let router = Router::new().fallback(async move |request: Request| {
            let shown = shown(&request).to_owned();
            seen.lock().push((request.uri().to_string(), shown));
            answer(&request)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, asked }
    }

    fn reference(&self, more: &str) -> Reference {
        format!("oci://{}/shop/rank{more}", self.host).parse().unwrap()
    }

    fn registry(&self, variables: &[(&str, &str)]) -> Registry {
        self.registry_for(Rights::Pull, variables)
    }

    fn registry_for(&self, rights: Rights, variables: &[(&str, &str)]) -> Registry {
        let named = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let access = Access::from_lookup(|name| named(name).map(|(_, value)| (*value).to_owned())).unwrap();
        Registry::of(&self.reference(""), rights, access).unwrap()
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().clone()
    }
}

fn shown(request: &Request) -> &str {
    request.headers().get(AUTHORIZATION).map(|shown| shown.to_str().unwrap()).unwrap_or_default()
}

fn known() -> [(&'static str, &'static str); 2] {
    [("TAJA_OCI_USER", "shop"), ("TAJA_OCI_PASSWORD", "secret")]
}

fn challenge(text: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [("www-authenticate", text.to_owned())]).into_response()
}

fn sent_to(address: String) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [("location", address)]).into_response()
}

fn layer(bytes: &[u8]) -> Layer {
    Layer { digest: Digest::of(bytes), size: bytes.len() as u64, signature: None }
}

fn told_by(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

#[tokio::test]
async fn a_token_is_fetched_for_the_password_and_shown_alone() {
    let server = StandIn::start(|request| match (request.uri().path(), shown(request)) {
        ("/token", BASIC) => {
            json!({ "token": "t", "access_token": "t", "expires_in": 60 }).to_string().into_response()
        }
        ("/v2/shop/rank/manifests/1.0.0", "Bearer t") => COMPONENT.into_response(),
        ("/v2/shop/rank/manifests/1.0.0", "") => {
            let host = request.headers()["host"].to_str().unwrap();
            challenge(&format!(
                r#"Bearer realm="http://{host}/token?a=b",service="of tests",scope="registry:catalog:*""#
            ))
        }
        _ => StatusCode::FORBIDDEN.into_response(),
    })
    .await;
    let (digest, bytes) = server.registry(&known()).manifest(&server.reference(":1.0.0")).await.unwrap();
    assert_eq!((digest, &bytes[..]), (Digest::of(COMPONENT), COMPONENT));
    let manifest = "/v2/shop/rank/manifests/1.0.0".to_owned();
    let token = "/token?a=b&service=of+tests&scope=repository%3Ashop%2Frank%3Apull".to_owned();
    let expected =
        [(manifest.clone(), String::new()), (token, BASIC.to_owned()), (manifest, "Bearer t".to_owned())];
    assert_eq!(server.asked(), expected);
    // Who has no password gets no token there.
    let error = server.registry(&[]).manifest(&server.reference(":1.0.0")).await.unwrap_err();
    assert!(told_by(&error).contains("set TAJA_OCI_USER and TAJA_OCI_PASSWORD"), "{error:#}");
}

#[tokio::test]
async fn no_other_host_sees_the_password_because_a_registry_says_so() {
    let other = StandIn::start(|_| r#"{"token": "t"}"#.into_response()).await;
    let realm = format!(r#"Bearer realm="http://{}/token""#, other.host);
    let server = StandIn::start(move |request| match shown(request) {
        "Bearer t" => COMPONENT.into_response(),
        _ => challenge(&realm),
    })
    .await;
    let reference = server.reference(":1.0.0");
    let error = server.registry(&known()).manifest(&reference).await.unwrap_err();
    assert!(told_by(&error).contains(&format!("set TAJA_OCI_TOKEN_HOST={}", other.host)), "{error:#}");
    assert_eq!(other.asked(), []);

    let [user, password] = known();
    let named = [user, password, ("TAJA_OCI_TOKEN_HOST", &other.host[..])];
    server.registry(&named).manifest(&reference).await.unwrap();
    assert_eq!(other.asked()[0].1, BASIC);
    server.registry(&[]).manifest(&reference).await.unwrap();
    assert_eq!(other.asked()[1].1, "", "anybody may ask for a token");
}

#[tokio::test]
async fn where_a_registry_sends_on_to_nothing_is_shown() {
    let other = StandIn::start(|_| COMPONENT.into_response()).await;
    let place = format!("http://{}/somewhere?signature=secret", other.host);
    let server = StandIn::start(move |request| match (request.method().as_str(), shown(request)) {
        (_, "") => challenge("Basic realm=tests"),
        ("GET", BASIC) => sent_to(place.clone()),
        ("POST", BASIC) => (StatusCode::ACCEPTED, [("location", place.clone())]).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let fetched = server.registry(&known()).component(&layer(COMPONENT)).await.unwrap();
    assert_eq!(fetched, COMPONENT);
    let error = server.registry_for(Rights::Push, &known()).add_blob(COMPONENT.to_vec()).await.unwrap_err();
    assert!(told_by(&error).contains("it answered 200 OK"), "{error:#}");
    let put =
        format!("/somewhere?signature=secret&digest=sha256%3A{}", &Digest::of(COMPONENT).to_string()[7..]);
    let place = "/somewhere?signature=secret".to_owned();
    assert_eq!(other.asked(), [(place, String::new()), (put, String::new())]);
}

#[rstest::rstest]
#[case("/v2/shop/rank/blobs/again", "more than 3 times")]
#[case("http://registry.example/blob", "http://registry.example, which is not encrypted")]
#[case("http://[", "no address")]
#[tokio::test]
async fn a_registry_cannot_send_just_anywhere(#[case] to: &'static str, #[case] says: &str) {
    let server = StandIn::start(move |_| sent_to(to.to_owned())).await;
    let error = server.registry(&[]).component(&layer(COMPONENT)).await.unwrap_err();
    assert!(told_by(&error).contains(says), "{error:#}");
    assert!(server.asked().len() <= 4);
}

#[tokio::test]
async fn what_is_fetched_is_what_was_promised() {
    let server = StandIn::start(|request| match request.uri().path().rsplit('/').next() {
        Some("endless") => {
            let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0; 1 << 16]));
            Body::from_stream(chunks).into_response()
        }
        Some("lie") => ([("docker-content-digest", Digest::of(b"").to_string())], COMPONENT).into_response(),
        _ => COMPONENT.into_response(),
    })
    .await;
    let mut registry = server.registry(&[]);
    let (longer, shorter, other) = (b"what is fetched, and more", b"what is", b"what is changed");
    for (bytes, says) in [
        (&longer[..], "is not what its digest promises"),
        (&shorter[..], "its component: is longer than 7 bytes"),
        (&other[..], "is not what its digest promises"),
    ] {
        let error = registry.component(&layer(bytes)).await.unwrap_err();
        assert!(told_by(&error).contains(says), "{error:#}");
    }
    let pinned = format!("@{}", Digest::of(b"another"));
    for (name, says) in [
        (":endless", "its manifest: is longer than 1048576 bytes"),
        (":lie", "is not what its digest promises"),
        (&pinned, "is not what its digest promises"),
        ("", "add :TAG or @sha256:DIGEST"),
    ] {
        let error = registry.manifest(&server.reference(name)).await.unwrap_err();
        assert!(told_by(&error).contains(says), "{name}: {error:#}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let server = StandIn::start(|request| match request.uri().path() {
        "/v2/shop/rank/manifests/basic" => challenge("Basic realm=tests"),
        "/v2/shop/rank/manifests/other" => challenge("Negotiate"),
        "/v2/shop/rank/manifests/forbidden" => StatusCode::FORBIDDEN.into_response(),
        "/v2/shop/rank/manifests/broken" => {
            let said =
                json!({ "errors": [{ "code": "UNAVAILABLE", "message": "come\u{1b}[2J back\r\n later" }] });
            (StatusCode::SERVICE_UNAVAILABLE, said.to_string()).into_response()
        }
        "/v2/shop/rank/tags/list" => r#"{"name": "shop/rank", "tags": ["1.0.0", "1.1.0"]}"#.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let absent = format!("@{}", Digest::of(b"absent"));
    for (variables, name, says) in [
        (&[][..], ":basic", "it asks who you are: set TAJA_OCI_USER and TAJA_OCI_PASSWORD"),
        (&known(), ":basic", "it does not let \"shop\" do that: see to TAJA_OCI_USER"),
        (&[], ":other", "neither a password nor a token"),
        (&[], ":forbidden", "set TAJA_OCI_USER"),
        (&[], ":broken", "it answered 503 Service Unavailable: UNAVAILABLE come[2J back later"),
        (&[], ":9.9.9", "it has no such tag, but 1.0.0, 1.1.0"),
        (&[], &absent, "it has nothing with the digest sha256:"),
    ] {
        let error = server.registry(variables).manifest(&server.reference(name)).await.unwrap_err();
        assert!(told_by(&error).contains(says), "{name}: {error:#}");
    }
    let error = server.registry(&[]).component(&layer(COMPONENT)).await.unwrap_err();
    assert!(told_by(&error).contains("it has the manifest but not the component"), "{error:#}");
}
