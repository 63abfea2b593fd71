//! What a check costs: `cargo run --release -p verifier --example cost`.
//!
//! Everything is measured in one run on one thread, in rounds that alternate, and the median round counts; so the ratios
//! hold on a shared machine where the times alone say little.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use verifier::{Fetched, Limits, Verifier};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: u64 = 1_900_000_000;
const ORIGIN: &str = "https://auth.example";
const ENTRIES: usize = 1_000_000;
/// Tokens that are seen again and again, in turn.
const TOKENS: usize = 2_000;
const ROUNDS: usize = 15;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let pair = Ed25519KeyPair::generate()?;
    let list = status_list(&pair)?;
    println!(
        "status list of {ENTRIES} entries, about one in a hundred revoked: a token of {} bytes",
        list.len()
    );
    let plain = tokens(&pair, false);
    let listed = tokens(&pair, true);
    let remembering = verifier(&pair, &list, Limits::default())?;
    let forgetful = verifier(&pair, &list, Limits { seen_tokens: 0, ..Limits::default() })?;
    for token in plain.iter().chain(&listed) {
        remembering.check(token).await?;
        forgetful.check(token).await?;
    }

    let key = ParsedPublicKey::new(&ED25519, pair.public_key())?;
    let signed: Vec<(&[u8], Vec<u8>)> = plain.iter().map(|token| split(token)).collect::<Result<_>>()?;
    let mut bare = Vec::new();
    let (mut seen, mut seen_listed, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(per_item(&signed, |(text, signature)| key.verify_sig(text, signature).is_ok()));
        seen.push(per_item(&plain, |token| matches!(remembering.check_now(token), Some(Ok(_)))));
        seen_listed.push(per_item(&listed, |token| matches!(remembering.check_now(token), Some(Ok(_)))));
        unseen.push(per_item(&plain, |token| matches!(forgetful.check_now(token), Some(Ok(_)))));
    }
    let (bare, seen, seen_listed, unseen) = (median(bare), median(seen), median(seen_listed), median(unseen));
    println!("one Ed25519 verification       {bare:>10.0} ns");
    println!("a token not seen before        {unseen:>10.0} ns   {:.2} times that", unseen / bare);
    println!("a token seen before            {seen:>10.0} ns   {:.1} times as fast (bar: 10)", bare / seen);
    println!(
        "the same with its status       {seen_listed:>10.0} ns   {:.1} times as fast",
        bare / seen_listed
    );
    let look_up = seen_listed - seen;
    println!(
        "one look-up in the status list {look_up:>10.0} ns   (bar: 1000), the difference of the last two"
    );
    Ok(())
}

/// The mean time of one call in nanoseconds, over all items. Every call must succeed.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn per_item<T>(items: &[T], call: impl Fn(&T) -> bool) -> f64 {
    let began = Instant::now();
    for item in items {
        assert!(black_box(call(black_box(item))), "a good token is taken");
    }
    began.elapsed().as_nanos() as f64 / items.len() as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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

fn tokens(pair: &Ed25519KeyPair, with_status: bool) -> Vec<String> {
    let token = |number: usize| {
        let mut claims = json!({
            "token_type": "access", "exp": NOW + 900, "iat": NOW, "jti": format!("{number:032x}"),
            "user_id": number, "sid": format!("{number:032x}"),
        });
        if with_status {
            // Spread over the list, as the service spreads them.
            let index =
                (0..).map(|step| (number * 479_001_599 + step) % ENTRIES).find(|index| !is_revoked(*index));
            claims["status"] =
                json!({"status_list": {"idx": index, "uri": format!("{ORIGIN}/status-lists/1")}});
        }
        sign(pair, "JWT", &claims)
    };
    (0..TOKENS).map(token).collect()
}

/// One in a hundred, without a pattern that compresses well (the mixer of MurmurHash3).
fn is_revoked(index: usize) -> bool {
    let mut mixed = (index as u64).wrapping_add(1).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed ^ mixed >> 33).is_multiple_of(100)
}

fn status_list(pair: &Ed25519KeyPair) -> Result<String> {
    let mut bytes = vec![0_u8; ENTRIES / 8];
    for index in (0..ENTRIES).filter(|index| is_revoked(*index)) {
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
    let (signed, signature) = token.rsplit_once('.').ok_or("a token has a dot")?;
    Ok((signed.as_bytes(), BASE64URL.decode(signature)?))
}
