//! LA-04: many writers and several who chain: one chain, every event once, none of a transaction that was taken back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::audit::{Event, EventKind};
use futures_util::future::join_all;
use service::App;
use service::audit::chain::chain;
use service::audit::verify::verify;
use service::audit::{By, export, record};

use crate::harness::{Harness, settings};

const WRITERS: usize = 8;
const EACH: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_event_has_one_place_whoever_chains() {
    let harness = Harness::new().await;
    let replicas = [
        harness.app.clone(),
        harness.replica(settings()).await.unwrap(),
        harness.replica(settings()).await.unwrap(),
    ];
    let stop = AtomicBool::new(false);
    let writers = async {
        join_all((0..WRITERS).map(|writer| write(&harness, &replicas[writer % 3], writer))).await;
        stop.store(true, Ordering::Relaxed);
    };
    let chainers = join_all(replicas.iter().map(async |app| {
        while !stop.load(Ordering::Relaxed) {
            chain(app).await.unwrap();
            tokio::task::yield_now().await;
        }
    }));
    futures_util::future::join(writers, chainers).await;
    chain(&harness.app).await.unwrap();
    let report = verify(&harness.app, &[], &mut |_| {}).await.unwrap();
    assert_eq!(report.wrong, 0, "{report:?}");
    let rows = export(&harness.app, 0).await.unwrap();
    let seen: Vec<String> = rows.iter().filter_map(|row| row.request_id.clone()).collect();
    let once: BTreeSet<&String> = seen.iter().collect();
    let expected: BTreeSet<String> =
        (0..WRITERS).flat_map(|writer| (0..EACH).map(move |number| format!("{writer}-{number}"))).collect();
    assert_eq!(once, expected.iter().collect());
    assert_eq!(seen.len(), once.len(), "a row has two places");
}

/// Before every transaction that is committed there is one that is taken back.
async fn write(harness: &Harness, app: &App, writer: usize) {
    for number in 0..EACH {
        for kept in [false, true] {
            let mut caller = harness.caller();
            caller.request_id = if kept { format!("{writer}-{number}") } else { "taken back".into() };
            let mut tx = app.db.begin().await.unwrap();
            record(&mut tx, &By::anonymous(&caller), &Event::new(EventKind::LoginFailed)).unwrap();
            // What waits to be sent is sent before this.
            store::audit::any_pending(&mut tx).await.unwrap();
            if kept {
                tx.commit().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    }
}
