//! The stand-in is as strict as Cloudinary, and other processes can steer it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::{
    Client,
    multipart::{Form, Part},
};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use taja_cloudinary::CloudinaryError;
use taja_testkit::FakeCloudinary;

use crate::{client, jpeg};

type Fields = BTreeMap<&'static str, String>;

/// An upload that Cloudinary would take.
fn fields() -> Fields {
    let fields = [
        ("api_key", FakeCloudinary::API_KEY.to_owned()),
        ("public_id", "a".to_owned()),
        ("timestamp", Timestamp::now().as_second().to_string()),
    ];
    let mut fields = Fields::from(fields);
    sign(&mut fields);
    fields
}

fn sign(fields: &mut Fields) {
    let id = fields["public_id"].replace('&', "%26");
    let signature = digest(&format!("public_id={id}&timestamp={}", fields["timestamp"]));
    fields.insert("signature", signature);
}

fn digest(to_sign: &str) -> String {
    format!("{:x}", Sha256::digest(format!("{to_sign}{}", FakeCloudinary::API_SECRET)))
}

fn at(offset_seconds: i64) -> String {
    (Timestamp::now().as_second() + offset_seconds).to_string()
}

async fn upload(fake: &FakeCloudinary, cloud: &str, fields: Fields) -> (u16, Value) {
    let form = fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
    let form = form.part("file", Part::stream(jpeg(b"a")));
    let address = format!("{}/v1_1/{cloud}/image/upload", fake.url());
    let response = Client::new().post(address).multipart(form).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[rstest]
#[case::as_it_should_be(|_: &mut Fields| {}, 200)]
#[case::an_hour_is_not_over(|f: &mut Fields| { f.insert("timestamp", at(-3500)); sign(f); }, 200)]
#[case::stale(|f: &mut Fields| { f.insert("timestamp", at(-3700)); sign(f); }, 400)]
#[case::from_the_future(|f: &mut Fields| { f.insert("timestamp", at(3700)); sign(f); }, 400)]
#[case::milliseconds(|f: &mut Fields| { f.insert("timestamp", Timestamp::now().as_millisecond().to_string()); sign(f); }, 400)]
#[case::no_time(|f: &mut Fields| { f.remove("timestamp"); }, 400)]
#[case::no_signature(|f: &mut Fields| { f.remove("signature"); }, 400)]
#[case::a_changed_value(|f: &mut Fields| { f.insert("public_id", "b".into()); }, 401)]
#[case::an_unsigned_parameter(|f: &mut Fields| { f.insert("overwrite", "true".into()); }, 401)]
#[case::a_smuggled_parameter(|f: &mut Fields| { f.insert("public_id", "a&tags=b".into()); sign(f); f.insert("public_id", "a".into()); f.insert("tags", "b".into()); }, 401)]
#[case::an_ampersand(|f: &mut Fields| { f.insert("public_id", "a&b".into()); sign(f); }, 400)]
#[case::an_unescaped_ampersand(|f: &mut Fields| { f.insert("signature", digest(&format!("public_id=a&b&timestamp={}", f["timestamp"]))); f.insert("public_id", "a&b".into()); }, 401)]
#[case::a_short_signature(|f: &mut Fields| { f.get_mut("signature").unwrap().truncate(40); }, 401)]
#[case::an_unknown_key(|f: &mut Fields| { f.insert("api_key", "1".into()); }, 401)]
#[case::no_key(|f: &mut Fields| { f.remove("api_key"); }, 401)]
#[tokio::test]
async fn only_a_signed_upload_is_taken(#[case] change: fn(&mut Fields), #[case] expected: u16) {
    let fake = FakeCloudinary::start().unwrap();
    let mut fields = fields();
    change(&mut fields);
    let (status, answer) = upload(&fake, FakeCloudinary::CLOUD_NAME, fields).await;
    assert_eq!(status, expected, "{answer}");
    assert_eq!(answer["error"]["message"].is_string(), expected != 200);
    assert_eq!(fake.assets().is_empty(), expected != 200);
}

#[tokio::test]
async fn another_cloud_is_not_ours() {
    let fake = FakeCloudinary::start().unwrap();
    assert_eq!(upload(&fake, "other", fields()).await.0, 401);
}

#[tokio::test]
async fn an_upload_that_does_not_say_otherwise_overwrites() {
    let fake = FakeCloudinary::start().unwrap();
    client(&fake).upload("a", jpeg(b"first")).await.unwrap();
    let (_, answer) = upload(&fake, FakeCloudinary::CLOUD_NAME, fields()).await;
    assert_eq!(answer["overwritten"], true);
    assert_eq!(fake.asset("a").unwrap().bytes, jpeg(b"a"));
    assert_eq!(fake.uploads("a"), 2);
}

#[tokio::test]
async fn other_processes_set_faults_and_list_assets() {
    let fake = FakeCloudinary::start().unwrap();
    let (http, cloudinary) = (Client::new(), client(&fake));
    let faults = format!("{}/_test/faults", fake.url());
    let set = |fault: Value| http.post(&faults).json(&fault).send();
    assert_eq!(set(json!({ "fault": "lose_reply", "times": 1 })).await.unwrap().status(), 204);
    assert!(cloudinary.upload("a", jpeg(b"a")).await.unwrap().existing);
    let limit = json!({ "fault": "fail", "status": 429, "headers": { "retry-after": "3600" } });
    assert_eq!(set(limit).await.unwrap().status(), 204);
    let error = cloudinary.upload("b", jpeg(b"b")).await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Unavailable { retry_at: Some(_), .. }));
    assert_eq!(http.delete(&faults).send().await.unwrap().status(), 204);
    let stall = json!({ "fault": "stall", "answer_after_ms": 1, "times": 1 });
    assert_eq!(set(stall).await.unwrap().status(), 204);
    cloudinary.upload("b", jpeg(b"b")).await.unwrap();
    assert_eq!(set(json!({ "fault": "unknown" })).await.unwrap().status(), 422);
    let assets = http.get(format!("{}/_test/assets", fake.url())).send().await.unwrap();
    let assets: Vec<Value> = assets.json().await.unwrap();
    let listed: Vec<_> = assets.iter().map(|asset| (&asset["public_id"], &asset["uploads"])).collect();
    assert_eq!(listed, [(&json!("a"), &json!(1)), (&json!("b"), &json!(1))]);
}

#[test]
fn a_taken_port_is_an_error() {
    let fake = FakeCloudinary::start().unwrap();
    let port = fake.url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(FakeCloudinary::start_on(port).is_err());
}
