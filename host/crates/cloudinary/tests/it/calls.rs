//! Uploads and removals that go well, and those that Cloudinary does not accept.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use taja_cloudinary::{Cloudinary, CloudinaryError};
use taja_testkit::FakeCloudinary;

use crate::{client, config, fetch, jpeg};

#[tokio::test]
async fn an_upload_is_served_where_the_answer_says() {
    let fake = FakeCloudinary::start().unwrap();
    let hosted = client(&fake).upload("ab12", jpeg(b"picture")).await.unwrap();
    assert_eq!((hosted.public_id.as_str(), hosted.existing), ("ab12", false));
    assert_eq!(hosted.size_bytes, jpeg(b"picture").len() as u64);
    assert_eq!(fetch(&hosted.url).await, jpeg(b"picture"));
    assert_eq!(fake.asset("ab12").unwrap().version, hosted.version);
}

#[tokio::test]
async fn a_picture_is_fetched_from_its_own_cloud_alone() {
    let fake = FakeCloudinary::start().unwrap();
    let cloudinary = client(&fake);
    let hosted = cloudinary.upload("ab12", jpeg(b"picture")).await.unwrap();
    assert_eq!(cloudinary.download(&hosted.url).await.unwrap(), Some(jpeg(b"picture")));
    cloudinary.destroy("ab12").await.unwrap();
    assert_eq!(cloudinary.download(&hosted.url).await.unwrap(), None);
    let elsewhere = FakeCloudinary::start().unwrap();
    let other = client(&elsewhere).upload("ab12", jpeg(b"picture")).await.unwrap();
    for url in [other.url.as_str(), "file:///etc/passwd", "/images/ab12", ""] {
        assert_eq!(cloudinary.download(url).await.unwrap(), None, "{url}");
    }
}

#[tokio::test]
async fn what_is_there_is_never_overwritten() {
    let fake = FakeCloudinary::start().unwrap();
    let cloudinary = client(&fake);
    let first = cloudinary.upload("ab12", jpeg(b"first")).await.unwrap();
    let second = cloudinary.upload("ab12", jpeg(b"second")).await.unwrap();
    assert!(second.existing);
    assert_eq!((second.url, second.version), (first.url, first.version));
    assert_eq!(fake.asset("ab12").unwrap().bytes, jpeg(b"first"));
    assert_eq!(fake.uploads("ab12"), 1);
}

#[tokio::test]
async fn a_removal_may_be_repeated() {
    let fake = FakeCloudinary::start().unwrap();
    let cloudinary = client(&fake);
    cloudinary.upload("a", jpeg(b"a")).await.unwrap();
    cloudinary.upload("b", jpeg(b"b")).await.unwrap();
    cloudinary.destroy("a").await.unwrap();
    cloudinary.destroy("a").await.unwrap();
    assert_eq!(fake.assets(), ["b"]);
}

#[tokio::test]
async fn values_may_hold_ampersands_and_any_script() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.folder = "läden/фото 照片/".into();
    config.tags = ["salt & pepper", "größe=ü&public_id=other&overwrite=true", "👟"].map(Into::into).into();
    let tags: BTreeSet<_> = config.tags.clone().into_iter().collect();
    let cloudinary = Cloudinary::new(config).unwrap();
    let hosted = cloudinary.upload("schön 1", jpeg(b"a")).await.unwrap();
    assert_eq!(hosted.public_id, "läden/фото 照片/schön 1");
    assert_eq!(fake.assets(), ["läden/фото 照片/schön 1"]);
    let stored = fake.asset(&hosted.public_id).unwrap().tags;
    assert_eq!(stored.split(',').map(ToOwned::to_owned).collect::<BTreeSet<_>>(), tags);
    assert_eq!(fetch(&hosted.url).await, jpeg(b"a"));
    cloudinary.destroy("schön 1").await.unwrap();
    assert!(fake.assets().is_empty());
}

#[rstest]
#[case::no_picture("a", Bytes::from_static(b"hello"), "Invalid image file")]
#[case::nothing("a", Bytes::new(), "Invalid image file")]
#[case::a_cut_picture("a", jpeg(b"x").slice(..4), "Invalid image file")]
#[case::a_bad_id("a?b", jpeg(b"x"), "public_id (a?b) is invalid")]
#[tokio::test]
async fn what_cloudinary_does_not_accept_is_not_sent_again(
    #[case] public_id: &str,
    #[case] file: Bytes,
    #[case] says: &str,
) {
    let fake = FakeCloudinary::start().unwrap();
    let error = client(&fake).upload(public_id, file).await.unwrap_err();
    assert!(
        matches!(&error, CloudinaryError::Invalid { status: 400, message } if message == says),
        "{error}"
    );
    assert_eq!(fake.requests().len(), 1);
}

// Both sides sign by the documentation, each in its own way: they must agree whatever is signed.
#[test]
fn signatures_agree_for_any_value() {
    let fake = FakeCloudinary::start().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cloudinary = client(&fake);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(id in any::<String>(), tail in "[&=%26a-c]{0,12}")| {
        let id = format!("{id}{tail}");
        prop_assume!(!id.is_empty());
        runtime.block_on(cloudinary.destroy(&id)).map_err(|error| TestCaseError::fail(error.to_string()))?;
    });
}
