//! A browser on the operator's machine reaches a service without keys too: pages of other sites change nothing there.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority};

use super::Problem;

/// Says what kind of page a request comes from; only a browser sends it, and no page can write it.
const FETCH_SITE: &str = "sec-fetch-site";

/// Refuses a request that would change something and that a page of another site sent. Such a page needs no key where
/// nobody does, and a browser asks no leave for a plain POST.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() || !is_foreign(uri, headers) {
        return Ok(());
    }
    let detail =
        "a service without a key changes nothing for pages of other sites: set TAJA_API_KEY, and show it";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin_foreign", detail))
}

fn is_foreign(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(FETCH_SITE).is_some_and(|site| site.eq_ignore_ascii_case("cross-site")) {
        return true;
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return false };
    let host = uri.authority().map(Authority::as_str).or_else(|| text(header::HOST.as_str()));
    let same = origin
        .strip_prefix("http://")
        .filter(|page| host.is_some_and(|host| host.eq_ignore_ascii_case(page)));
    // A name that somebody else gave this machine's address is the same for the browser, but not ours.
    !same.is_some_and(is_loopback)
}

/// Whether a host, with or without its port, is this machine by a name that nobody else can give.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, text)| {
            (header::HeaderName::from_static(name), text.parse().expect("is a header's value"))
        });
        check(method, &Uri::from_static("/jobs"), &headers.collect()).is_ok()
    }

    #[rstest]
    #[case::no_browser(&[("host", "127.0.0.1:8000")], true)]
    #[case::our_page(&[("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:8000")], true)]
    #[case::our_page_by_name(&[("host", "LocalHost:8000"), ("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin")], true)]
    #[case::our_page_by_long_address(&[("host", "[::1]:8000"), ("origin", "http://[::1]:8000")], true)]
    #[case::typed_by_a_person(&[("host", "localhost"), ("sec-fetch-site", "none")], true)]
    #[case::another_site(&[("host", "127.0.0.1:8000"), ("origin", "https://shop.example")], false)]
    #[case::another_port(&[("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:3000")], false)]
    #[case::another_name(&[("host", "127.0.0.1:8000"), ("origin", "http://localhost:8000")], false)]
    #[case::another_scheme(&[("host", "127.0.0.1:8000"), ("origin", "https://127.0.0.1:8000")], false)]
    #[case::hidden(&[("host", "127.0.0.1:8000"), ("origin", "null")], false)]
    #[case::without_origin(&[("host", "127.0.0.1:8000"), ("sec-fetch-site", "cross-site")], false)]
    #[case::rebound(&[("host", "shop.example:8000"), ("origin", "http://shop.example:8000"), ("sec-fetch-site", "same-origin")], false)]
    #[case::unreadable(&[("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:8000\u{e9}")], false)]
    #[case::without_host(&[("origin", "http://127.0.0.1:8000")], false)]
    fn only_our_own_pages_change_anything(#[case] headers: &[(&'static str, &str)], #[case] welcome: bool) {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(answer(&method, headers), welcome, "{method}");
        }
        assert!(answer(&Method::GET, headers), "what changes nothing is answered");
    }
}
