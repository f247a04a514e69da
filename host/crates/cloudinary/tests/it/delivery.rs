//! Addresses lead to the picture, as it was uploaded and as a variant.

use rstest::rstest;
use taja_cloudinary::{
    Cloudinary, Transformation, Variant,
    transformation::{ResizeMode, Transformations},
};
use taja_testkit::FakeCloudinary;

use crate::{client, config, fetch, jpeg};

#[rstest]
#[case::plain("ab12")]
#[case::in_a_folder("shop/ab12")]
#[case::like_a_step_and_a_version("w_100/v2/ab12")]
#[case::with_dots("a.b.c")]
#[case::needing_code("größe, 1/照片")]
#[tokio::test]
async fn each_address_leads_to_the_picture(#[case] public_id: &str) {
    let fake = FakeCloudinary::start().unwrap();
    let mut config = config(&fake);
    config.folder = "taja".into();
    let cloudinary = Cloudinary::new(config).unwrap();
    let hosted = cloudinary.upload(public_id, jpeg(b"picture")).await.unwrap();
    let half = Transformations::Resize(ResizeMode::ScaleByWidth { width: 100, ar: None, liquid: None });
    let addresses = [
        cloudinary.variant_url(&hosted.url, Variant::Thumbnail).unwrap(),
        cloudinary.variant_url(&hosted.url, Variant::Card).unwrap(),
        cloudinary.delivery_url(public_id, &Transformation::default()),
        cloudinary.delivery_url(public_id, &Transformation::default().then(&half).optimised()),
    ];
    for address in addresses {
        assert_eq!(fetch(&address).await, jpeg(b"picture"), "{address}");
    }
}

#[tokio::test]
async fn a_variant_of_a_variant_is_that_variant() {
    let fake = FakeCloudinary::start().unwrap();
    let cloudinary = client(&fake);
    let hosted = cloudinary.upload("ab12", jpeg(b"picture")).await.unwrap();
    let card = cloudinary.variant_url(&hosted.url, Variant::Card).unwrap();
    let thumbnail = cloudinary.variant_url(&card, Variant::Thumbnail);
    assert_eq!(thumbnail, cloudinary.variant_url(&hosted.url, Variant::Thumbnail));
    assert_ne!(thumbnail, Some(card));
}
