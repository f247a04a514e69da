//! The addresses that pictures are delivered at, as they were uploaded or made smaller on the way.

use std::fmt;

use cloudinary::transformation::{CropMode, Transformations, gravity::Gravity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::config::{SetupError, below};

const THUMBNAIL_PIXELS: u32 = 200;
const CARD_PIXELS: u32 = 800;
/// The format and the quality that suit the browser that asks.
const OPTIMISED: &str = "f_auto,q_auto";
/// What a public id shows as itself in an address, besides letters and digits.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/').remove(b':');

/// What Cloudinary does to a picture on its way out: steps, in order. None leaves it as it was uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transformation(Vec<String>);

impl Transformation {
    /// Then this step.
    #[must_use]
    pub fn then(mut self, step: &Transformations) -> Self {
        self.0.push(step.to_string());
        self
    }

    /// Then made to fit this many pixels, and never enlarged.
    #[must_use]
    pub fn limited(mut self, width: u32, height: u32) -> Self {
        self.0.push(format!("c_limit,w_{width},h_{height}"));
        self
    }

    /// Then in the format and the quality that suit the browser that asks.
    #[must_use]
    pub fn optimised(mut self) -> Self {
        self.0.push(OPTIMISED.into());
        self
    }
}

/// The steps as they stand in an address, each with the slash that ends it.
impl fmt::Display for Transformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "{step}/"))
    }
}

/// The sizes that clients show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// 200 x 200 pixels, filled with what the eye goes to.
    Thumbnail,
    /// The whole picture, at most 800 x 800 pixels.
    Card,
}

impl Variant {
    /// How it is made.
    #[must_use]
    pub fn transformation(self) -> Transformation {
        let sized = match self {
            Self::Thumbnail => {
                let gravity = Some(Gravity::AutoSubject);
                let fill = CropMode::Fill { width: THUMBNAIL_PIXELS, height: THUMBNAIL_PIXELS, gravity };
                Transformation::default().then(&Transformations::Crop(fill))
            }
            Self::Card => Transformation::default().limited(CARD_PIXELS, CARD_PIXELS),
        };
        sized.optimised()
    }
}

/// Where one cloud's pictures are served.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// `{base}/{cloud}/image/upload/`.
    prefix: String,
}

impl Delivery {
    pub(crate) fn new(base: &Url, cloud_name: &str) -> Result<Self, SetupError> {
        let prefix = below(base, [cloud_name, "image", "upload", ""])?;
        Ok(Self { prefix: prefix.into() })
    }

    /// The address of a JPEG. The version is there so that no folder of the public id reads as a step.
    pub(crate) fn url(&self, public_id: &str, transformation: &Transformation) -> String {
        format!("{}{transformation}v1/{}.jpg", self.prefix, utf8_percent_encode(public_id, ENCODED))
    }

    /// An address of this cloud's, parsed; none for any other.
    pub(crate) fn own(&self, url: &str) -> Option<Url> {
        // Parsing folds `..` away, so the prefix is what it seems.
        Url::parse(url).ok().filter(|url| url.as_str().starts_with(&self.prefix))
    }

    /// The same picture as a variant; none for an address that is not ours to rewrite.
    pub(crate) fn variant(&self, url: &str, variant: Variant) -> Option<String> {
        let url = self.own(url)?;
        let mut rest = url.as_str().strip_prefix(&self.prefix)?;
        while !starts_with_version(rest) {
            let (step, after) = rest.split_once('/')?;
            // A signed address holds for its own steps only.
            if step.starts_with("s--") {
                return None;
            }
            rest = after;
        }
        Some(format!("{}{}{rest}", self.prefix, variant.transformation()))
    }
}

fn starts_with_version(path: &str) -> bool {
    let version = path.split_once('/').and_then(|(segment, _)| segment.strip_prefix('v'));
    version.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn delivery() -> Delivery {
        Delivery::new(&Url::parse("https://res.cloudinary.com").unwrap(), "demo").unwrap()
    }

    #[rstest]
    #[case::plain("shop/ab12", "https://res.cloudinary.com/demo/image/upload/v1/shop/ab12.jpg")]
    #[case::like_a_step("w_1/v2/x", "https://res.cloudinary.com/demo/image/upload/v1/w_1/v2/x.jpg")]
    #[case::encoded(
        "größe 1,5?#%/é",
        "https://res.cloudinary.com/demo/image/upload/v1/gr%C3%B6%C3%9Fe%201%2C5%3F%23%25/%C3%A9.jpg"
    )]
    fn a_public_id_has_one_address(#[case] public_id: &str, #[case] url: &str) {
        assert_eq!(delivery().url(public_id, &Transformation::default()), url);
    }

    #[test]
    fn variants_say_how_they_are_made() {
        let thumbnail = "c_fill,g_auto:subject,w_200,h_200/f_auto,q_auto/";
        assert_eq!(Variant::Thumbnail.transformation().to_string(), thumbnail);
        assert_eq!(Variant::Card.transformation().to_string(), "c_limit,w_800,h_800/f_auto,q_auto/");
    }

    #[rstest]
    #[case::original("v17/shop/ab.jpg", "v17/shop/ab.jpg")]
    #[case::a_variant("c_fill,w_1/f_auto/v17/ab.jpg", "v17/ab.jpg")]
    #[case::kept_query("v17/ab.jpg?_a=X", "v17/ab.jpg?_a=X")]
    #[case::encoded("v17/gr%C3%B6.jpg", "v17/gr%C3%B6.jpg")]
    fn our_addresses_become_variants(#[case] path: &str, #[case] kept: &str) {
        let prefix = "https://res.cloudinary.com/demo/image/upload/";
        let variant = delivery().variant(&format!("{prefix}{path}"), Variant::Card);
        assert_eq!(variant.unwrap(), format!("{prefix}c_limit,w_800,h_800/f_auto,q_auto/{kept}"));
    }

    #[rstest]
    #[case::no_address("v17/ab.jpg")]
    #[case::embedded("/images/ab")]
    #[case::other_cloud("https://res.cloudinary.com/other/image/upload/v1/a.jpg")]
    #[case::other_host("https://res.cloudinary.com.example/demo/image/upload/v1/a.jpg")]
    #[case::other_scheme("http://res.cloudinary.com/demo/image/upload/v1/a.jpg")]
    #[case::other_port("https://res.cloudinary.com:8443/demo/image/upload/v1/a.jpg")]
    #[case::with_a_user("https://me@res.cloudinary.com/demo/image/upload/v1/a.jpg")]
    #[case::climbing("https://res.cloudinary.com/demo/image/upload/../../../other/image/upload/v1/a.jpg")]
    #[case::climbing_encoded("https://res.cloudinary.com/demo/image/upload/%2e%2e/%2e%2e/v1/a.jpg")]
    #[case::fetched("https://res.cloudinary.com/demo/image/fetch/v1/https://example.com/a.jpg")]
    #[case::signed("https://res.cloudinary.com/demo/image/upload/s--abcdefgh--/w_1/v1/a.jpg")]
    #[case::unversioned("https://res.cloudinary.com/demo/image/upload/a.jpg")]
    fn no_other_address_is_touched(#[case] url: &str) {
        assert_eq!(delivery().variant(url, Variant::Thumbnail), None);
    }
}
