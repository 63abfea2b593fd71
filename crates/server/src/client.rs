//! Whose request it is (LG-07): the peer of the socket, or, when that is a trusted proxy, whom the proxy names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether an address is in a list of networks.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The client's address: the rightmost one that no trusted proxy vouches for being its own. What stands further left was
/// written by whoever is not trusted.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in value.as_bytes().rsplit(|byte| *byte == b',') {
            // Behind an entry that cannot be read nothing can be told.
            let Some(address) = parse(hop) else { return client };
            client = address;
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

/// Whether the client spoke TLS to a trusted proxy.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get_all(X_FORWARDED_PROTO).iter().next_back().is_some_and(|value| {
        let last = value.as_bytes().rsplit(|byte| *byte == b',').next();
        last.is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(b"https"))
    })
}

/// Whether a peer that is not trusted looks like a proxy that should be: it is on a private network and names others.
pub(crate) fn looks_like_a_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    is_private(peer.to_canonical()) && headers.contains_key(X_FORWARDED_FOR)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// An address, perhaps with a port: `203.0.113.7`, `203.0.113.7:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(value));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    // LG-07
    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("203.0.113.7", &["198.51.100.1"], &[]), "203.0.113.7");
        assert_eq!(client("203.0.113.7", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.7");
        assert_eq!(client("10.0.0.2", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(client("10.0.0.2", &[], &["10.0.0.0/8"]), "10.0.0.2");
    }

    // LG-07
    #[test]
    fn what_a_client_wrote_itself_is_not_believed() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client("10.0.0.2", &["1.1.1.1, 198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.2", &["1.1.1.1", "198.51.100.1, 10.0.0.9"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.2", &["10.1.1.1, 10.0.0.9"], &trusted), "10.1.1.1");
        assert_eq!(client("10.0.0.2", &["1.1.1.1, unknown, 10.0.0.9"], &trusted), "10.0.0.9");
        assert_eq!(client("10.0.0.2", &["1.1.1.1, "], &trusted), "10.0.0.2");
        assert_eq!(client("fd00::1", &["[2001:db8::7]:4711"], &trusted), "2001:db8::7");
        assert_eq!(client("10.0.0.2", &["198.51.100.1:80"], &trusted), "198.51.100.1");
    }

    #[test]
    fn mapped_addresses_are_version_4() {
        assert_eq!(client("::ffff:203.0.113.7", &[], &[]), "203.0.113.7");
        assert_eq!(client("::ffff:10.0.0.2", &["::ffff:198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
    }

    #[test]
    fn proxies_on_private_networks_are_noticed() {
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"))]);
        for peer in
            ["10.0.0.2", "172.17.0.2", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.2"]
        {
            let peer = peer.parse().expect("an address");
            assert!(looks_like_a_proxy(peer, &headers), "{peer}");
            assert!(!looks_like_a_proxy(peer, &HeaderMap::new()), "{peer}");
        }
        assert!(!looks_like_a_proxy("203.0.113.7".parse().expect("an address"), &headers));
    }

    #[test]
    fn the_proxy_next_to_us_tells_the_protocol() {
        let https =
            |value| is_https(&HeaderMap::from_iter([(X_FORWARDED_PROTO, HeaderValue::from_static(value))]));
        assert!(https("https"));
        assert!(https("http, HTTPS"));
        assert!(!https("https, http"));
        assert!(!is_https(&HeaderMap::new()));
    }
}
