//! Names of this machine. In the development mode no others are answered to: a page of a hostile site could point its own
//! name at 127.0.0.1 (DNS rebinding) and would then be of the same origin as we.

use std::net::Ipv4Addr;

use http::{Request, header::HOST};

/// Whether a request names this machine, in its target and its Host header. Without any name (HTTP/1.0) no browser asks.
pub(crate) fn is_loopback<B>(request: &Request<B>) -> bool {
    let target = request.uri().authority().is_none_or(|authority| is_loopback_name(authority.as_str()));
    target && request.headers().get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_loopback_name))
}

fn is_loopback_name(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(v6, port)| v6 == "::1" && is_port(port));
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let known = name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    known && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_this_machine() {
        for name in [
            "localhost",
            "LOCALHOST:8000",
            "shop.localhost",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]:8000",
            "localhost.",
        ] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "localhost:80@evil.example",
            "[::2]",
            "[::1].evil.example",
            "128.0.0.1",
            "0.0.0.0",
            "2130706433",
        ] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }

    #[test]
    fn target_and_header_must_both_be_ours() {
        let ask = |uri: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(uri), |request, host| request.header(HOST, *host));
            is_loopback(&request.body(()).expect("a request"))
        };
        assert!(ask("/", &["localhost"]));
        assert!(ask("/", &[]));
        assert!(!ask("/", &["evil.example"]));
        assert!(!ask("/", &["localhost", "evil.example"]));
        assert!(!ask("http://evil.example/", &["localhost"]));
        assert!(!ask("http://localhost/", &["evil.example"]));
    }
}
