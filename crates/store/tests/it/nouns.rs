//! Every statement of every noun is one that the engine reads, and the one that decides does so as `domain` would.

use std::time::Duration;

use domain::session::{Jti, Lifetimes, RefreshDecision, Session, SessionId, decide, rotate};
use domain::throttle::Rate;
use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username};
use store::migrate::{Mode, migrate};
use store::session::Advance;
use store::{
    Error, Tx, account, action_token, api_key, audit, change, group, group_permission, imported_group,
    imported_user, login_count, mail, meta, network_rate, prepare_all, recovery_request, refused_token, role,
    session, signing_key, status_list, unknown_name, user, user_search,
};

use crate::given::any;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let nouns = [
        ("user", user::STATEMENTS),
        ("api_key", api_key::STATEMENTS),
        ("audit", audit::STATEMENTS),
        ("group", group::STATEMENTS),
        ("group_permission", group_permission::STATEMENTS),
        ("role", role::STATEMENTS),
        ("user_search", user_search::STATEMENTS),
        ("imported_user", imported_user::STATEMENTS),
        ("imported_group", imported_group::STATEMENTS),
        ("refused_token", refused_token::STATEMENTS),
        ("account", account::STATEMENTS),
        ("action_token", action_token::STATEMENTS),
        ("mail", mail::STATEMENTS),
        ("recovery_request", recovery_request::STATEMENTS),
        ("session", session::STATEMENTS),
        ("signing_key", signing_key::STATEMENTS),
        ("status_list", status_list::STATEMENTS),
        ("change", change::STATEMENTS),
        ("login_count", login_count::STATEMENTS),
        ("meta", meta::STATEMENTS),
        ("network_rate", network_rate::STATEMENTS),
        ("unknown_name", unknown_name::STATEMENTS),
    ];
    let only: &[(&str, &[&str], &[&str])] = &[
        ("account", account::SQLITE_STATEMENTS, account::POSTGRES_STATEMENTS),
        ("audit", &[], audit::POSTGRES_STATEMENTS),
        ("session", &[], session::POSTGRES_STATEMENTS),
        ("imported_user", imported_user::SQLITE_STATEMENTS, imported_user::POSTGRES_STATEMENTS),
        ("group", &[], group::POSTGRES_STATEMENTS),
        ("user_search", user_search::SQLITE_STATEMENTS, user_search::POSTGRES_STATEMENTS),
        ("unknown_name", &[], unknown_name::POSTGRES_STATEMENTS),
    ];
    for (noun, statements) in nouns {
        prepare_all(&scratch.db, statements).await.unwrap();
        let (sqlite, postgres) =
            only.iter().find(|(of, ..)| *of == noun).map_or((&[][..], &[][..]), |found| (found.1, found.2));
        let here = if scratch.place.is_postgres() { postgres } else { sqlite };
        prepare_all(&scratch.db, here).await.unwrap();
        let source =
            std::fs::read_to_string(format!("{}/src/{noun}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let written =
            source.lines().filter(|line| line.starts_with("const ") && line.contains(": &str =")).count();
        assert_eq!(
            statements.len() + sqlite.len() + postgres.len(),
            written,
            "{noun}::STATEMENTS leaves one out"
        );
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let found = texts.filter(|text| text.contains("pub const STATEMENTS")).count();
    assert_eq!(found, nouns.len(), "a noun is missing above");
}

#[tokio::test]
async fn a_statement_that_is_wrong_is_named() {
    let scratch = any().await;
    let error = prepare_all(&scratch.db, &["SELECT 1", "SELECT nothing FROM nowhere"]).await.unwrap_err();
    assert!(matches!(&error, Error::Statement(text) if text.contains("nowhere")), "{error}");
}

/// Accounts may be millions: whatever is looked for among them is found by an index.
#[tokio::test]
async fn no_statement_reads_all_accounts() {
    let scratch = any().await;
    if scratch.place.is_postgres() {
        return; // its plans depend on how many rows there are
    }
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let all = [
        user::STATEMENTS,
        account::STATEMENTS,
        account::SQLITE_STATEMENTS,
        user_search::STATEMENTS,
        user_search::SQLITE_STATEMENTS,
        imported_user::STATEMENTS,
        imported_user::SQLITE_STATEMENTS,
    ];
    let mut tx = scratch.db.read().await.unwrap();
    for statement in all.concat() {
        let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {statement}").into_boxed_str());
        let last = (1..30).rev().find(|number| statement.contains(&format!("${number}"))).unwrap_or(0);
        let params = vec![1_i64.into(); last];
        for step in tx.query(explain, &params).await.unwrap() {
            let step = step.text(3).unwrap();
            // A range of NULL claims holds every account that shares its key with another.
            // Accounts with one address are in the order of their turns; administrators get them in that of their ids.
            let may_sort = statement.contains("ORDER BY lower(email), id")
                && step == "USE TEMP B-TREE FOR LAST TERM OF ORDER BY";
            let sorts = step.contains("TEMP B-TREE") && !may_sort;
            // The first account of an index that has hardly any; a list that came with the statement; a table of a few rows.
            let few = step.starts_with("SCAN users USING ") && step.contains(" INDEX users_username");
            let may_scan =
                few || ["json_each", "sqlite_sequence", "CONSTANT"].iter().any(|small| step.contains(small));
            let scans = (step.starts_with("SCAN") && !may_scan) || sorts;
            assert!(!scans, "{step}: {statement}");
        }
    }
}

#[tokio::test]
async fn accounts_that_share_an_address_are_listed_by_id_and_recovered_by_turn() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let mut tx = scratch.db.begin().await.unwrap();
    let accounts: [(&str, [Option<i64>; 4]); 8] = [
        ("Ann@x.org", [None, None, Some(1), None]),
        ("ann@x.org", [None, None, Some(1), Some(7)]),
        ("anna@x.org", [None, None, None, None]),
        ("ann@x.org", [None, None, None, Some(9)]),
        ("ANN@x.org", [Some(1), None, None, None]),
        ("ann@x.org", [None, Some(1), None, None]),
        ("al@x.org", [None, None, None, None]),
        ("ann@x.org", [None, None, None, Some(100)]),
    ];
    for (number, (email, [disabled, verified, unproved, sent])) in (1_i64..).zip(accounts) {
        let insert = "INSERT INTO users (id, username, username_key, username_claim, email, password_hash, password_scheme, created_at, disabled_at, email_verified_at, unproved_since, reset_sent_at) VALUES ($1, $2, $2, $2, $3, '', '', 1, $4, $5, $6, $7)";
        let name = number.to_string();
        let params = [disabled.into(), verified.into(), unproved.into(), sent.into()];
        let [disabled, verified, unproved, sent] = params;
        let params = [number.into(), name.as_str().into(), email.into(), disabled, verified, unproved, sent];
        tx.execute(insert, &params).await.unwrap();
    }
    let (mut found, mut after, mut last) = (Vec::new(), String::new(), UserId::new(0));
    loop {
        let prefix = user_search::Prefix { of: "an", after: &after };
        let page = user_search::by_email(&mut tx, prefix, last, user_search::State::Any, 1).await.unwrap();
        let [user] = page.as_slice() else { break };
        (after, last) = (user.email.as_str().to_ascii_lowercase(), user.id);
        found.push(user.id.get());
    }
    assert_eq!(found, [1, 2, 4, 5, 6, 8, 3]);
    let key = EmailAddress::parse("ann@x.org").unwrap().key();
    let turns = account::with_email(&mut tx, &key, Timestamp::from_micros(50), 5).await.unwrap();
    assert_eq!(turns.iter().map(|id| id.get()).collect::<Vec<_>>(), [4, 1, 2]);
}

#[tokio::test]
async fn accounts_that_share_a_key_are_found_with_those_that_claim_theirs() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let mut tx = scratch.db.begin().await.unwrap();
    for (name, key, claim) in
        [("anna", "anna", true), ("Ann", "ann", true), ("ann", "ann", false), ("ben", "ben", true)]
    {
        let insert = "INSERT INTO users (username, username_key, username_claim, email, password_hash, password_scheme, created_at) VALUES ($1, $2, $3, '', '', '', 1)";
        tx.execute(insert, &[name.into(), key.into(), claim.then_some(key).into()]).await.unwrap();
    }
    let (mut found, mut after, mut last) = (Vec::new(), String::new(), UserId::new(0));
    loop {
        let prefix = user_search::Prefix { of: "an", after: &after };
        let page = user_search::by_name(&mut tx, prefix, last, user_search::State::Any, 1).await.unwrap();
        let [user] = page.as_slice() else { break };
        (after, last) = (user.username.key().as_str().to_owned(), user.id);
        found.push(user.username.as_str().to_owned());
    }
    assert_eq!(found, ["Ann", "ann", "anna"]);
    let spelled = async |tx: &mut Tx, name: &str| {
        let name = Username::from_stored(name.to_owned());
        let found = user::find_credentials(tx, name.as_str(), &name.key()).await.unwrap();
        found.map(|found| found.user.username.as_str().to_owned())
    };
    assert_eq!(spelled(&mut tx, "ANN").await, None, "two have this key");
    assert_eq!(spelled(&mut tx, "BEN").await.as_deref(), Some("ben"));
    assert_eq!(spelled(&mut tx, "ann").await.as_deref(), Some("ann"));
}

