//! LA-04: what somebody does who can write the database, knows all of this program, and has no key.

use crypto::jws::{Algorithm, TokenKind, generate};
use domain::audit::{Fault, link_bytes};
use domain::time::Timestamp;
use serde_json::json;
use service::audit::chain::chain;
use service::audit::checkpoint;
use service::settings::{AuditSettings, Settings};
use service::{user, worker};

use crate::audit::{refuse_inserts, rows};
use crate::audit_chain::{checked, nine, run};
use crate::harness::{DAY, Harness, MINUTE, settings};

const CUT: &str = "DELETE FROM audit_events WHERE position <= 6";
const CLAIM: &str = "UPDATE audit_head SET purged_position = 6, purged_hash = (SELECT hash FROM audit_events WHERE position = 6)";
/// A row of one's own, at a position where none is any more.
const PLANT: &str = "INSERT INTO audit_events SELECT 2, at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, personal, commitment, hash, erased_at FROM audit_events WHERE position = 9";
const ERASE: &str = "UPDATE audit_events SET salt = NULL, session_id = NULL, address = NULL, user_agent = NULL, request_id = NULL, detail = NULL, erased_at = 1 WHERE position = 3";

/// A trail that keeps rows for ten days.
async fn ten_days() -> Harness {
    let audit = AuditSettings { retention: Some(DAY * 10), ..AuditSettings::default() };
    let harness = Harness::with(Settings { audit, ..settings() }).await;
    for name in ["ann", "bob", "cid"] {
        harness.register(name).await;
        harness.login(name).await;
        harness.try_login(name, "wrong").await.map(drop).unwrap_err();
    }
    chain(&harness.app).await.unwrap();
    harness
}

async fn tidy(harness: &Harness) {
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
}

#[tokio::test]
async fn an_ordinary_checkpoint_does_not_say_that_rows_may_go() {
    let harness = Harness::new().await;
    for name in ["ann", "bob"] {
        harness.register(name).await;
        harness.login(name).await;
        harness.login(name).await;
    }
    let sixth = checkpoint::make(&harness.app).await.unwrap().unwrap();
    assert_eq!(sixth.position, 6);
    harness.login("ann").await;
    chain(&harness.app).await.unwrap();
    run(&harness, CLAIM).await;
    run(&harness, CUT).await;
    let report = checked(&harness, &[]).await;
    assert!(report.faults.contains(&Fault::Start { position: 6 }), "{report:?}");
    let report = checked(&harness, &[sixth.statement]).await;
    assert!(report.faults.contains(&Fault::TooEarly { position: 6 }), "{report:?}");
}

#[tokio::test]
async fn no_other_key_states_anything() {
    let harness = nine().await;
    run(&harness, CLAIM).await;
    let mut tx = harness.app.db.read().await.unwrap();
    let head = store::audit::head(&mut tx).await.unwrap();
    let installation = store::meta::get(&mut tx, store::meta::INSTALLATION).await.unwrap();
    drop(tx);
    let hash: String = head.purged_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let payload = json!({"installation": installation, "states": "removed", "position": 6, "hash": hash, "row_at": 1, "at": 1});
    let ours = checkpoint::make(&harness.app).await.unwrap().unwrap().statement;
    let (_, signature) = ours.rsplit_once('.').unwrap();
    run(&harness, CUT).await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Hs256] {
        let (key, _) = generate(algorithm).unwrap();
        let signed = key.sign(TokenKind::AuditCheckpoint, payload.to_string().as_bytes());
        let unknown = format!("{}.{signature}", signed.rsplit_once('.').unwrap().0);
        let (header, _) = ours.split_once('.').unwrap();
        let (_, rest) = signed.split_once('.').unwrap();
        for statement in [signed.clone(), unknown, format!("{header}.{rest}"), "nonsense".into()] {
            run(&harness, "DELETE FROM audit_checkpoints").await;
            let forged = store::audit::Checkpoint { position: 6, at: Timestamp::from_seconds(1), statement };
            let mut tx = harness.app.db.begin().await.unwrap();
            store::audit::insert_checkpoint(&mut tx, &forged).await.unwrap();
            tx.commit().await.unwrap();
            let faults = checked(&harness, &[]).await.faults;
            assert!(faults.contains(&Fault::Forged { position: 6 }), "{faults:?}");
            assert!(faults.contains(&Fault::Start { position: 6 }), "{faults:?}");
        }
    }
    // A good one, moved to where it is not about.
    run(&harness, "DELETE FROM audit_checkpoints").await;
    let moved = store::audit::Checkpoint { position: 6, at: Timestamp::from_seconds(1), statement: ours };
    let mut tx = harness.app.db.begin().await.unwrap();
    store::audit::insert_checkpoint(&mut tx, &moved).await.unwrap();
    tx.commit().await.unwrap();
    assert!(checked(&harness, &[]).await.faults.contains(&Fault::Forged { position: 6 }));
}

