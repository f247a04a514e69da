//! CLIP ViT-B/32 at its full size, in files as `models/export.py` writes them. The weights are random, but the same on
//! every machine: what they say means nothing, and is what the reference says.

use taja_clip::Clip;

use crate::support::{Golden, config_of, installed};

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_vit_b_32_gives_the_vectors_of_the_reference() {
    let folder = installed("TAJA_TEST_B32", ".tools/models/random-vit-b-32", "b32");
    let clip = Clip::start(config_of(&folder)).unwrap();
    let expected = Golden::of(&clip, "random-vit-b-32.json").expected;
    assert!(expected.pictures.len() >= 7 && expected.texts.len() >= 5);
    assert!(expected.closest() < 0.99, "two inputs are as alike as {}", expected.closest());
    expected.is_what(&clip).await;
}
