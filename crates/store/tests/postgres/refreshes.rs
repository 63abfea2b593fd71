//! Refreshes that go to the server together.

use std::collections::HashSet;
use std::time::Duration;

use domain::session::{Jti, Lifetimes, Session, SessionId};
use domain::time::Timestamp;
use domain::user::UserId;
use futures_util::future::{FutureExt, join_all};
use store::migrate::{Mode, migrate};
use store::session::{self, Advance};
use store::{Db, Error};
use testdb::Place;

const LOGIN: Timestamp = Timestamp::from_seconds(1_000);
const NOW: Timestamp = Timestamp::from_seconds(1_001);
const LIFETIMES: Lifetimes = Lifetimes { idle: Duration::from_secs(100), absolute: Duration::from_secs(500) };

/// A database with sessions of one user.
struct Given {
    db: Db,
    place: Place,
    user: UserId,
}

async fn given(sessions: u64) -> Given {
    let place = Place::new().await;
    let db = place.open().await;
    migrate(&db, Mode::Auto, LOGIN).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let insert = "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) VALUES ('u', 'u', '', '', '', 1) RETURNING id";
    let user = UserId::new(tx.query_opt(insert, &[]).await.unwrap().unwrap().int(0).unwrap());
    for number in 0..sessions {
        let session = Session::open(id(number), user, current(number), LIFETIMES, LOGIN);
        assert!(session::insert(&mut tx, &session, LOGIN).await.unwrap());
    }
    tx.commit().await.unwrap();
    Given { db, place, user }
}

fn id(number: u64) -> SessionId {
    // Not in the order of their numbers.
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SessionId::new(bytes, 0)
}

fn jti(kind: u64, number: u64) -> Jti {
    Jti::from_bytes(((u128::from(kind) << 64) | u128::from(number)).to_be_bytes())
}

fn current(number: u64) -> Jti {
    jti(1, number)
}

impl Given {
    fn asked(&self, number: u64) -> Advance {
        let (presented, next) = (current(number), jti(2, number));
        let idle_expires_at = NOW + LIFETIMES.idle;
        Advance { id: id(number), user: self.user, presented, next, now: NOW, idle_expires_at }
    }
}

#[tokio::test]
async fn many_sessions_share_a_statement_and_each_caller_gets_its_own() {
    let given = given(200).await;
    let before = given.db.stats().commits;
    let all = (0..200).map(|number| {
        let mut asked = given.asked(number);
        if number % 10 == 3 {
            asked.presented = jti(7, number); // not its token
        }
        session::advance(&given.db, asked)
    });
    for (number, answer) in (0..).zip(join_all(all).await) {
        let advanced = answer.unwrap();
        if number % 10 == 3 {
            assert_eq!(advanced, None);
            continue;
        }
        let advanced = advanced.unwrap();
        assert_eq!((advanced.id, advanced.generation), (id(number), 1));
        assert_eq!((advanced.jti, advanced.previous_jti), (jti(2, number), Some(current(number))));
    }
    let statements = given.db.stats().commits - before;
    assert!((4..20).contains(&statements), "{statements} statements for 200 refreshes");
}

// RF-02, within one process: one of them at most is let through, the others are told to look.
#[tokio::test]
async fn one_session_is_advanced_once_whoever_asks() {
    let given = given(4).await;
    let all = (0..100).map(|turn| {
        let mut asked = given.asked(turn % 4);
        asked.next = jti(3, turn);
        session::advance(&given.db, asked)
    });
    let won: Vec<Session> = join_all(all).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won.len(), 4);
    assert_eq!(won.iter().map(|session| session.id).collect::<HashSet<_>>().len(), 4);
    let mut tx = given.db.read().await.unwrap();
    for session in won {
        let found = session::find(&mut tx, session.id).await.unwrap().unwrap();
        assert_eq!((found.session.jti, found.session.generation), (session.jti, 1));
    }
}