#[tokio::test]
async fn erasing_is_no_way_to_change_rows() {
    // Of a user who never was.
    let harness = nine().await;
    run(&harness, "INSERT INTO deleted_users VALUES (-1, 0)").await;
    run(&harness, ERASE).await;
    run(
        &harness,
        "UPDATE audit_events SET user_id = -1, kind = 'login.succeeded', at = 1 WHERE position = 3",
    )
    .await;
    let faults = checked(&harness, &[]).await.faults;
    assert!(faults.contains(&Fault::Changed { position: 3 }), "{faults:?}");
    assert!(faults.contains(&Fault::Erased { position: 3 }), "{faults:?}");
    // Of the right user, who was said to be deleted and was not.
    let harness = nine().await;
    run(&harness, "INSERT INTO deleted_users SELECT user_id, 0 FROM audit_events WHERE position = 3").await;
    run(&harness, ERASE).await;
    let faults = checked(&harness, &[]).await.faults;
    assert_eq!(faults, [Fault::Erased { position: 3 }]);
    // Of one who was: everything that stays is proved.
    let harness = nine().await;
    let ann = user::find(&harness.app, "ann").await.unwrap();
    user::delete(&harness.app, ann.id).await.unwrap();
    chain(&harness.app).await.unwrap();
    tidy(&harness).await;
    assert_eq!(checked(&harness, &[]).await.wrong, 0);
    run(&harness, "CREATE TABLE kept AS SELECT * FROM audit_events").await;
    let changes = [
        ("at = at + 1", Fault::Changed { position: 3 }),
        ("kind = 'login.succeeded'", Fault::Changed { position: 3 }),
        ("result = 'done'", Fault::Changed { position: 3 }),
        ("actor = 'operator'", Fault::Changed { position: 3 }),
        ("actor_id = '1'", Fault::Changed { position: 3 }),
        ("user_id = NULL", Fault::Changed { position: 3 }),
        ("address = '192.0.2.1'", Fault::Torn { position: 3 }),
        ("detail = '{}'", Fault::Torn { position: 3 }),
        ("erased_at = NULL", Fault::Torn { position: 3 }),
    ];
    for (change, expected) in changes {
        run(&harness, format!("UPDATE audit_events SET {change} WHERE position = 3").leak()).await;
        let faults = checked(&harness, &[]).await.faults;
        assert!(faults.contains(&expected), "{change}: {faults:?}");
        run(&harness, "DELETE FROM audit_events").await;
        run(&harness, "INSERT INTO audit_events SELECT * FROM kept").await;
    }
}

#[tokio::test]
async fn rows_before_the_beginning_are_seen_and_not_shown() {
    let harness = ten_days().await;
    harness.pass(DAY * 11).await;
    harness.login("ann").await;
    harness.login("ann").await;
    chain(&harness.app).await.unwrap();
    tidy(&harness).await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.begins_after, report.wrong), (9, 0), "{report:?}");
    run(&harness, PLANT.replace("position = 9", "position = 10").leak()).await;
    let report = checked(&harness, &[]).await;
    assert_eq!(report.faults, [Fault::Leftover { position: 2 }]);
    assert!(rows(&harness).await.iter().all(|row| row.position > 9));
    let exported = service::audit::export(&harness.app, 0).await.unwrap();
    assert!(exported.iter().all(|row| row.position > 9) && exported.len() == 2);
}

#[tokio::test]
async fn the_service_does_not_sign_what_others_did() {
    // Rows made to look old.
    let harness = ten_days().await;
    run(&harness, "UPDATE audit_events SET at = 1 WHERE position <= 6").await;
    tidy(&harness).await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.tally.rows, report.wrong), (9, 6), "{report:?}");
    // Rows removed by hand, in the hope that what follows is removed, and that with it is stated.
    let harness = ten_days().await;
    run(&harness, CLAIM).await;
    run(&harness, CUT).await;
    harness.pass(DAY * 11).await;
    tidy(&harness).await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.begins_after, report.tally.rows), (6, 3), "{report:?}");
    assert!(report.faults.contains(&Fault::Start { position: 6 }), "{report:?}");
    // The last row written anew, with all that can be computed without the key.
    let harness = nine().await;
    let mut tx = harness.app.db.begin().await.unwrap();
    let page = store::audit::walk(&mut tx, 7, 2).await.unwrap();
    let hash =
        crypto::keyed::sha256(&link_bytes(&page.rows[0].proof.hash, 9, &page.rows[1].proof.commitment));
    tx.execute("UPDATE audit_events SET hash = $1 WHERE position = 9", &[(&hash).into()]).await.unwrap();
    tx.execute("UPDATE audit_head SET hash = $1", &[(&hash).into()]).await.unwrap();
    tx.commit().await.unwrap();
    checkpoint::make(&harness.app).await.unwrap_err();
    assert_eq!(checked(&harness, &[]).await.faults, [Fault::Unlinked { position: 9 }]);
}

#[tokio::test]
async fn rows_that_wait_are_told() {
    let harness = nine().await;
    refuse_inserts(&harness, "audit_events").await;
    harness.login("ann").await;
    let report = checked(&harness, &[]).await;
    assert_eq!((report.waiting, report.wrong), (1, 0), "{report:?}");
    assert!(report.unchained.is_some(), "{report:?}");
    harness.pass(MINUTE * 2).await;
    let report = checked(&harness, &[]).await;
    assert_eq!(report.faults, [Fault::Waiting { rows: 1, seconds: 120 }]);
    // What has its place is still there to be read, and the worker goes on with the rest.
    let found = service::audit::search(&harness.app, &service::audit::Filter::default(), None, 1_000).await;
    assert_eq!(found.unwrap().len(), 9);
    tidy(&harness).await;
}
