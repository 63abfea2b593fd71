//! LA-01, LA-04: every change has its row, and none without one.

use domain::time::Timestamp;
use service::audit::chain::chain;
use service::audit::{EventRow, Filter, search};
use service::{Kind, logout, session, user, verify, worker};

use crate::harness::{DAY, Harness, PASSWORD, legacy_token};

/// What happened, in order.
pub(crate) async fn rows(harness: &Harness) -> Vec<EventRow> {
    chain(&harness.app).await.unwrap();
    let mut rows = search(&harness.app, &Filter::default(), None, 1_000).await.unwrap();
    rows.sort_by_key(|row| row.position);
    rows
}

pub(crate) async fn kinds(harness: &Harness) -> Vec<String> {
    rows(harness).await.into_iter().map(|row| row.kind).collect()
}

#[tokio::test]
async fn every_use_case_that_changes_something_is_recorded() {
    // LA-01
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let next = harness.refresh(&pair.refresh).await.unwrap().refresh.unwrap();
    harness.clock.advance(std::time::Duration::from_secs(60));
    harness.refresh(&pair.refresh).await.map(drop).unwrap_err();
    harness.refresh(&next).await.map(drop).unwrap_err();
    assert_eq!(harness.try_login("ann", "wrong").await.map(drop).unwrap_err().kind, Kind::Unauthenticated);
    harness.try_login("Secret Typed As Name", "wrong").await.map(drop).unwrap_err();
    let pair = harness.login("ann").await;
    assert!(logout::logout(&harness.app, &harness.caller(), &pair.access).await.unwrap());
    assert!(!logout::logout(&harness.app, &harness.caller(), &pair.access).await.unwrap());
    let pair = harness.login("ann").await;
    let who = verify::bearer(&harness.app, &harness.caller(), &pair.access).await.unwrap();
    session::end(&harness.app, &harness.caller(), who, who.session.unwrap()).await.unwrap();
    let pair = harness.login("ann").await;
    let revoked =
        service::introspection::revoke(&harness.app, &harness.caller(), "shop", &pair.refresh).await;
    assert!(revoked.unwrap());
    let pair = harness.login("ann").await;
    logout::logout_all(&harness.app, &harness.caller(), &pair.access).await.unwrap();
    harness.clock.advance(std::time::Duration::from_secs(10));
    let issued = harness.clock.now().seconds() - 1;
    let old = legacy_token("refresh", ann.id.get(), "0123456789abcdef0123456789abcdef", issued, 86_400);
    harness.refresh(&old).await.unwrap();
    user::disable(&harness.app, ann.id).await.unwrap();
    user::disable(&harness.app, ann.id).await.unwrap();
    harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    user::enable(&harness.app, ann.id).await.unwrap();
    user::set_password(&harness.app, ann.id, "another long one").await.unwrap();
    user::delete(&harness.app, ann.id).await.unwrap();
    let rows = rows(&harness).await;
    let told: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {}", row.kind, row.actor, row.user.map_or(0, |id| id.get() - ann.id.get() + 1))
        })
        .collect();
    let expected = [
        "user.registered anonymous 1",
        "login.succeeded user 1",
        "session.reuse_detected anonymous 1",
        "login.failed anonymous 1",
        "login.failed anonymous 0",
        "login.succeeded user 1",
        "session.ended user 1",
        "login.succeeded user 1",
        "session.ended user 1",
        "login.succeeded user 1",
        "session.ended service 1",
        "login.succeeded user 1",
        "sessions.ended_all user 1",
        "session.adopted user 1",
        "user.disabled operator 1",
        "login.failed anonymous 1",
        "user.enabled operator 1",
        "password.set_by_operator operator 1",
        "user.deleted operator 1",
    ];
    assert_eq!(told, expected);
    let text = format!("{rows:?}");
    assert!(!text.contains("Secret Typed"), "what was typed as a name may be a password");
    assert!(
        rows.iter().filter(|row| row.actor == "user").all(|row| row.request_id.as_deref() == Some("test"))
    );
    assert_eq!(rows[0].address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn without_its_row_no_change_is_made() {
    // LA-04
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let rename = "ALTER TABLE audit_pending RENAME TO audit_away";
    let mut tx = harness.app.db.begin().await.unwrap();
    tx.execute(rename, &[]).await.unwrap();
    tx.commit().await.unwrap();
    let failed = [
        harness.try_register("bob", PASSWORD).await.map(drop),
        harness.try_login("ann", PASSWORD).await.map(drop),
        harness.try_login("ann", "wrong").await.map(drop),
        logout::logout(&harness.app, &harness.caller(), &pair.access).await.map(drop),
        logout::logout_all(&harness.app, &harness.caller(), &pair.access).await.map(drop),
        user::disable(&harness.app, ann.id).await.map(drop),
        user::set_password(&harness.app, ann.id, "another long one").await,
        user::delete(&harness.app, ann.id).await.map(drop),
    ];
    for (number, result) in failed.into_iter().enumerate() {
        assert!(matches!(result.unwrap_err().kind, Kind::Internal | Kind::Unavailable { .. }), "{number}");
    }
    let mut tx = harness.app.db.begin().await.unwrap();
    tx.execute("ALTER TABLE audit_away RENAME TO audit_pending", &[]).await.unwrap();
    tx.commit().await.unwrap();
    service::feed::poll(&harness.app).await.unwrap();
    harness.verify(&pair.access).await.unwrap();
    harness.refresh(&pair.refresh).await.unwrap();
    harness.login("ann").await;
    assert!(user::find(&harness.app, "bob").await.is_err());
    assert_eq!(kinds(&harness).await, ["user.registered", "login.succeeded", "login.succeeded"]);
}

#[tokio::test]
async fn a_row_that_the_database_refuses_takes_its_change_with_it() {
    // LA-04: unlike a table that is gone this comes to light when the statement runs, on PostgreSQL behind the COMMIT.
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let other = harness.login("ann").await;
    logout::logout(&harness.app, &harness.caller(), &other.access).await.unwrap();
    harness.try_login("ann", "wrong").await.map(drop).unwrap_err();
    user::disable(&harness.app, ann.id).await.unwrap();
    user::enable(&harness.app, ann.id).await.unwrap();
    harness.refresh(&pair.refresh).await.map(drop).unwrap_err();
    let pair = harness.login("ann").await;
    let before = rows(&harness).await.len();
    refuse_inserts(&harness, "audit_pending").await;
    let failed = [
        harness.try_register("bob", PASSWORD).await.map(drop),
        harness.try_login("ann", PASSWORD).await.map(drop),
        harness.try_login("ann", "wrong").await.map(drop),
        logout::logout(&harness.app, &harness.caller(), &pair.access).await.map(drop),
        user::disable(&harness.app, ann.id).await.map(drop),
    ];
    for (number, result) in failed.into_iter().enumerate() {
        assert!(matches!(result.unwrap_err().kind, Kind::Internal | Kind::Unavailable { .. }), "{number}");
    }
    take_inserts(&harness, "audit_pending").await;
    service::feed::poll(&harness.app).await.unwrap();
    harness.verify(&pair.access).await.unwrap();
    harness.refresh(&pair.refresh).await.unwrap();
    assert!(user::find(&harness.app, "bob").await.is_err());
    assert_eq!(rows(&harness).await.len(), before);
}

/// Makes the database refuse rows of a table when they are written, not before.
pub(crate) async fn refuse_inserts(harness: &Harness, table: &str) {
    let statements = if harness.place.is_postgres() {
        vec![
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'".to_owned(),
            format!("CREATE TRIGGER refuses BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"),
        ]
    } else {
        vec![format!("CREATE TRIGGER refuses BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")]
    };
    run_all(harness, statements).await;
}

/// Takes that back.
async fn take_inserts(harness: &Harness, table: &str) {
    let of = if harness.place.is_postgres() { format!(" ON {table}") } else { String::new() };
    run_all(harness, vec![format!("DROP TRIGGER refuses{of}")]).await;
}

async fn run_all(harness: &Harness, statements: Vec<String>) {
    let mut tx = harness.app.db.begin().await.unwrap();
    for sql in statements {
        tx.execute(sql.leak(), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_search_goes_through_everything_page_by_page() {
    let harness = Harness::new().await;
    let (ann, bob) = (harness.register("ann").await, harness.register("bob").await);
    for _ in 0..3 {
        harness.login("ann").await;
        harness.login("bob").await;
        harness.pass(DAY).await;
    }
    chain(&harness.app).await.unwrap();
    let found = async |filter: Filter, limit: u32| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = search(&harness.app, &filter, after, limit).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = Some(last.place());
            all.extend(page.into_iter().map(|row| row.position));
        }
    };
    for limit in [1, 3, 100] {
        assert_eq!(found(Filter::default(), limit).await.len(), 8);
        assert_eq!(found(Filter { user: Some(ann.id), ..Filter::default() }, limit).await.len(), 4);
        let logins = Filter { kind: Some("login.succeeded".into()), ..Filter::default() };
        assert_eq!(found(logins.clone(), limit).await.len(), 6);
        assert_eq!(found(Filter { user: Some(bob.id), ..logins.clone() }, limit).await.len(), 3);
        let second = crate::harness::START + DAY;
        let day = Filter { from: second, until: second + DAY, ..logins };
        assert_eq!(found(day, limit).await.len(), 2);
        let before = Filter { until: Timestamp::from_micros(0), ..Filter::default() };
        assert!(found(before, limit).await.is_empty());
    }
}

#[tokio::test]
async fn text_of_clients_stays_text() {
    // LA-03
    let harness = Harness::new().await;
    let mut caller = harness.caller();
    caller.user_agent = format!("a\r\nuser.deleted\u{1b}[2J{}", "x".repeat(64 * 1024));
    let input = service::login::Input { username: "nobody\n".into(), password: "p".into() };
    service::login::login(&harness.app, &caller, input).await.map(drop).unwrap_err();
    let rows = rows(&harness).await;
    let agent = rows[0].user_agent.as_deref().unwrap();
    assert!(agent.len() <= 200 && !agent.contains(char::is_control), "{agent}");
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
}

#[tokio::test]
async fn rows_without_a_place_are_counted() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let waiting = async || {
        worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
        harness.app.counters.audit_waiting.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(waiting().await, 1);
    chain(&harness.app).await.unwrap();
    assert_eq!(waiting().await, 0);
}
