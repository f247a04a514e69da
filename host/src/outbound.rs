//! Calling addresses that clients name: which of them may be called, and a client of HTTP that calls no other.
//!
//! Looking a name up and then connecting to it would be two look-ups, and the second may answer otherwise. So the check
//! sits in the resolver of the client that connects: what it lets through is what is connected to.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

/// Longest address, bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// Longest way to a connection, looking the name up included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which addresses may be called: public ones, and those of networks that the operator allows besides.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
}

/// An address that must not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address, and the operator allows no other")]
pub struct Forbidden(String);

impl Guard {
    /// One that lets these networks be called beside public addresses.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Reads an address, and refuses what can be told without looking its name up. The reason completes a sentence that
    /// begins with the field.
    pub fn read(&self, text: &str) -> Result<Url, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("is longer than {MAX_URL_BYTES} bytes"));
        }
        let url: Url = text.parse().map_err(|error| format!("is not an address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("does not begin with http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("names a user or a password".to_owned());
        }
        self.check(&url).map_err(|forbidden| format!("is refused: {forbidden}"))?;
        Ok(url)
    }

    /// Reads the address of an optional field, as it is kept; an empty one names none. The reason is one of [`Guard::read`].
    pub fn read_optional(&self, text: Option<&str>) -> Result<Option<String>, String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| self.read(text).map(String::from)).transpose()
    }

    /// Refuses an address that is written in figures and must not be called; no resolver would ever see it.
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        let ip: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
        match ip {
            Ok(ip) if !self.lets(ip) => Err(Forbidden(ip.to_string())),
            _ => Ok(()),
        }
    }

    /// A client that connects to nothing else, follows no redirect, knows no proxy, and gives up after `timeout`.
    pub fn client(&self, timeout: Duration) -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .dns_resolver(self.clone())
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .user_agent(concat!("taja/", env!("CARGO_PKG_VERSION")))
            .build()
    }

    fn lets(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || self.allowed.iter().any(|network| network.contains(&ip))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (let_through, refused): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| guard.lets(address.ip()));
            match refused.first() {
                Some(address) if let_through.is_empty() => {
                    let what = format!("{}, at {},", name.as_str(), address.ip());
                    Err(Forbidden(what).into())
                }
                _ => Ok(Box::new(let_through.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether a request failed because of an address that must not be called.
pub fn forbidden(error: &reqwest::Error) -> Option<&Forbidden> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref() {
            return Some(forbidden);
        }
        source = cause.source();
    }
    None
}

/// Whether an address is one of the open internet, by IANA's registries of special addresses. What carries an address of
/// the other family inside itself is judged by that one.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _) // behind a carrier's translation
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., _, _) // to many, reserved, to all
    );
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Translation between the families, of which only the well-known prefix leads to the open internet.
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && v4(g, h),
        (0x2002, _) => v4(b, c),
        // Teredo and others that stand for something else; examples in documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // What is handed out as of today; all else is of a link, of a site, or of nobody yet.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://example.com/hook?a=1", true)]
    #[case("https://93.184.216.34:8443/", true)]
    #[case("https://[2606:2800:220:1::1]/", true)]
    #[case("http://[64:ff9b::5db8:d822]/", true)]
    #[case("http://127.0.0.1/", false)]
    #[case("http://127.1/", false)]
    #[case("http://0x7f000001/", false)]
    #[case("http://2130706433/", false)]
    #[case("http://0.0.0.0/", false)]
    #[case("http://10.1.2.3/", false)]
    #[case("http://100.64.0.1/", false)]
    #[case("http://169.254.169.254/latest/meta-data", false)]
    #[case("http://172.31.255.255/", false)]
    #[case("http://192.168.0.1/", false)]
    #[case("http://224.0.0.1/", false)]
    #[case("http://255.255.255.255/", false)]
    #[case("http://[::1]/", false)]
    #[case("http://[::]/", false)]
    #[case("http://[::ffff:127.0.0.1]/", false)]
    #[case("http://[::ffff:10.0.0.1]/", false)]
    #[case("http://[::127.0.0.1]/", false)]
    #[case("http://[64:ff9b::7f00:1]/", false)]
    #[case("http://[64:ff9b:1::1]/", false)]
    #[case("http://[2002:7f00:1::]/", false)]
    #[case("http://[2001:0:1:2:3:4:5:6]/", false)]
    #[case("http://[fe80::1]/", false)]
    #[case("http://[fc00::1]/", false)]
    #[case("http://[fec0::1]/", false)]
    #[case("http://[ff02::1]/", false)]
    #[case("ftp://example.com/", false)]
    #[case("file:///etc/passwd", false)]
    #[case("http://user@example.com/", false)]
    #[case("http://:secret@example.com/", false)]
    #[case("/hook", false)]
    #[case("", false)]
    fn only_public_addresses_over_http_are_read(#[case] text: &str, #[case] read: bool) {
        assert_eq!(Guard::default().read(text).is_ok(), read, "{text}");
    }

    #[test]
    fn an_optional_address_is_kept_as_it_was_read_and_may_be_empty() {
        let guard = Guard::default();
        for text in [None, Some(""), Some("  ")] {
            assert_eq!(guard.read_optional(text), Ok(None), "{text:?}");
        }
        let read = guard.read_optional(Some(" https://example.com "));
        assert_eq!(read, Ok(Some("https://example.com/".to_owned())));
        assert!(guard.read_optional(Some("http://127.0.0.1/")).is_err());
    }

    #[test]
    fn the_operator_allows_networks_by_name_and_no_more() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for allowed in ["http://127.0.0.1:9/", "http://[::ffff:127.0.0.1]/", "http://[fd00::1]/"] {
            assert!(guard.read(allowed).is_ok(), "{allowed}");
        }
        assert!(guard.read("http://10.0.0.1/").is_err());
    }

    #[test]
    fn an_endless_address_is_refused() {
        assert!(Guard::default().read(&format!("http://example.com/{}", "a".repeat(3000))).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let client = Guard::default().client(Duration::from_secs(30)).unwrap();
        // The name by itself tells nothing.
        assert!(Guard::default().read(&url).is_ok());
        let error = client.get(&url).send().await.unwrap_err();
        assert!(forbidden(&error).is_some(), "{error:?}");

        let open = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let client = open.client(Duration::from_secs(30)).unwrap();
        tokio::select! {
            connected = listener.accept() => assert!(connected.is_ok()),
            answered = client.get(&url).send() => panic!("nobody was there to answer: {answered:?}"),
        }
    }
}
