//! The crate that checks tokens in other services: what it remembers against a signature each time, and status lists.
//!
//! One thread, no network. What is compared takes turns over the same tokens.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use verifier::{Fetched, Limits, Verifier};

use crate::bench::Bench;
use crate::clock;
use crate::report::{Bar, Row};
use crate::stats::Summary;

const NOW: u64 = 1_900_000_000;
const ORIGIN: &str = "https://auth.example";
const ENTRIES: usize = 1_000_000;
/// Tokens that are seen again and again, in turn.
const TOKENS: usize = 2_000;

/// The median and the quartiles of nanoseconds of each way, round by round.
#[derive(Default)]
struct Times {
    bare: Vec<f64>,
    unseen: Vec<f64>,
    seen: Vec<f64>,
    seen_listed: Vec<f64>,
}

/// Lets one Ed25519 verification and the ways of a token through the crate take turns, and builds status lists.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let pair = Ed25519KeyPair::generate()?;
    let mut builds = Vec::new();
    let mut list = String::new();
    for _ in 0..bench.pick(15, 3) {
        let began = clock::now();
        list = status_list(&pair)?;
        builds.push(clock::now().duration_since(began).as_secs_f64() * 1e3);
    }
    let times = measure(bench, &pair, &list).await?;
    let size = list.len() as f64 / 1024.0;
    let mut rows = check_rows(&times);
    rows.push(Row::absolute(
        format!("a status list of {ENTRIES} sessions, one in 100 ended: built and signed"),
        " ms",
        Summary::of(&builds),
    ));
    rows.push(Row::absolute("  (its size as a signed token)", " KiB", Summary::of(&[size])));
    let look_ups: Vec<f64> =
        times.seen_listed.iter().zip(&times.seen).map(|(with, without)| with - without).collect();
    let look_up = Row::absolute("one look-up in it", " ns", Summary::of(&look_ups));
    rows.push(look_up.with_bar(Bar::AtMost(1_000.0)));
    Ok(rows)
}

fn check_rows(times: &Times) -> Vec<Row> {
    let row = |measure: &str, ours: &[f64]| {
        let rate = |nanos: &[f64]| {
            Summary::of(nanos).map_or_else(|| "-".to_owned(), |nanos| format!("{:.0}/s", 1e9 / nanos.median))
        };
        // Of times, so that it is the ratio of the rates.
        Row::ratio(measure, rate(ours), rate(&times.bare), Summary::of_ratios(&times.bare, ours))
    };
    vec![
        row("checks of seen tokens by `verifier`, against one Ed25519 verification each", &times.seen)
            .with_bar(Bar::AtLeast(10.0)),
        row("  (the same, with a look into the status list)", &times.seen_listed),
        row("  (tokens that were not seen before)", &times.unseen),
    ]
}

async fn measure(bench: &Bench, pair: &Ed25519KeyPair, list: &str) -> Result<Times> {
    let (plain, listed) = (tokens(pair, false)?, tokens(pair, true)?);
    let remembering = verifier(pair, list, Limits::default())?;
    let forgetful = verifier(pair, list, Limits { seen_tokens: 0, ..Limits::default() })?;
    for token in plain.iter().chain(&listed) {
        remembering.check(token).await?;
        forgetful.check(token).await?;
    }
    let key = ParsedPublicKey::new(&ED25519, pair.public_key())?;
    let signed: Vec<(&[u8], Vec<u8>)> = plain.iter().map(|token| split(token)).collect::<Result<_>>()?;
    let accepts = |verifier: &Verifier, token: &String| matches!(verifier.check_now(token), Some(Ok(_)));
    let mut times = Times::default();
    for _ in 0..bench.pick(25, 5) {
        times.bare.push(per_item(&signed, |(text, signature)| key.verify_sig(text, signature).is_ok())?);
        times.unseen.push(per_item(&plain, |token| accepts(&forgetful, token))?);
        times.seen.push(per_item(&plain, |token| accepts(&remembering, token))?);
        times.seen_listed.push(per_item(&listed, |token| accepts(&remembering, token))?);
    }
    Ok(times)
}

/// The mean time of one call in nanoseconds, over all items. Every call must succeed.
fn per_item<T>(items: &[T], call: impl Fn(&T) -> bool) -> Result<f64> {
    let began = clock::now();
    let good = items.iter().filter(|item| black_box(call(black_box(item)))).count();
    let nanos = clock::now().duration_since(began).as_nanos() as f64;
    ensure!(good == items.len(), "a good token was refused");
    Ok(nanos / items.len() as f64)
}

fn verifier(pair: &Ed25519KeyPair, list: &str, limits: Limits) -> Result<Verifier> {
    let x = BASE64URL.encode(pair.public_key());
    let keys =
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "use": "sig", "x": x}]});
    let (keys, list): (Arc<[u8]>, Arc<[u8]>) = (keys.to_string().into_bytes().into(), list.as_bytes().into());
    let verifier = Verifier::builder(format!("{ORIGIN}/.well-known/jwks.json"))
        .limits(limits)
        .clock(|| Duration::from_secs(NOW))
        .fetch(move |request| {
            let body = if request.url.ends_with(".json") { keys.to_vec() } else { list.to_vec() };
            Box::pin(async move { Ok(Fetched { body, cache_control: None }) })
        })
        .build()?;
    Ok(verifier)
}

fn tokens(pair: &Ed25519KeyPair, with_status: bool) -> Result<Vec<String>> {
    let token = |number: usize| {
        let mut claims = json!({
            "token_type": "access", "exp": NOW + 900, "iat": NOW, "jti": format!("{number:032x}"),
            "user_id": number, "sid": format!("{number:032x}"),
        });
        if with_status {
            // Spread over the list, as the service spreads them.
            let places = (0..ENTRIES).map(|step| (number * 479_001_599 + step) % ENTRIES);
            let index = places.into_iter().find(|index| !has_ended(*index)).context("all have ended")?;
            claims["status"] =
                json!({"status_list": {"idx": index, "uri": format!("{ORIGIN}/status-lists/1")}});
        }
        Ok(sign(pair, "JWT", &claims))
    };
    (0..TOKENS).map(token).collect()
}

/// One in a hundred, without a pattern that compresses well (the mixer of MurmurHash3).
fn has_ended(index: usize) -> bool {
    let mut mixed = (index as u64).wrapping_add(1).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed ^ mixed >> 33).is_multiple_of(100)
}

/// As the service makes it (`service/src/status_list/publish.rs`): bits, zlib at its best, a signed token.
fn status_list(pair: &Ed25519KeyPair) -> Result<String> {
    let mut bytes = vec![0_u8; ENTRIES / 8];
    for index in (0..ENTRIES).filter(|index| has_ended(*index)) {
        bytes[index / 8] |= 1 << (index % 8);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let lst = BASE64URL.encode(encoder.finish()?);
    let claims = json!({
        "sub": format!("{ORIGIN}/status-lists/1"), "iat": NOW, "exp": NOW + 600, "ttl": 60,
        "status_list": {"bits": 1, "lst": lst},
    });
    Ok(sign(pair, "statuslist+jwt", &claims))
}

fn sign(pair: &Ed25519KeyPair, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": "k", "typ": typ}).to_string();
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims.to_string()));
    let signature = BASE64URL.encode(pair.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What was signed, and the signature.
fn split(token: &str) -> Result<(&[u8], Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.').context("a token has a dot")?;
    Ok((signed.as_bytes(), BASE64URL.decode(signature)?))
}