fn named<'a>(
    id: Option<i64>,
    username: &'a Username,
    claims_key: bool,
    email: &'a EmailAddress,
) -> user::NewUser<'a> {
    user::NewUser {
        id: id.map(UserId::new),
        username,
        claims_key,
        email,
        first_name: "",
        last_name: "",
        password: user::NewPassword { hash: "h", scheme: "s", trims: false },
        is_staff: false,
        is_superuser: false,
        created_at: Timestamp::from_seconds(1),
        last_login_at: None,
        disabled_at: None,
    }
}

/// LG-03: whichever of two accounts claims the key of their name, and in whatever way they are written.
#[tokio::test]
async fn no_two_accounts_have_one_exact_name() {
    let email = EmailAddress::from_stored(String::new());
    let [lower, upper] = ["ann", "Ann"].map(|name| Username::from_stored(name.to_owned()));
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let scratch = any().await;
        migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
        let mut tx = scratch.db.begin().await.unwrap();
        user::insert(&mut tx, &named(Some(5), &lower, first, &email)).await.unwrap();
        // The same name but for its case; so nobody may have claimed their key.
        user::insert(&mut tx, &named(Some(6), &upper, false, &email)).await.unwrap();
        tx.commit().await.unwrap();

        let key = lower.key();
        let twin = imported_user::Fresh {
            user: named(Some(7), &lower, true, &email),
            key: &key,
            source_digest: [1; 32],
            our_digest: [1; 32],
        };
        let mut tx = scratch.db.begin().await.unwrap();
        assert_eq!(imported_user::insert_fresh(&mut tx, "django", &[twin]).await.unwrap(), [false]);
        drop(tx);
        let mut tx = scratch.db.begin().await.unwrap();
        let made = user::insert(&mut tx, &named(None, &lower, second, &email)).await;
        assert!(matches!(made, Err(Error::Conflict)), "{first} {second}: {made:?}");
        drop(tx);
        let mut tx = scratch.db.begin().await.unwrap();
        let now = Timestamp::from_seconds(2);
        let renamed = imported_user::update_user(
            &mut tx,
            UserId::new(6),
            &named(None, &lower, false, &email),
            false,
            now,
        )
        .await;
        assert!(matches!(renamed, Err(Error::Conflict)), "{first} {second}: {renamed:?}");
        drop(tx);

        let mut tx = scratch.db.begin().await.unwrap();
        assert!(
            user::name_taken(&mut tx, &lower).await.unwrap()
                && user::name_taken(&mut tx, &upper).await.unwrap()
        );
        let other = imported_user::other_with_name(&mut tx, &lower, UserId::new(6)).await.unwrap();
        assert_eq!(other, Some(UserId::new(5)));
        for (id, name) in [(5, &lower), (6, &upper)] {
            let found = user::find_credentials(&mut tx, name.as_str(), &key).await.unwrap().unwrap();
            assert_eq!(found.user.id, UserId::new(id));
        }
    }
}