#[tokio::test]
async fn a_row_that_somebody_holds_delays_nobody() {
    let given = given(10).await;
    let mut holder = given.db.begin().await.unwrap();
    assert!(session::revoke(&mut holder, id(4), NOW).await.unwrap());
    // It is not committed, so a statement that waited for it would wait until its limit, and this with it.
    for (number, answer) in
        (0..).zip(join_all((0..10).map(|number| session::advance(&given.db, given.asked(number)))).await)
    {
        assert_eq!(answer.unwrap().is_some(), number != 4, "{number}");
    }
    holder.commit().await.unwrap();
    assert_eq!(session::advance(&given.db, given.asked(4)).await.unwrap(), None, "it has ended");
}

#[tokio::test]
async fn two_replicas_with_the_same_sessions_are_never_in_each_others_way() {
    let given = given(64).await;
    let other = given.place.open().await;
    for round in 0..20 {
        let asked = |number: u64, replica: u64| Advance {
            presented: if round == 0 { current(number) } else { jti(100 + round - 1, number) },
            next: jti(if replica == 0 { 100 + round } else { 10_000 + round }, number),
            ..given.asked(number)
        };
        let ours = join_all((0..64).map(|number| session::advance(&given.db, asked(number, 0))));
        let theirs = join_all((0..64).rev().map(|number| session::advance(&other, asked(number, 1))));
        let (ours, theirs) = tokio::join!(ours, theirs);
        let ours: Vec<bool> = ours.into_iter().map(|answer| answer.unwrap().is_some()).collect();
        let theirs: Vec<bool> = theirs.into_iter().rev().map(|answer| answer.unwrap().is_some()).collect();
        for (number, (ours, theirs)) in (0..).zip(ours.into_iter().zip(theirs)) {
            assert!(!(ours && theirs), "session {number} went two ways");
            // The next round begins with the successor of this replica.
            set_current(&given.db, number, jti(100 + round, number)).await;
        }
    }
}

async fn set_current(db: &Db, number: u64, current: Jti) {
    let mut tx = db.begin().await.unwrap();
    let sql = "UPDATE sessions SET jti = $2 WHERE id = $1";
    let id = id(number);
    let params = [id.as_bytes().as_slice().into(), current.as_bytes().as_slice().into()];
    assert_eq!(tx.execute(sql, &params).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_leaves_takes_nothing_with_it() {
    let given = given(50).await;
    for number in 0..25 {
        // Polled once: it stands in line, or is at work.
        assert!(session::advance(&given.db, given.asked(number)).now_or_never().is_none());
    }
    let others = join_all((25..50).map(|number| session::advance(&given.db, given.asked(number)))).await;
    assert!(others.into_iter().all(|answer| answer.unwrap().is_some()));
    // Those who left may come again; what was at work for them has been done, or is about to be.
    for number in 0..25 {
        let come_again = async {
            loop {
                session::advance(&given.db, given.asked(number)).await.unwrap();
                let mut tx = given.db.read().await.unwrap();
                let found = session::find(&mut tx, id(number)).await.unwrap().unwrap().session;
                if found.generation > 0 {
                    return (found.generation, found.jti);
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), come_again).await.unwrap();
        assert_eq!(found, (1, jti(2, number)));
    }
}

// RF-03: who is not answered because the server took long has the grace to ask again.
#[tokio::test]
async fn the_grace_begins_when_the_statement_is_sent() {
    let given = given(1).await;
    let mut options = given.place.postgres_options().unwrap();
    options.pool = 1;
    let narrow = Db::open_postgres(options).await.unwrap();
    let holder = narrow.begin().await.unwrap();
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        drop(holder);
    };
    let (advanced, ()) = tokio::join!(session::advance(&narrow, given.asked(0)), waiting);
    let advanced = advanced.unwrap().unwrap();
    assert!(advanced.rotated_at.since(NOW) >= Duration::from_secs(1), "{advanced:?}");
    assert_eq!(advanced.idle_expires_at, NOW + LIFETIMES.idle, "and it is not good for longer");
}

#[tokio::test]
async fn a_closed_database_tells_everyone() {
    let given = given(10).await;
    given.db.close().await;
    let all = join_all((0..10).map(|number| session::advance(&given.db, given.asked(number)))).await;
    assert!(all.into_iter().all(|answer| matches!(answer, Err(Error::Closed))));
}
