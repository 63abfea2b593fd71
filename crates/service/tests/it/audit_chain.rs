//! LA-04: whatever is done to the trail behind the service's back is found.

use std::time::Duration;

use domain::audit::Fault;
use service::audit::chain::chain;
use service::audit::checkpoint;
use service::audit::verify::{Report, verify};
use service::settings::{AuditSettings, Settings};
use service::{Kind, user, worker};

use crate::audit::{kinds, rows};
use crate::harness::{DAY, Harness, settings};

pub(crate) async fn checked(harness: &Harness, given: &[String]) -> Report {
    verify(&harness.app, given, &mut |_| {}).await.unwrap()
}

pub(crate) async fn run(harness: &Harness, sql: &'static str) {
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
pub(crate) async fn nine() -> Harness {
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
        "UPDATE audit_events SET personal = (SELECT personal FROM audit_events WHERE position = 4) WHERE position = 5",
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
                "INSERT INTO audit_events SELECT 10, at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, personal, commitment, hash, erased_at FROM audit_events WHERE position = 9",
            ],
            Fault::Unlinked { position: 10 },
        ),
        (&["UPDATE audit_events SET salt = NULL WHERE position = 5"], Fault::Torn { position: 5 }),
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
async fn the_key_of_the_trail_outlives_the_secrets_that_seal_it() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = checkpoint::make(&harness.app).await.unwrap().unwrap();
    harness.login("ann").await;
    checkpoint::make(&harness.app).await.unwrap();
    let given = [first.statement];
    let report = checked(&harness, &given).await;
    assert_eq!((report.checkpoints, report.wrong), (3, 0));
    // No reader of tokens takes one.
    assert!(harness.verify(&given[0]).await.is_err());
    let (second, third): (&[u8], &[u8]) =
        (b"the second secret of the tests", b"the third secret of the tests");
    let harness = harness.restart_under(&[second, crate::harness::SECRET]).await;
    assert_eq!(checked(&harness, &given).await.checkpoints, 3, "the fallback opens");
    let harness = harness.restart_under(&[second]).await;
    harness.login("ann").await;
    assert_eq!(checked(&harness, &given).await.wrong, 0, "it was sealed anew");
    // Without the right one nothing is chained and nothing is said to be sound, but the service goes on.
    let harness = harness.restart_under(&[third]).await;
    harness.login("ann").await;
    assert_eq!(chain(&harness.app).await.unwrap_err().kind, Kind::Conflict);
    assert_eq!(verify(&harness.app, &[], &mut |_| {}).await.unwrap_err().kind, Kind::Conflict);
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let harness = harness.restart_under(&[]).await;
    assert_eq!(chain(&harness.app).await.unwrap_err().kind, Kind::Conflict);
    let harness = harness.restart_under(&[second]).await;
    let report = checked(&harness, &given).await;
    assert_eq!((report.wrong, report.position), (0, 4), "{report:?}");
    // Whoever takes it away does not get another in its place.
    run(&harness, "DELETE FROM meta WHERE key = 'audit_key'").await;
    let harness = harness.restart_under(&[second]).await;
    assert_eq!(verify(&harness.app, &given, &mut |_| {}).await.unwrap_err().kind, Kind::Conflict);
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
    harness.pass(Duration::from_secs(11 * 60)).await;
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
    let mut early = None;
    for day in 0..20 {
        harness.login("ann").await;
        harness.pass(DAY).await;
        chain(&harness.app).await.unwrap();
        if day == 3 {
            early = checkpoint::make(&harness.app).await.unwrap();
        }
    }
    let outside = checkpoint::make(&harness.app).await.unwrap().unwrap().statement;
    let early = early.unwrap();
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let report = checked(&harness, std::slice::from_ref(&outside)).await;
    assert_eq!((report.tally.rows, report.begins_after, report.position), (10, 11, 21), "{report:?}");
    assert_eq!(report.wrong, 0, "{report:?}");
    assert_eq!(kinds(&harness).await.len(), 10);
    let report = checked(&harness, &[outside, early.statement]).await;
    assert_eq!((report.not_comparable, report.wrong), (1, 0), "{report:?}");
    harness.login("ann").await;
    assert_eq!(checked(&harness, &[]).await.wrong, 0);
    // Removing more by hand needs a signature.
    run(&harness, "DELETE FROM audit_events WHERE position <= 12").await;
    run(&harness, "UPDATE audit_head SET purged_position = 12, purged_hash = (SELECT hash FROM audit_events WHERE position = 13)").await;
    let report = checked(&harness, &[]).await;
    assert!(report.faults.contains(&Fault::Start { position: 12 }), "{report:?}");
}
