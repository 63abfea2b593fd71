//! Known and unknown accounts: the same answers, to the byte, in the same time (LG-01, LG-02, RC-01).

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::clock;
use crate::http::{Connection, post_json};
use crate::measure::{micros, time_text};
use crate::report::{Bar, Row};
use crate::script::account_name;
use crate::service;
use crate::stats::Summary;

/// Mail is on, and its server away: what a request for recovery leads to goes on beside the requests that are measured.
const SETTINGS: &[(&str, &str)] = &[
    ("SMTP_HOST", "127.0.0.1"),
    ("SMTP_PORT", "9"),
    ("SMTP_TLS", "off"),
    ("MAIL_FROM", "no-reply@shop.example"),
    ("LINK_URL", "https://shop.example"),
];

/// Requests for one name: a known one and one of the same length that nobody has take turns.
type Ask = fn(&str) -> Vec<u8>;

/// Asks for known and unknown accounts in turn, one request at a time.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = service::start(bench, &bench.database("unknown").await?, SETTINGS).await?;
    let mut connection = Connection::new(server.endpoint.address, Ipv4Addr::LOCALHOST);
    let asks: [(&str, Ask); 3] = [
        ("failed login", |name| {
            post(&format!(r#"{{"username":"{name}","password":"wrong horse battery"}}"#), "/login/")
        }),
        ("request for recovery by name", |name| {
            post(&format!(r#"{{"username":"{name}"}}"#), "/password/reset/")
        }),
        ("request for recovery by address", |name| {
            post(&format!(r#"{{"email":"{name}@example.com"}}"#), "/password/reset/")
        }),
    ];
    let mut rows = Vec::new();
    for (what, ask) in asks {
        let (known, unknown) = samples(&mut connection, ask, bench.pick(300, 30)).await?;
        let name = format!("{what}: a known account against an unknown one");
        let row = Row::ratio(name, time_text(&known), time_text(&unknown), apart(&known, &unknown));
        rows.push(row.with_bar(Bar::AtMost(1.05)));
    }
    server.stop().await?;
    Ok(rows)
}

fn post(body: &str, path: &str) -> Vec<u8> {
    post_json(path, body, false)
}

/// The times of `count` requests each, in microseconds; who is asked for first changes from pair to pair.
async fn samples(connection: &mut Connection, ask: Ask, count: u64) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut answer = None;
    // The first pairs warm caches.
    for number in 0..count + 10 {
        let pair = [account_name(number + 1), format!("nobody{number:07}")];
        for turn in 0..2 {
            let which = ((number + turn) % 2) as usize;
            let request = ask(&pair[which]);
            let began = clock::now();
            let got = connection.exchange(&request).await?;
            let took = micros(clock::now().duration_since(began));
            let got = (got.status, got.body.to_vec());
            ensure!(*answer.get_or_insert_with(|| got.clone()) == got, "the answers differ: {got:?}");
            if number >= 10 {
                [&mut known, &mut unknown][which].push(took);
            }
        }
    }
    Ok((known, unknown))
}

/// How far the medians are apart, whichever is the greater; with the quartiles of the pairs' ratios.
fn apart(known: &[f64], unknown: &[f64]) -> Option<Summary> {
    let ratio = Summary::of(known)?.median / Summary::of(unknown)?.median;
    Summary::of_ratios(known, unknown).map(|ratios| Summary { median: ratio.max(1.0 / ratio), ..ratios })
}
