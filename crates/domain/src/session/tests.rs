use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(10);
const LIFETIMES: Lifetimes =
    Lifetimes { idle: Duration::from_secs(7 * 86_400), absolute: Duration::from_secs(30 * 86_400) };

fn jti(n: u8) -> Jti {
    Jti::new([n; 16])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn session() -> Session {
    Session::open(SessionId::new([1; 12], 3), UserId::new(1), jti(0), LIFETIMES, at(0))
}

fn judge(session: &Session, presented: Jti, now: i64) -> RefreshDecision {
    decide(session, presented, 3, GRACE, at(now))
}

// RF-01
#[test]
fn a_used_token_is_dead_and_its_return_is_reuse() {
    let first = session();
    assert_eq!(judge(&first, jti(0), 100), RefreshDecision::Rotate);
    let second = rotate(&first, jti(1), LIFETIMES.idle, at(100));
    assert_eq!(second.generation, first.generation + 1);
    assert_eq!(judge(&second, jti(1), 120), RefreshDecision::Rotate);
    assert_eq!(judge(&second, jti(0), 120), RefreshDecision::Reuse);
    assert_eq!(judge(&second, jti(9), 101), RefreshDecision::Reuse, "never ours");
}

// RF-03
#[test]
fn grace_gives_the_same_successor_only_while_it_is_unused() {
    let second = rotate(&session(), jti(1), LIFETIMES.idle, at(100));
    assert_eq!(judge(&second, jti(0), 100), RefreshDecision::Redeliver);
    assert_eq!(judge(&second, jti(0), 109), RefreshDecision::Redeliver);
    assert_eq!(judge(&second, jti(0), 90), RefreshDecision::Redeliver, "the clock went back");
    assert_eq!(judge(&second, jti(0), 110), RefreshDecision::Reuse);
    assert_eq!(decide(&second, jti(0), 3, Duration::ZERO, at(100)), RefreshDecision::Reuse, "grace is off");
    let third = rotate(&second, jti(2), LIFETIMES.idle, at(101));
    assert_eq!(judge(&third, jti(0), 101), RefreshDecision::Reuse, "its successor was used");
    assert_eq!(judge(&third, jti(1), 101), RefreshDecision::Redeliver);
}

// SE-02, RF-04: the limits themselves are outside.
#[test]
fn sessions_end_at_their_idle_and_absolute_limits() {
    let idle = 7 * 86_400;
    assert_eq!(judge(&session(), jti(0), idle - 1), RefreshDecision::Rotate);
    assert_eq!(judge(&session(), jti(0), idle), RefreshDecision::Expired);
    assert_eq!(judge(&session(), jti(9), idle), RefreshDecision::Expired, "an expired session is no alarm");
    let mut daily = session();
    let mut day = 0;
    while judge(&daily, daily.jti, day * 86_400) == RefreshDecision::Rotate {
        daily = rotate(&daily, jti(day as u8 + 1), LIFETIMES.idle, at(day * 86_400));
        day += 1;
    }
    assert_eq!(day, 30, "refreshing every day does not carry a session past its absolute limit");
    assert_eq!(judge(&daily, daily.jti, 30 * 86_400), RefreshDecision::Expired);
}

#[test]
fn ended_sessions_stay_ended() {
    let revoked = Session { revoked_at: Some(at(5)), ..session() };
    assert_eq!(judge(&revoked, jti(0), 6), RefreshDecision::Ended);
    assert_eq!(judge(&revoked, jti(9), 6), RefreshDecision::Ended, "reuse is told once");
    assert_eq!(judge(&revoked, jti(0), 40 * 86_400), RefreshDecision::Ended);
    assert_eq!(
        decide(&session(), jti(0), 4, GRACE, at(6)),
        RefreshDecision::Ended,
        "a new epoch of its user"
    );
    assert_eq!(
        decide(&session(), jti(0), 2, GRACE, at(6)),
        RefreshDecision::Rotate,
        "a replica may lag behind"
    );
}

#[test]
fn a_session_shorter_than_a_refresh_token_bounds_it() {
    let short = Lifetimes { absolute: Duration::from_secs(60), ..LIFETIMES };
    let opened = Session::open(SessionId::new([1; 12], 0), UserId::new(1), jti(0), short, at(0));
    assert_eq!(opened.idle_expires_at, at(60));
    assert_eq!(rotate(&opened, jti(1), LIFETIMES.idle, at(59)).idle_expires_at, at(60));
}

/// One step of somebody who holds old tokens: waits, then presents the n-th token that was ever handed out.
#[derive(Clone, Debug)]
struct Step {
    wait: i64,
    token: usize,
    revoke: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![4 => 0..15_i64, 1 => -20..0_i64, 1 => 0..400_000_i64];
    let step = (wait, 0..4_usize, prop::bool::weighted(0.02)).prop_map(|(wait, token, revoke)| Step {
        wait,
        token,
        revoke,
    });
    prop::collection::vec(step, 1..120)
}

proptest! {
    // RF-01..RF-04: the model keeps the whole history that the row forgets.
    #[test]
    fn a_history_never_has_two_live_branches(steps in steps(), grace in 0..20_u64) {
        let grace = Duration::from_secs(grace);
        let opened = session();
        let mut row = opened.clone();
        let mut tokens = vec![row.jti];
        let mut rotations = vec![0_i64];
        let mut now = 0;
        for (n, step) in steps.iter().enumerate() {
            now += step.wait;
            if step.revoke {
                row.revoked_at = row.revoked_at.or(Some(at(now)));
            }
            let place = tokens.len() - 1 - step.token.min(tokens.len() - 1);
            let presented = tokens[place];
            let newest = place == tokens.len() - 1;
            let before = row.clone();
            match decide(&row, presented, 3, grace, at(now)) {
                RefreshDecision::Rotate => {
                    prop_assert!(newest, "only the newest token makes another");
                    row = rotate(&row, Jti::new([n as u8 + 1; 16]), LIFETIMES.idle, at(now));
                    tokens.push(row.jti);
                    rotations.push(now);
                    prop_assert_eq!(row.generation, before.generation + 1);
                    prop_assert!(row.idle_expires_at <= row.expires_at);
                }
                RefreshDecision::Redeliver => {
                    prop_assert_eq!(place + 2, tokens.len(), "only the one before the newest is answered again");
                    prop_assert!(at(now).since(at(rotations[place + 1])) < grace);
                }
                RefreshDecision::Reuse => {
                    prop_assert!(!newest);
                    row.revoked_at = Some(at(now));
                }
                RefreshDecision::Expired => prop_assert!(row.is_expired(at(now))),
                RefreshDecision::Ended => prop_assert!(row.revoked_at.is_some()),
            }
            prop_assert_eq!(row.expires_at, opened.expires_at, "the absolute limit never moves");
            prop_assert_eq!(row.jti, tokens[tokens.len() - 1], "exactly one token is good");
            prop_assert_eq!(row.rotated_at, at(rotations[rotations.len() - 1]), "redelivery does not prolong grace");
            if now >= 30 * 86_400 {
                prop_assert!(!matches!(decide(&row, row.jti, 3, grace, at(now)), RefreshDecision::Rotate));
            }
        }
    }
}