#[tokio::test]
async fn requests_for_recovery_are_bounded() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let mut tx = scratch.db.begin().await.unwrap();
    for number in 0..3 {
        let request = recovery_request::RecoveryRequest {
            id: [number; 16],
            username: Some("ann".to_owned()),
            email: None,
        };
        recovery_request::insert(&mut tx, &request, Timestamp::from_seconds(1)).await.unwrap();
    }
    assert!(recovery_request::is_full(&mut tx, 2).await.unwrap());
    assert!(!recovery_request::is_full(&mut tx, 3).await.unwrap());
}

#[tokio::test]
async fn readiness_writes() {
    let scratch = any().await;
    assert!(scratch.db.check_writable().await.is_err(), "there is no table yet");
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let before = scratch.db.stats().groups;
    scratch.db.check_writable().await.unwrap();
    assert_eq!(scratch.db.stats().groups, before + 1);
}

/// When sessions of [`advancing_is_deciding_and_rotating`] begin.
const LOGIN: Timestamp = Timestamp::from_seconds(1_000);
const LIFETIMES: Lifetimes = Lifetimes { idle: Duration::from_secs(100), absolute: Duration::from_secs(150) };
const SET_USER: &str = "UPDATE users SET epoch = $1, disabled_at = $2";

/// One of all that a refresh may meet.
#[derive(Clone, Copy, Debug)]
struct Case {
    revoked: bool,
    disabled: bool,
    others: bool,
    user_epoch: u32,
    presented: Jti,
    /// Seconds after the login.
    age: u64,
}

