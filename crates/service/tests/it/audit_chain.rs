//! LA-04: whatever is done to the trail behind the service's back is found.

use std::time::Duration;

use crypto::jws::Algorithm;
use domain::audit::Fault;
use service::audit::chain::chain;
use service::audit::checkpoint;
use service::audit::verify::{Report, verify};
use service::settings::{AuditSettings, Settings};
use service::{signing_key, user, worker};

use crate::audit::{kinds, rows};
use crate::harness::{DAY, Harness, settings};
use crate::keys::public;

async fn checked(harness: &Harness, given: &[String]) -> Report {
    verify(&harness.app, given, &mut |_| {}).await.unwrap()
}

async fn run(harness: &Harness, sql: &'static str) {
    let mut tx = harness.app.db.begin().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn keep(harness: &Harness) {
    run(harness, "CREATE TABLE kept AS SELECT * FROM audit_events").await;
}

async fn put_back(harness: &Harness) {
    run(harness, "DELETE FROM audit_events").await;
    run(harness, "INSERT INTO audit_events SELECT * FROM kept").await;
}

/// A trail of nine rows of three accounts.
async fn nine() -> Harness {
    let harness = Harness::new().await;
    for name in ["ann", "bob", "cid"] {
        harness.register(name).await;
        harness.login(name).await;
        harness.try_login(name, "wrong").await.map(drop).unwrap_err();
    }
    assert_eq!(chain(&harness.app).await.unwrap(), 9);
    harness
}

#[tokio::test]
async fn a_trail_that_nobody_touched_is_sound() {
    let harness = nine().await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.tally.rows, report.position, report.wrong), (9, 9, 0));
    assert_eq!(chain(&harness.app).await.unwrap(), 0, "each row has one place");
}

#[tokio::test]
async fn a_change_of_any_column_is_found() {
    let changes = [
        "UPDATE audit_events SET at = at + 1 WHERE position = 5",
        "UPDATE audit_events SET kind = 'login.failed' WHERE position = 5",
        "UPDATE audit_events SET result = 'refused' WHERE position = 5",
        "UPDATE audit_events SET actor = 'operator' WHERE position = 5",
        "UPDATE audit_events SET actor_id = '7' WHERE position = 5",
        "UPDATE audit_events SET user_id = user_id + 1 WHERE position = 5",
        "UPDATE audit_events SET user_id = NULL WHERE position = 5",
        "UPDATE audit_events SET session_id = NULL WHERE position = 5",
        "UPDATE audit_events SET address = '127.0.0.2' WHERE position = 5",
        "UPDATE audit_events SET address = NULL WHERE position = 5",
        "UPDATE audit_events SET user_agent = '' WHERE position = 5",
        "UPDATE audit_events SET request_id = 'x' WHERE position = 5",
        "UPDATE audit_events SET detail = '{}' WHERE position = 5",
        "UPDATE audit_events SET salt = (SELECT salt FROM audit_events WHERE position = 4) WHERE position = 5",
        "UPDATE audit_events SET commitment = (SELECT commitment FROM audit_events WHERE position = 4) WHERE position = 5",
    ];
    let harness = nine().await;
    keep(&harness).await;
    for sql in changes {
        run(&harness, sql).await;
        let report = checked(&harness, &[]).await;
        assert!(report.faults.contains(&Fault::Changed { position: 5 }), "{sql}: {:?}", report.faults);
        put_back(&harness).await;
    }
    assert_eq!(checked(&harness, &[]).await.wrong, 0);
}

#[tokio::test]
async fn what_is_removed_put_in_or_moved_is_found() {
    let harness = nine().await;
    let kept = vec![checkpoint::make(&harness.app).await.unwrap().unwrap().statement];
    let missing = |from, to| Fault::Missing { from, to };
    let cases: [(&[&'static str], Fault); 6] = [
        (&["DELETE FROM audit_events WHERE position = 5"], missing(5, 5)),
        (&["DELETE FROM audit_events WHERE position < 4"], missing(1, 3)),
        (&["DELETE FROM audit_events WHERE position > 6"], Fault::End { found: 6, expected: 9 }),
        (
            &[
                "UPDATE audit_events SET position = 100 WHERE position = 4",
                "UPDATE audit_events SET position = 4 WHERE position = 5",
                "UPDATE audit_events SET position = 5 WHERE position = 100",
            ],
            Fault::Unlinked { position: 4 },
        ),
        (
            &[
                "INSERT INTO audit_events SELECT 10, at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, commitment, hash, erased_at FROM audit_events WHERE position = 9",
            ],
            Fault::Unlinked { position: 10 },
        ),
        (&["UPDATE audit_events SET salt = NULL WHERE position = 5"], Fault::Erased { position: 5 }),
    ];
    keep(&harness).await;
    for (statements, expected) in cases {
        for sql in statements {
            run(&harness, sql).await;
        }
        let report = checked(&harness, &[]).await;
        assert!(report.faults.contains(&expected), "{statements:?}: {:?}", report.faults);
        put_back(&harness).await;
    }
    // The end with its head: only what is kept elsewhere shows it.
    run(&harness, "DELETE FROM audit_events WHERE position > 6").await;
    run(
        &harness,
        "UPDATE audit_head SET position = 6, hash = (SELECT hash FROM audit_events WHERE position = 6)",
    )
    .await;
    let stored = checked(&harness, &[]).await;
    assert!(stored.faults.contains(&Fault::CutOff { found: 6, expected: 9 }), "{stored:?}");
    run(&harness, "DELETE FROM audit_checkpoints").await;
    assert_eq!(checked(&harness, &[]).await.wrong, 0);
    let report = checked(&harness, &kept).await;
    assert!(report.faults.contains(&Fault::CutOff { found: 6, expected: 9 }), "{report:?}");
    // And a chain that goes on from there, written by the service itself, is not the one that was signed.
    for _ in 0..4 {
        harness.login("ann").await;
    }
    let report = checked(&harness, &kept).await;
    assert!(report.faults.contains(&Fault::Checkpoint { position: 9 }), "{report:?}");
}

#[tokio::test]
async fn checkpoints_are_made_in_time_and_by_our_keys_alone() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = checkpoint::make(&harness.app).await.unwrap().unwrap();
    harness.login("ann").await;
    checkpoint::make(&harness.app).await.unwrap();
    let report = checked(&harness, std::slice::from_ref(&first.statement)).await;
    assert_eq!((report.checkpoints, report.unchecked, report.wrong), (3, 0, 0));
    // No reader of tokens takes one.
    assert!(harness.verify(&first.statement).await.is_err());
    // Another key of the same kind: it cannot be told whose it is, but what it states is still compared.
    let keys = crypto::jws::KeyRing::hs256(b"another secret of the tests, which is long enough", &[]);
    let harness = harness.restart_with_keys(keys).await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.checkpoints, report.unchecked, report.wrong), (0, 2, 0));
    let old = crate::harness::SECRET;
    let keys = crypto::jws::KeyRing::hs256(b"another secret of the tests, which is long enough", &[old]);
    let harness = harness.restart_with_keys(keys).await;
    assert_eq!(checked(&harness, &[]).await.checkpoints, 2, "SECRET_KEY_FALLBACKS");
    run(&harness, "UPDATE audit_checkpoints SET position = 77 WHERE position = 1").await;
    let report = checked(&harness, &[]).await;
    assert!(report.faults.contains(&Fault::Forged { position: 77 }), "{report:?}");
}

