//! LG-07: whose request it is.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::json;
use server::ServerSettings;
use service::settings::Settings;
use testkit::app::TestApp;

/// Registrations that an address may make at once, at most; the rate itself is the service's.
const PLENTY: usize = 300;

async fn service() -> TestApp {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    TestApp::with(Settings::default(), ServerSettings { trusted_proxies, ..ServerSettings::default() }).await
}

/// Asks until it is throttled; each time with other headers. Faulty requests count as well.
async fn is_throttled(
    service: &mut TestApp,
    peer: impl Fn(usize) -> IpAddr,
    forwarded: impl Fn(usize) -> String,
) -> bool {
    for number in 0..PLENTY {
        service.peer = peer(number);
        let address = forwarded(number);
        let headers = [
            ("content-type", "application/json"),
            ("x-forwarded-for", address.as_str()),
            ("forwarded", &format!("for={address}")),
            ("x-real-ip", &address),
            ("x_forwarded_for", &address),
        ];
        let body = json!({"username": ""}).to_string();
        let answer = service.send("POST", "/register/", &headers, body.as_bytes()).await;
        match answer.status {
            400 => {}
            429 => {
                let seconds = answer.header("retry-after").expect("how long to wait").to_owned();
                let unit = if seconds == "1" { "second" } else { "seconds" };
                let words = format!("Request was throttled. Expected available in {seconds} {unit}.");
                assert_eq!(answer.member("detail"), words);
                return true;
            }
            _ => panic!("{answer:?}"),
        }
    }
    false
}

fn v4(number: usize) -> String {
    format!("198.51.{}.{}", number / 250, number % 250 + 1)
}

// LG-07
#[tokio::test]
async fn an_untrusted_peer_cannot_choose_its_address() {
    let mut service = service().await;
    assert!(is_throttled(&mut service, |_| "203.0.113.7".parse().unwrap(), v4).await);
}

// LG-07
#[tokio::test]
async fn a_client_behind_a_proxy_cannot_choose_its_address() {
    let mut service = service().await;
    let forwarded = |number| format!("{}, 203.0.113.7, 10.0.0.9", v4(number));
    assert!(is_throttled(&mut service, |_| "10.0.0.1".parse().unwrap(), forwarded).await);
}

// LG-07
#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let mut service = service().await;
    assert!(!is_throttled(&mut service, |_| "10.0.0.1".parse().unwrap(), v4).await);
}

// LG-07
#[tokio::test]
async fn addresses_of_one_ipv6_network_are_one() {
    let mut service = service().await;
    let in_one = |number: usize| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, number as u16, 1));
    assert!(is_throttled(&mut service, in_one, |_| String::new()).await);
    let in_many = |number: usize| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, number as u16, 0, 0, 0, 1));
    assert!(!is_throttled(&mut service, in_many, |_| String::new()).await);
}