fn cases() -> impl Iterator<Item = Case> {
    let jtis = [1, 2, 3].map(|byte| Jti::from_bytes([byte; 16]));
    (0..8_u32).flat_map(move |bits| {
        [0, 1, 2].into_iter().flat_map(move |user_epoch| {
            jtis.into_iter().flat_map(move |presented| {
                [0, 60, 99, 100, 149, 150].map(|age| Case {
                    revoked: bits & 1 != 0,
                    disabled: bits & 2 != 0,
                    others: bits & 4 != 0,
                    user_epoch,
                    presented,
                    age,
                })
            })
        })
    })
}

// RF-02: the statement takes exactly what `decide` would rotate, and leaves what `rotate` would.
#[tokio::test]
async fn advancing_is_deciding_and_rotating() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let mut tx = scratch.db.begin().await.unwrap();
    let insert = "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) VALUES ('u', 'u', '', '', '', 1) RETURNING id";
    let row = tx.query_opt(insert, &[]).await.unwrap().unwrap();
    let user = UserId::new(row.int(0).unwrap());
    tx.commit().await.unwrap();
    let mut rotations = 0;
    for (number, case) in (1_u64..).zip(cases()) {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        rotations += u32::from(check(&scratch.db, user, SessionId::new(bytes, 1), case).await);
    }
    assert_eq!(rotations, 2 * 4, "with epoch 0 or 1, the current token, and time left");
}