#[tokio::test]
async fn checkpoints_outlive_the_public_keys_that_signed_them() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let harness = Harness::with(public(algorithm)).await;
        harness.register("ann").await;
        let first = checkpoint::make(&harness.app).await.unwrap().unwrap();
        assert!(harness.verify(&first.statement).await.is_err(), "no reader of tokens takes one");
        let old = signing_key::list(&harness.app).await.unwrap();
        let old: Vec<String> = old.into_iter().map(|key| key.id).collect();
        signing_key::rotate(&harness.app).await.unwrap();
        signing_key::drop_keys(&harness.app, &old).await.unwrap();
        let second = checkpoint::make(&harness.app).await.unwrap().unwrap();
        assert_ne!(first.public_key, second.public_key);
        let report = checked(&harness, &[first.statement, second.statement]).await;
        assert_eq!((report.checkpoints, report.unchecked, report.wrong), (4, 0, 0), "{report:?}");
        // Another position under the same signature.
        run(
            &harness,
            "UPDATE audit_checkpoints SET statement = (SELECT MAX(statement) FROM audit_checkpoints)",
        )
        .await;
        let report = checked(&harness, &[]).await;
        assert_eq!(report.wrong, 1, "{report:?}");
    }
}

#[tokio::test]
async fn a_deleted_user_is_erased_and_the_chain_still_verifies() {
    // LG-12, LA-04
    let harness = nine().await;
    let ann = user::find(&harness.app, "ann").await.unwrap();
    user::delete(&harness.app, ann.id).await.unwrap();
    chain(&harness.app).await.unwrap();
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let erased = |rows: &[service::audit::EventRow]| rows.iter().filter(|row| row.erased).count();
    let found = rows(&harness).await;
    assert_eq!(erased(&found), 4);
    for row in found.iter().filter(|row| row.user == Some(ann.id)) {
        assert!(row.address.is_none() && row.user_agent.is_none() && row.detail.is_none(), "{row:?}");
        assert!(row.session.is_none() && row.request_id.is_none(), "{row:?}");
    }
    // A request that was still at work.
    let mut tx = harness.app.db.begin().await.unwrap();
    let event = domain::audit::Event::new(domain::audit::EventKind::LoginFailed).user(ann.id);
    let caller = harness.caller();
    service::audit::record(&mut tx, &service::audit::By::anonymous(&caller), &event).unwrap();
    tx.commit().await.unwrap();
    harness.pass(Duration::from_secs(90)).await;
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    chain(&harness.app).await.unwrap();
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let report = checked(&harness, &[]).await;
    assert_eq!((report.tally.erased, report.wrong), (5, 0), "{report:?}");
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(store::audit::erasures(&mut tx, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_oldest_rows_go_and_the_rest_verifies() {
    let audit = AuditSettings { retention: Some(DAY * 10), ..AuditSettings::default() };
    let harness = Harness::with(Settings { audit, ..settings() }).await;
    harness.register("ann").await;
    for _ in 0..20 {
        harness.login("ann").await;
        harness.pass(DAY).await;
        chain(&harness.app).await.unwrap();
    }
    let outside = checkpoint::make(&harness.app).await.unwrap().unwrap().statement;
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let report = checked(&harness, std::slice::from_ref(&outside)).await;
    assert_eq!((report.tally.rows, report.begins_after, report.position), (10, 11, 21), "{report:?}");
    assert_eq!(report.wrong, 0, "{report:?}");
    assert_eq!(kinds(&harness).await.len(), 10);
    harness.login("ann").await;
    assert_eq!(checked(&harness, &[]).await.wrong, 0);
    // Removing more by hand needs a signature.
    run(&harness, "DELETE FROM audit_events WHERE position <= 12").await;
    run(&harness, "UPDATE audit_head SET purged_position = 12, purged_hash = (SELECT hash FROM audit_events WHERE position = 13)").await;
    let report = checked(&harness, &[]).await;
    assert!(report.faults.contains(&Fault::Start { position: 12 }), "{report:?}");
}
