//! SimpleJWT's blacklist: refresh tokens that were refused there are refused here. Their ids and ends come over, never their texts.

use domain::time::Timestamp;
use rusqlite::types::Value;
use service::App;
use service::import::{RefusedToken, refuse_tokens};
use tokio::sync::mpsc;

use super::row::{text, time};
use super::source::{RawToken, Source};
use crate::Error;
use crate::report::{NoteKind, Recorder};
use crate::tally::Origin;

/// Tokens a transaction.
const BATCH: usize = 1_000;
/// Batches that are read ahead.
const AHEAD: usize = 1;

pub(super) async fn bring(
    app: &App,
    source: Source,
    dry_run: bool,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let now = app.clock.now();
    let (send, mut receive) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(source, &send));
    while let Some(raw) = receive.recv().await {
        let tokens = usable(&raw, now, recorder);
        let new = refuse_tokens(app, &tokens, dry_run).await?;
        let created = new.iter().filter(|new| **new).count() as u64;
        let counts = &mut recorder.report.refused_tokens;
        counts.created += created;
        counts.unchanged += new.len() as u64 - created;
    }
    reader.await.map_err(Error::read)?
}

fn read(mut source: Source, send: &mpsc::Sender<Vec<RawToken>>) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let raw = source.tokens_after(after, BATCH)?;
        let Some(last) = raw.last() else { return Ok(()) };
        after = last.id;
        if send.blocking_send(raw).is_err() {
            return Ok(());
        }
    }
}

/// Tokens that have not expired: the others are refused anyway.
fn usable(raw: &[RawToken], now: Timestamp, recorder: &mut Recorder) -> Vec<RefusedToken> {
    let mut usable = Vec::with_capacity(raw.len());
    for row in raw {
        recorder.report.refused_tokens.read += 1;
        match token(&row.jti, &row.expires_at) {
            Ok(token) if token.expires_at >= now => usable.push(token),
            Ok(_) => recorder.report.refused_tokens.skipped += 1,
            Err(reason) => {
                recorder.report.refused_tokens.skipped += 1;
                let said = format!("a refused token that cannot be read: {reason}");
                recorder.note(Origin { id: Some(row.id), row: None }.note("", NoteKind::Token, said));
            }
        }
    }
    usable
}

fn token(jti: &Value, expires_at: &Value) -> Result<RefusedToken, String> {
    Ok(RefusedToken { jti: text("jti", jti)?.to_owned(), expires_at: time("expires_at", expires_at)? })
}