/// Whether the session was rotated.
async fn check(db: &store::Db, user: UserId, id: SessionId, case: Case) -> bool {
    let mut session = Session::open(id, user, Jti::from_bytes([1; 16]), LIFETIMES, LOGIN);
    session.previous_jti = Some(Jti::from_bytes([2; 16]));
    if case.age > 100 {
        // So that the absolute limit alone counts.
        session.idle_expires_at = session.expires_at + LIFETIMES.idle;
    }
    let now = LOGIN + Duration::from_secs(case.age);
    let mut tx = db.begin().await.unwrap();
    let disabled_at = case.disabled.then_some(5_i64);
    tx.execute(SET_USER, &[i64::from(case.user_epoch).into(), disabled_at.into()]).await.unwrap();
    assert!(session::insert(&mut tx, &session, LOGIN).await.unwrap());
    if case.revoked {
        assert!(session::revoke(&mut tx, id, LOGIN).await.unwrap());
        session.revoked_at = Some(LOGIN);
    }
    tx.commit().await.unwrap();

    let decision = decide(&session, case.presented, case.user_epoch, Duration::ZERO, now);
    let good = decision == RefreshDecision::Rotate && !case.disabled && !case.others;
    let next = Jti::from_bytes([9; 16]);
    let named = UserId::new(user.get() + i64::from(case.others));
    let idle_expires_at = now + LIFETIMES.idle;
    let asked = Advance { id, user: named, presented: case.presented, next, now, idle_expires_at };
    let advanced = session::advance(db, asked).await.unwrap();
    let mut expected = good.then(|| rotate(&session, next, LIFETIMES.idle, now));
    if let (Some(advanced), Some(expected)) = (&advanced, &mut expected) {
        // Its place in the line may have taken a moment.
        assert!(advanced.rotated_at.since(now) < Duration::from_secs(20) && advanced.rotated_at >= now);
        expected.rotated_at = advanced.rotated_at;
    }
    assert_eq!(advanced, expected, "{case:?}");
    let mut tx = db.read().await.unwrap();
    let found = session::find(&mut tx, id).await.unwrap().unwrap().session;
    assert_eq!(found, expected.unwrap_or(session), "{case:?}");
    good
}

// LG-08: what is added to a rate is what `Rate::together` answers, whatever stands there.
#[tokio::test]
async fn adding_to_a_rate_is_what_the_rule_says() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let rate = Rate::new(10, Duration::from_secs(6));
    let now = Timestamp::from_seconds(1_000_000);
    let slot = network_rate::Slot { kind: 1, number: 7 };
    // Nothing there, whole long ago, in between, empty, a clock a little ahead, and one that was wrong.
    let standing =
        [None, Some(-900), Some(0), Some(1), Some(25), Some(60), Some(119), Some(121), Some(179), Some(181)];
    for stands in standing.map(|ahead| ahead.map(|ahead| now.seconds() + ahead)) {
        for takes in [-20, -2, 1, 3, 7, 40] {
            let mut tx = scratch.db.begin().await.unwrap();
            tx.execute("DELETE FROM network_rates", &[]).await.unwrap();
            if let Some(stands) = stands.map(Timestamp::from_seconds) {
                let insert =
                    "INSERT INTO network_rates (kind, slot, whole_at, changed_at) VALUES (1, 7, $1, 0)";
                tx.execute(insert, &[stands.micros().into()]).await.unwrap();
            }
            network_rate::add(&mut tx, slot, rate, takes, now).unwrap();
            tx.commit().await.unwrap();
            let told = Timestamp::from_seconds(stands.unwrap_or(0));
            let mut tx = scratch.db.read().await.unwrap();
            let first = network_rate::Slot { kind: -1, number: -1 };
            let found = network_rate::changed_after(&mut tx, (now, first), 10).await.unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].slot, found[0].changed_at), (slot, now));
            let is = rate.together(found[0].whole_at, 0, now);
            assert_eq!(is, rate.together(told, takes, now), "{takes} takes on {stands:?}");
        }
    }
    assert_eq!(network_rate::purge(&mut scratch.db.begin().await.unwrap(), now, 10).await.unwrap(), 0);
}
