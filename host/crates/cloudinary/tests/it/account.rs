//! Who we are, and where we may say so.

use rstest::rstest;
use taja_cloudinary::{
    Cloudinary, CloudinaryConfig, CloudinaryError, Credentials, CredentialsError, SetupError,
};
use taja_testkit::{FakeCloudinary, cloudinary::Fault};

use crate::{client, config, jpeg, url};

fn credentials() -> Credentials {
    Credentials::new("demo", "123", "s3cr3t-Value").unwrap()
}

#[rstest]
#[case::plain("cloudinary://123:s3cr3t-Value@demo")]
#[case::with_spaces_around(" cloudinary://123:s3cr3t-Value@demo\n")]
#[case::with_options("cloudinary://123:s3cr3t-Value@demo?secure=true&analytics=false")]
#[case::encoded("cloudinary://12%33:s3cr3t%2DValue@demo")]
fn good_addresses_are_read(#[case] value: &str) {
    assert_eq!(value.parse(), Ok(credentials()));
}

#[rstest]
#[case::nothing("", CredentialsError::Form)]
#[case::other_scheme("https://123:secret@demo", CredentialsError::Form)]
#[case::no_cloud("cloudinary://123:secret", CredentialsError::Form)]
#[case::no_secret("cloudinary://123@demo", CredentialsError::Form)]
#[case::not_unicode("cloudinary://123:%ff@demo", CredentialsError::Form)]
#[case::empty_key("cloudinary://:secret@demo", CredentialsError::Part("API key"))]
#[case::empty_secret("cloudinary://123:@demo", CredentialsError::Part("API secret"))]
#[case::a_space("cloudinary://123:sec ret@demo", CredentialsError::Part("API secret"))]
#[case::a_line("cloudinary://123:sec%0Aret@demo", CredentialsError::Part("API secret"))]
#[case::key_with_colon("cloudinary://1%3A2:secret@demo", CredentialsError::Part("API key"))]
#[case::empty_cloud("cloudinary://123:secret@", CredentialsError::Part("cloud name"))]
#[case::placeholder("cloudinary://<key>:<secret>@<cloud>", CredentialsError::Part("cloud name"))]
#[case::a_path("cloudinary://123:secret@demo/cdn.example.com", CredentialsError::Part("cloud name"))]
#[case::elsewhere(
    "cloudinary://123:secret@demo?secure=true&upload_prefix=https://api-eu.cloudinary.com",
    CredentialsError::Option("upload_prefix")
)]
fn bad_addresses_say_what_is_wrong_and_nothing_secret(#[case] value: &str, #[case] error: CredentialsError) {
    assert_eq!(value.parse::<Credentials>(), Err(error));
    assert!(!error.to_string().contains("secret@"));
}

#[test]
fn nothing_shows_the_secret() {
    let cloudinary = Cloudinary::new(CloudinaryConfig::new(credentials())).unwrap();
    assert!(!format!("{cloudinary:?} {:?}", credentials()).contains("s3cr3t"));
}

#[rstest]
#[case::in_the_clear("http://api.example.com", false)]
#[case::like_this_machine("http://localhost.example.com", false)]
#[case::no_web_address("mailto:someone", false)]
#[case::with_a_query("https://api.example.com/?a=b", false)]
#[case::this_machine("http://localhost:8080", true)]
#[case::this_machine_v6("http://[::1]:8080", true)]
#[case::safe("https://api-eu.example.com/prefix/", true)]
fn the_secret_travels_safely_or_not_at_all(#[case] base: &str, #[case] fits: bool) {
    let mut config = CloudinaryConfig::new(credentials());
    config.upload_base = url(base);
    let made = Cloudinary::new(config);
    assert_eq!(made.is_ok(), fits);
    assert!(!matches!(made, Err(SetupError::Client(_))));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_not_tried_again() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.credentials =
        Credentials::new(FakeCloudinary::CLOUD_NAME, FakeCloudinary::API_KEY, "wrong").unwrap();
    let cloudinary = Cloudinary::new(config).unwrap();
    let error = cloudinary.upload("a", jpeg(b"a")).await.unwrap_err();
    assert!(
        matches!(&error, CloudinaryError::Refused { status: 401, message } if message.contains("Signature"))
    );
    assert!(matches!(cloudinary.destroy("a").await, Err(CloudinaryError::Refused { .. })));
    assert!(matches!(cloudinary.ping().await, Err(CloudinaryError::Refused { .. })));
    assert_eq!(fake.requests().len(), 3);
    assert!(fake.assets().is_empty());
}

#[tokio::test]
async fn ping_tells_whether_it_answers() {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.ping_timeout = std::time::Duration::from_millis(100);
    let cloudinary = Cloudinary::new(config).unwrap();
    cloudinary.ping().await.unwrap();
    fake.fault_next(1, Fault::silence());
    assert!(matches!(cloudinary.ping().await, Err(CloudinaryError::Unavailable { .. })));
    fake.fault_next(1, Fault::status(500));
    assert!(matches!(cloudinary.ping().await, Err(CloudinaryError::Unavailable { .. })));
    assert_eq!(fake.requests().len(), 3, "the one who asks decides whether to ask again");
    client(&fake).ping().await.unwrap();
}
