//! Hostile and mistaken requests: a clear error with the right status and code, and nothing stored.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::{
    pictures::photograph,
    support::{Server, file, image_query, product, words},
};

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or("no code"))
}

async fn nothing_stored(server: &Server) {
    assert_eq!(server.counts().await, (0, 0));
    let staged = std::fs::read_dir(server.data.join("staging")).unwrap().count();
    assert_eq!(staged, 0, "a refused upload is left over");
    let hosted = std::fs::read_dir(server.data.join("images")).unwrap().count();
    assert_eq!(hosted, 0, "a refused picture is hosted");
    let (_, health) = server.get("/health").await;
    assert_eq!(health["queue"]["jobs"], json!({}), "a refused request made a job");
}

#[tokio::test]
async fn files_are_judged_by_content() {
    let server = Server::start().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec();
    let cases: &[(&str, Vec<u8>, (u16, &str))] = &[
        ("an SVG called .jpg", svg, (415, "media_type_unsupported")),
        ("a PDF", b"%PDF-1.7 ...".to_vec(), (415, "media_type_unsupported")),
        ("a ZIP", b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec(), (415, "media_type_unsupported")),
        ("a playlist", b"#EXTM3U\nfile:///etc/passwd".to_vec(), (415, "media_type_unsupported")),
        ("text", b"hello".to_vec(), (415, "media_type_unsupported")),
        ("no byte", Vec::new(), (422, "media_empty")),
    ];
    for (what, bytes, expected) in cases {
        let part = || Part::bytes(bytes.clone()).file_name("p.jpg").mime_str("image/jpeg").unwrap();
        let form =
            Form::new().text("name", "x").text("price", "1").text("description", "d").part("images", part());
        let answer = server.post("/add_product", form).await;
        assert_eq!(code(&answer), *expected, "{what}: {}", answer.1);
        assert_eq!(answer.1["errors"][0]["pointer"], "/images", "{what}");
        let answer = server.post("/search", Form::new().part("image", part())).await;
        assert_eq!(code(&answer), *expected, "{what}: {}", answer.1);
    }
    let swapped =
        server.post("/search", Form::new().part("video", file(photograph("coffee"), "v.mp4"))).await;
    assert_eq!(code(&swapped), (415, "media_type_unsupported"));
    nothing_stored(&server).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read_to_the_end() {
    let limits = [("max-image-bytes", "100000"), ("max-request-bytes", "400000"), ("max-pixels", "10000")];
    let server = Server::start_with(&limits).await;
    let photo = photograph("coffee");
    assert!(photo.len() > 400_000);
    let answer = server.post("/add_product", product("x", vec![photo[..200_000].to_vec()])).await;
    assert_eq!(code(&answer), (413, "too_large"));
    let answer = server.post("/add_product", product("x", vec![photo])).await;
    assert_eq!(code(&answer), (413, "too_large"));
    nothing_stored(&server).await;
}

#[tokio::test]
async fn pictures_that_cannot_be_used_store_nothing() {
    let server = Server::start_with(&[("max-pixels", "200000")]).await;
    let mut truncated = photograph("coins");
    truncated.truncate(20_000);
    for (bytes, expected) in
        [(photograph("coffee"), "media_too_many_pixels"), (truncated, "media_undecodable")]
    {
        let result = server.result("/add_product", product("x", vec![bytes.clone()])).await;
        assert_eq!(
            (&result["status"], &result["error_details"][0]["code"]),
            (&json!("rejected"), &json!(expected))
        );
        let job = server.finish("/search", image_query(bytes)).await;
        assert_eq!((&job["status"], &job["failure"]["code"]), (&json!("failed"), &json!(expected)), "{job}");
        assert_eq!(
            (&job["failure"]["blame"], &job["failure"]["retryable"]),
            (&json!("client"), &json!(false))
        );
    }
    let broken_video = [&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..], &[0; 2000]].concat();
    let job = server.finish("/search", Form::new().part("video", file(broken_video, "v.mp4"))).await;
    assert_eq!(
        (&job["failure"]["code"], &job["failure"]["blame"]),
        (&json!("media_undecodable"), &json!("client"))
    );
    assert_eq!(server.counts().await, (0, 0));
}

#[tokio::test]
async fn no_picture_and_too_many_pictures_are_refused() {
    let server = Server::start_with(&[("max-images", "2")]).await;
    for pictures in [Vec::new(), vec![photograph("coins"); 3]] {
        let answer = server.post("/add_product", product("x", pictures)).await;
        assert_eq!(code(&answer), (422, "field_invalid"));
        assert_eq!(answer.1["errors"][0]["pointer"], "/images");
    }
    nothing_stored(&server).await;
}

#[tokio::test]
async fn fields_at_fault_are_pointed_at() {
    let server = Server::start().await;
    let form = Form::new()
        .text("price", "cheap")
        .text("sizes", "41")
        .part("images", file(photograph("coffee"), "c"));
    let answer = server.post("/add_product", form).await;
    assert_eq!(code(&answer), (422, "field_invalid"));
    let errors = answer.1["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/price", "/description", "/sizes"]);

    for (form, pointer) in [
        (words("x").text("limit", "0"), "/limit"),
        (words("x").text("limit", "many"), "/limit"),
        (words("x").text("filter", "{\"price\":{\"about\":3}}"), "/filter"),
        (words("x").text("filter", "{"), "/filter"),
        (words("x").text("smell", "roses"), "/smell"),
        (words("  "), "/query"),
        (words(&"long ".repeat(1000)), "/query"),
        (Form::new().text("image", "not a file"), "/image"),
    ] {
        let answer = server.post("/search", form).await;
        assert_eq!(code(&answer).0, if pointer == "/image" { 415 } else { 422 }, "{}", answer.1);
        assert_eq!(answer.1["errors"][0]["pointer"], pointer, "{}", answer.1);
    }
    nothing_stored(&server).await;
}

/// A request, by method, path, content type and body, and the status and code it is answered with.
type Mistake = (Method, &'static str, &'static str, &'static str, (u16, &'static str));

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = Server::start().await;
    let bodies: &[Mistake] = &[
        (Method::GET, "/nowhere", "", "", (404, "not_found")),
        (Method::GET, "/api/v1/nowhere", "", "", (404, "not_found")),
        (Method::DELETE, "/search", "", "", (405, "method_not_allowed")),
        (Method::GET, "/search/job/0190b8c0-0000-7000-8000-000000000000", "", "", (404, "not_found")),
        (Method::GET, "/add_product/job/not-an-id", "", "", (404, "not_found")),
        (Method::GET, "/images/abc", "", "", (404, "not_found")),
        (Method::POST, "/search", "application/json", "{", (400, "json_malformed")),
        (Method::POST, "/search", "application/json", "[]", (400, "json_malformed")),
        (Method::POST, "/search", "text/plain", "shoe", (415, "content_type_unsupported")),
        (Method::POST, "/search", "multipart/form-data", "x", (400, "multipart_malformed")),
        (
            Method::POST,
            "/search",
            "multipart/form-data; boundary=b",
            "--b\r\nbroken",
            (400, "multipart_malformed"),
        ),
        (Method::GET, "/jobs/x?wait=never", "", "", (400, "bad_request")),
    ];
    for (method, path, content_type, body, expected) in bodies {
        let mut request = server.http.request(method.clone(), server.url(path)).body(*body);
        if !content_type.is_empty() {
            request = request.header("content-type", *content_type);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(code(&(status, problem.clone())), *expected, "{method} {path}: {problem}");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{method} {path}: {problem}");
        }
    }
    nothing_stored(&server).await;
}
