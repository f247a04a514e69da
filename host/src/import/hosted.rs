//! Pictures of a file that this service hosts itself, as its own exports name them: they are read from where they lie, since
//! asking for them would be to call this very machine, which no address in a file may.

use bytes::Bytes;
use reqwest::Url;
use taja_catalog::{Failure, ImageHash};

use crate::{image_folder::ImageFolder, outbound::MAX_URL_BYTES};

/// The pictures that this service hosts, and where it says they are.
pub struct Hosted {
    /// What their addresses begin with; a hash follows.
    base: Url,
    folder: ImageFolder,
}

impl Hosted {
    /// Those of a folder, whose addresses begin with `base` and `/images/`; nothing if that is no address.
    pub fn new(base: &str, folder: ImageFolder) -> Option<Self> {
        Some(Self { base: images_at(base)?, folder })
    }

    /// The picture of an address, as anybody is shown it there; nothing if it is an address of somebody else.
    pub async fn read(&self, address: &str) -> Result<Option<Bytes>, Failure> {
        let Some(named) = named(&self.base, address) else { return Ok(None) };
        let read = self.folder.read(&named?).await;
        let read = read.map_err(|error| Failure::host("image_unreadable", error.to_string()))?;
        let gone =
            || Failure::client("image_unfetchable", "names a picture that is not hosted here (any more)");
        read.map(|jpeg| Some(jpeg.into())).ok_or_else(gone)
    }
}

fn images_at(base: &str) -> Option<Url> {
    format!("{base}/images/").parse().ok()
}

/// Which picture an address names that lies where this service's own do: written plainly, or it is refused. Nothing if it
/// lies elsewhere.
fn named(base: &Url, address: &str) -> Option<Result<ImageHash, Failure>> {
    if address.len() > MAX_URL_BYTES {
        return None;
    }
    let url: Url = address.parse().ok()?;
    if url.origin() != base.origin() {
        return None;
    }
    let hash = url.path().strip_prefix(base.path())?.parse().ok();
    // Scheme, host and port, then this very path: no user, no way around, nothing after it.
    let authority = address.strip_suffix(url.path()).and_then(|before| before.split_once("://"));
    let is_plain = authority.is_some_and(|(_, authority)| !authority.contains(['/', '\\', '@', '?', '#']));
    let refused =
        || Failure::client("image_address_invalid", "is no address of a picture that is hosted here");
    Some(hash.filter(|_| is_plain).ok_or_else(refused))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The address of the picture `x`, with this before and this after its hash.
    fn address(before: &str, after: &str) -> String {
        format!("{before}{}{after}", ImageHash::of(b"x"))
    }

    fn judged(base: &str, address: &str) -> Option<Result<ImageHash, String>> {
        let named = named(&images_at(base).unwrap(), address)?;
        Some(named.map_err(|failure| failure.code))
    }

    #[rstest]
    #[case("http://127.0.0.1:8000", "http://127.0.0.1:8000/images/")]
    #[case("http://127.0.0.1:80", "http://127.0.0.1:80/images/")]
    #[case("http://127.0.0.1:80", "http://127.0.0.1/images/")]
    #[case("http://[::1]:8000", "http://[::1]:8000/images/")]
    #[case("https://Shop.example/media", "https://Shop.example/media/images/")]
    #[case("https://shop.example/media", "https://SHOP.example:443/media/images/")]
    fn what_is_hosted_here_is_known_by_its_address(#[case] base: &str, #[case] before: &str) {
        assert_eq!(judged(base, &address(before, "")), Some(Ok(ImageHash::of(b"x"))));
    }

    #[rstest]
    #[case("http://127.0.0.1:8001/images/", "")]
    #[case("https://127.0.0.1:8000/images/", "")]
    #[case("http://127.0.0.2:8000/images/", "")]
    #[case("http://[::ffff:127.0.0.1]:8000/images/", "")]
    #[case("http://127.0.0.1:8000@10.0.0.1/images/", "")]
    #[case("http://127.0.0.1:8000.shop.example/images/", "")]
    #[case("http://10.0.0.1/#http://127.0.0.1:8000/images/", "")]
    #[case("http://127.0.0.1:8000/", "")]
    #[case("http://127.0.0.1:8000/plugins?/images/", "")]
    #[case("http://127.0.0.1:8000/images%2f", "")]
    #[case("http://127.0.0.1:8000/images/../", "")]
    #[case("http://127.0.0.1:8000/Images/", "")]
    #[case("/images/", "")]
    #[case("127.0.0.1:8000/images/", "")]
    fn what_lies_elsewhere_is_left_to_whoever_guards_that(#[case] before: &str, #[case] after: &str) {
        assert_eq!(judged("http://127.0.0.1:8000", &address(before, after)), None);
    }

    #[rstest]
    #[case("http://user@127.0.0.1:8000/images/", "")]
    #[case("http://:word@127.0.0.1:8000/images/", "")]
    #[case("http://127.0.0.1:8000/x/../images/", "")]
    #[case("http://127.0.0.1:8000/x/%2e%2E/images/", "")]
    #[case("http://127.0.0.1:8000\\images\\", "")]
    #[case("http://127.0.0.1:8000/images/..%2f", "")]
    #[case("http://127.0.0.1:8000/images/%2e%2e%2fimages/", "")]
    #[case("http://127.0.0.1:8000/images//", "")]
    #[case("http://127.0.0.1:8000/images/\t", "")]
    #[case("http://127.0.0.1:8000/images/", "/")]
    #[case("http://127.0.0.1:8000/images/", "%00")]
    #[case("http://127.0.0.1:8000/images/", "?size=1")]
    #[case("http://127.0.0.1:8000/images/", "#top")]
    #[case("http://127.0.0.1:8000/images/", "0")]
    fn what_is_not_written_plainly_is_refused(#[case] before: &str, #[case] after: &str) {
        let refused = Some(Err("image_address_invalid".to_owned()));
        assert_eq!(judged("http://127.0.0.1:8000", &address(before, after)), refused);
    }
}
