//! What happens when Cloudinary is slow, in trouble, limits us, or talks nonsense.

use std::{error::Error, sync::Arc, time::Duration};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use rstest::rstest;
use taja_cloudinary::{Cloudinary, CloudinaryError};
use taja_testkit::{FakeCloudinary, cloudinary::Fault, free_port};

use crate::{client, config, jpeg, url};

#[tokio::test]
async fn silence_is_given_up_on_and_tried_again() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.timeout = Duration::from_millis(100);
    let cloudinary = Cloudinary::new(config).unwrap();
    fake.fault_until_cleared(Fault::silence());
    let error = cloudinary.upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Unavailable { retry_at: None, .. }));
    assert!(error.source().is_some());
    assert_eq!(fake.requests().len(), 3);
    assert!(fake.assets().is_empty());
    fake.clear_faults();
    assert!(!cloudinary.upload("a", jpeg(b"a")).await.unwrap().existing);
}

#[tokio::test]
async fn the_deadline_ends_an_attempt() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.deadline = Duration::from_millis(100);
    fake.fault_until_cleared(Fault::silence());
    let error = Cloudinary::new(config).unwrap().destroy("a").await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Unavailable { .. }));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn trouble_that_passes_goes_unnoticed() {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_next(1, Fault::status(500));
    fake.fault_next(1, Fault::answer(502, "<html>Bad Gateway</html>"));
    assert!(!client(&fake).upload("a", jpeg(b"a")).await.unwrap().existing);
    assert_eq!((fake.requests().len(), fake.assets()), (3, vec!["a".to_owned()]));
}

#[tokio::test]
async fn trouble_that_stays_is_reported_with_its_words() {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_until_cleared(Fault::status(503));
    let error = client(&fake).upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(
        matches!(&error, CloudinaryError::Unavailable { reason, .. } if reason.contains("asked to fail"))
    );
    assert_eq!(fake.requests().len(), 3);
}

#[rstest]
#[case::calm(420)]
#[case::too_many(429)]
#[tokio::test]
async fn a_rate_limit_is_waited_out(#[case] status: u16) {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_next(1, Fault::header(status, "retry-after", "1"));
    client(&fake).upload("a", jpeg(b"a")).await.unwrap();
    let [first, second] = &fake.requests()[..] else { panic!("two requests") };
    assert!(second.at.duration_since(first.at) >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_limit_beyond_the_deadline_is_reported_at_once() {
    let fake = FakeCloudinary::start().unwrap();
    let reset = Timestamp::from_second(Timestamp::now().as_second() + 3600).unwrap();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&reset).unwrap();
    fake.fault_until_cleared(Fault::header(420, "x-featureratelimit-reset", &date));
    let error = client(&fake).upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Unavailable { retry_at: Some(at), .. } if at == reset));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_found_by_the_next_attempt() {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_next(1, Fault::LoseReply);
    let hosted = client(&fake).upload("a", jpeg(b"a")).await.unwrap();
    assert!(hosted.existing);
    assert_eq!((fake.requests().len(), fake.uploads("a"), fake.assets().len()), (2, 1, 1));
}

#[tokio::test]
async fn a_removal_whose_answer_was_lost_is_done() {
    let fake = FakeCloudinary::start().unwrap();
    let cloudinary = client(&fake);
    cloudinary.upload("a", jpeg(b"a")).await.unwrap();
    fake.fault_next(1, Fault::LoseReply);
    cloudinary.destroy("a").await.unwrap();
    assert_eq!((fake.requests().len(), fake.assets().len()), (3, 0));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.upload_base = url(&format!("http://127.0.0.1:{}", free_port().unwrap()));
    let error = Cloudinary::new(config).unwrap().upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(&error, CloudinaryError::Unavailable { reason, .. } if reason == "no connection"));
}

#[rstest]
#[case::no_json(200, "<html>welcome</html>".into())]
#[case::nothing(200, String::new())]
#[case::other_json(200, "[1]".into())]
#[case::a_part_is_missing(200, r#"{"public_id": "a", "version": 1, "bytes": 1}"#.into())]
#[case::a_wrong_type(200, r#"{"public_id": "a", "version": "x", "bytes": 1, "secure_url": "https://a/b"}"#.into())]
#[case::no_web_address(200, r#"{"public_id": "a", "version": 1, "bytes": 1, "secure_url": "javascript:alert(1)"}"#.into())]
#[case::huge(200, "x".repeat(8 << 20))]
#[case::huge_json(200, " ".repeat(80_000) + r#"{"public_id": "a", "version": 1, "bytes": 1, "secure_url": "https://a/b"}"#)]
#[case::not_modified(304, String::new())]
#[tokio::test]
async fn nonsense_is_broken_and_not_asked_for_again(#[case] status: u16, #[case] body: String) {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_until_cleared(Fault::answer(status, body));
    let error = client(&fake).upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Broken { .. }), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_signed_request_follows_nobody() {
    let fake = FakeCloudinary::start().unwrap();
    let elsewhere = format!("{}/v1_1/{}/image/upload", fake.url(), FakeCloudinary::CLOUD_NAME);
    fake.fault_next(1, Fault::header(302, "location", &elsewhere));
    let error = client(&fake).upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(error, CloudinaryError::Broken { .. }));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn an_unknown_result_of_a_removal_is_broken() {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_next(1, Fault::answer(200, r#"{"result": "perhaps"}"#));
    assert!(matches!(client(&fake).destroy("a").await, Err(CloudinaryError::Broken { .. })));
}

#[tokio::test]
async fn a_huge_failure_is_still_that_failure() {
    let fake = FakeCloudinary::start().unwrap();
    fake.fault_next(1, Fault::answer(403, "x".repeat(8 << 20)));
    let error = client(&fake).upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(matches!(&error, CloudinaryError::Refused { status: 403, message } if message == "Forbidden"));
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.max_concurrent_requests = 1;
    let cloudinary = Cloudinary::new(config).unwrap();
    let stall = Duration::from_millis(50);
    fake.fault_until_cleared(Fault::stall(stall));
    let cloudinary = Arc::new(cloudinary);
    let uploads = ["a", "b", "c"].map(|id| {
        let cloudinary = Arc::clone(&cloudinary);
        tokio::spawn(async move { cloudinary.upload(id, jpeg(b"a")).await })
    });
    for upload in uploads {
        upload.await.unwrap().unwrap();
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.windows(2).all(|pair| pair[1].at.duration_since(pair[0].at) >= stall));
}
