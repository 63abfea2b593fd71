use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn network(n: u32) -> Network {
    Network::of(IpAddr::V4(Ipv4Addr::from(0xcb00_7100 + n)))
}

fn fail(log: &mut FailureLog, network: Network, times: u32, now: i64) -> i64 {
    let mut now = now;
    for _ in 0..times {
        if let Err(wait) = log.reserve(network, at(now)) {
            now += wait.as_secs() as i64;
            log.reserve(network, at(now)).expect("whoever waits as told may try");
        }
    }
    now
}

// LG-04
#[test]
fn five_failures_are_free_then_delays_grow_to_an_hour_and_stay() {
    let mut log = FailureLog::default();
    let mut now = fail(&mut log, network(1), 5, 0);
    assert_eq!(now, 0);
    for wait in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
        assert_eq!(log.reserve(network(1), at(now)), Err(Duration::from_secs(wait)));
        assert_eq!(log.reserve(network(1), at(now + 1)), Err(Duration::from_secs(wait - 1)));
        now += wait as i64;
        assert_eq!(log.reserve(network(1), at(now)), Ok(()));
    }
}

// LG-04: attempts made at the same moment, on however many replicas, are counted before any is checked.
#[test]
fn attempts_at_one_moment_do_not_pass_together() {
    let mut log = FailureLog::default();
    let passed = (0..200).filter(|_| log.reserve(network(1), at(7)).is_ok()).count();
    assert_eq!(passed, 5);
}

#[test]
fn a_refusal_changes_nothing() {
    let mut log = FailureLog::default();
    fail(&mut log, network(1), 5, 0);
    let before = log.clone();
    assert!(log.reserve(network(1), at(1)).is_err());
    assert_eq!(log, before);
}

#[test]
fn a_success_clears_the_failures_of_its_network_only() {
    let mut log = FailureLog::default();
    fail(&mut log, network(1), 5, 0);
    fail(&mut log, network(2), 5, 0);
    log.succeeded(network(1), at(0));
    assert_eq!(log.reserve(network(1), at(0)), Ok(()));
    assert_eq!(log.reserve(network(2), at(0)), Err(FIRST_DELAY));
}

#[test]
fn failures_are_forgotten_after_a_day_without_another() {
    let mut log = FailureLog::default();
    let now = fail(&mut log, network(1), 20, 0);
    let day = FORGOTTEN_AFTER.as_secs() as i64;
    assert!(!log.is_empty(at(now + day)), "they are still consecutive");
    let mut later = log.clone();
    assert_eq!(fail(&mut later, network(1), 5, now + day), now + day);
    assert!(log.reserve(network(1), at(now + day - 1)).is_ok());
    assert_eq!(
        log.reserve(network(1), at(now + day)),
        Err(Duration::from_secs(3599)),
        "one a day is still counted"
    );
}

// LG-04, LG-08: guessing from many places is slowed, and the owner's own networks do not feel it.
#[test]
fn many_networks_share_one_account_wide_delay() {
    let mut log = FailureLog::default();
    let home = network(1000);
    log.reserve(home, at(0)).expect("free");
    log.succeeded(home, at(0));
    let passed = (0..200).filter(|n| log.reserve(network(*n), at(1)).is_ok()).count();
    assert_eq!(passed, 50);
    assert_eq!(log.reserve(network(500), at(1)), Err(FIRST_DELAY));
    assert_eq!(log.reserve(home, at(1)), Ok(()), "a known network");
    log.succeeded(home, at(1));
    assert!(log.reserve(network(500), at(2)).is_err(), "the owner's login gives the others nothing");
    let mut now = 1;
    for n in 600..640 {
        now = fail(&mut log, network(n), 1, now);
    }
    let longest = log.reserve(network(700), at(now)).expect_err("delayed");
    assert_eq!(longest, PER_ACCOUNT.longest);
}

#[test]
fn a_known_network_is_forgotten_after_thirty_days_and_not_by_strangers() {
    let mut log = FailureLog::default();
    let home = network(1000);
    log.succeeded(home, at(0));
    let known_for = KNOWN_FOR.as_secs() as i64;
    assert!(log.knows(home, at(known_for - 1)) && !log.knows(home, at(known_for)));
    assert!(!log.knows(network(1), at(0)));
    for now in [1, known_for - 1] {
        for n in 0..100 {
            let _ = log.reserve(network(n), at(now));
        }
        assert!(log.reserve(network(500), at(now)).is_err());
        assert_eq!(log.reserve(home, at(now)), Ok(()));
    }
    assert!(log.reserve(home, at(known_for)).is_err(), "no longer known, so the account-wide delay holds");
}

#[test]
fn the_known_network_heard_of_longest_ago_makes_room_when_all_are_known() {
    let mut log = FailureLog::default();
    for n in 0..8 {
        log.succeeded(network(n), at(i64::from(n)));
    }
    fail(&mut log, network(100), 1, 10);
    let now = fail(&mut log, network(101), 60, 10);
    let known: Vec<u32> = (0..8).filter(|n| log.clone().reserve(network(*n), at(now)).is_ok()).collect();
    assert_eq!(known, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_cancelled_attempt_costs_nothing() {
    let mut log = FailureLog::default();
    let now = fail(&mut log, network(1), 8, 0);
    let wait = log.reserve(network(1), at(now)).expect_err("delayed").as_secs() as i64;
    let next = now + wait;
    log.reserve(network(1), at(next)).expect("waited");
    log.cancelled(network(1), at(next));
    assert_eq!(log.reserve(network(1), at(next)), Ok(()), "the attempt that was allowed may be made again");
    assert_eq!(log.reserve(network(1), at(next)), Err(Duration::from_secs(2 * wait as u64)));
    let mut fresh = FailureLog::default();
    fresh.reserve(network(1), at(0)).expect("free");
    fresh.cancelled(network(1), at(0));
    assert!(fresh.is_empty(at(0)));
    assert_eq!(fresh.consecutive, Default::default());
    fresh.cancelled(network(2), at(0));
}

#[test]
fn a_clock_that_was_wrong_locks_nobody_out() {
    let mut log = FailureLog::default();
    fail(&mut log, network(1), 9, 4_000_000_000);
    assert_eq!(log.reserve(network(1), at(1_800_000_000)), Ok(()));
    let mut skewed = FailureLog::default();
    fail(&mut skewed, network(1), 5, 100);
    assert_eq!(
        skewed.reserve(network(1), at(98)),
        Err(Duration::from_secs(32)),
        "two replicas differ a little"
    );
}

// LG-05: what is written is what is read; LG-04: and it is small, whatever happened.
#[test]
fn logs_survive_storage() {
    let mut log = FailureLog::default();
    assert!(log.encode().is_empty());
    for n in 0..300_u64 {
        let v6 = IpAddr::from([0x2001, 0xdb8, 0, n as u16, 0, 0, 0, 1]);
        let _ = log.reserve(Network::of(v6), Timestamp::from_micros(n as i64 * 1_000_003));
        log.succeeded(network(n as u32 % 3), at(n as i64));
    }
    let bytes = log.encode();
    assert!(bytes.len() <= 1 + 12 + 8 + 8 * (1 + 8 + 12 + 8), "{}", bytes.len());
    assert_eq!(FailureLog::decode(&bytes), log);
    assert_eq!(FailureLog::decode(b""), FailureLog::default());
    assert_eq!(FailureLog::decode(&bytes[..bytes.len() - 1]), FailureLog::default());
}

#[derive(Clone, Debug)]
enum Event {
    Try,
    TryAndSucceed,
    TryAndCancel,
}

fn events() -> impl Strategy<Value = Vec<(u32, i64, Event)>> {
    let event =
        prop_oneof![6 => Just(Event::Try), 1 => Just(Event::TryAndSucceed), 1 => Just(Event::TryAndCancel)];
    prop::collection::vec((0..12_u32, prop_oneof![0..3_i64, 0..4000_i64], event), 1..200)
}

proptest! {
    #[test]
    fn whoever_waits_as_told_may_try(events in events()) {
        let mut log = FailureLog::default();
        let mut now = 0;
        for (who, wait, event) in events {
            now += wait;
            let refused = log.clone().reserve(network(who), at(now)).err();
            if let Some(wait) = refused {
                prop_assert!(!wait.is_zero() && wait <= PER_NETWORK.longest);
                prop_assert_eq!(log.clone().reserve(network(who), at(now) + wait), Ok(()));
                continue;
            }
            log.reserve(network(who), at(now)).expect("as on the copy");
            match event {
                Event::Try => {}
                Event::TryAndSucceed => log.succeeded(network(who), at(now)),
                Event::TryAndCancel => log.cancelled(network(who), at(now)),
            }
            prop_assert_eq!(&FailureLog::decode(&log.encode()), &log);
        }
    }

    // LG-04: the most that one network can try in a day, whatever its timing.
    #[test]
    fn one_network_gets_few_attempts_a_day(waits in prop::collection::vec(0..600_i64, 500)) {
        let mut log = FailureLog::default();
        let (mut now, mut passed) = (0, 0);
        for wait in waits {
            now = (now + wait).min(86_399);
            passed += u32::from(log.reserve(network(1), at(now)).is_ok());
        }
        prop_assert!(passed <= 5 + 7 + 24, "{passed}");
    }

    #[test]
    fn whatever_is_stored_nothing_panics(bytes: Vec<u8>, who: u32, now: i64) {
        let versions = [1, 2].map(|version| [&[version], &bytes[..]].concat());
        for bytes in versions.into_iter().chain([bytes]) {
            let mut log = FailureLog::decode(&bytes);
            let now = Timestamp::from_micros(now);
            let _ = log.reserve(network(who % 1000), now);
            log.cancelled(network(who % 1000), now);
            log.succeeded(network(who % 1000), now);
            let _ = log.is_empty(now);
            prop_assert!(log.encode().len() <= 1 + 12 + 8 + 8 * 29);
        }
    }
}

// LG-04: requests that overlap come in another order than their times say.
#[test]
fn an_attempt_that_comes_late_waits_for_no_delay_that_is_not_due() {
    let mut log = FailureLog::default();
    assert_eq!(log.reserve(network(1), at(10)), Ok(()));
    assert_eq!(log.reserve(network(1), at(8)), Ok(()));
    fail(&mut log, network(1), 3, 9);
    assert_eq!(log.reserve(network(1), at(9)), Err(Duration::from_secs(31)), "five failures, the last at 10");
}

/// The log of an account whose owner is at home, and of whom strangers have tried so many passwords, one a day.
fn tried_by_strangers(times: u32) -> (FailureLog, i64) {
    let mut log = FailureLog::default();
    log.reserve(network(1000), at(0)).expect("free");
    log.succeeded(network(1000), at(0));
    let mut now = 0;
    for n in 0..times {
        now += FORGOTTEN_AFTER.as_secs() as i64;
        log.reserve(network(1000), at(now)).expect("at home");
        log.succeeded(network(1000), at(now));
        log.consecutive.from_strangers = n;
        log.reserve(network(n % 500), at(now)).expect("one a day");
    }
    (log, now)
}

// LG-04: NIST SP 800-63B-4, 3.2.2. However slowly.
#[test]
fn the_hundredth_consecutive_failure_is_the_last_and_the_owner_at_home_does_not_feel_it() {
    let (mut log, now) = tried_by_strangers(99);
    let (home, stranger) = (network(1000), network(7));
    assert!(log.is_about_to_stop(stranger, at(now)) && !log.is_stopped(stranger, at(now)));
    let before = log.clone();
    log.reserve(network(501), at(now)).expect("the last");
    for years in [0, 1, 10] {
        let then = at(now + years * 365 * FORGOTTEN_AFTER.as_secs() as i64);
        assert!(
            log.is_stopped(stranger, then) && !log.is_about_to_stop(stranger, then),
            "no time takes it away"
        );
    }
    assert!(!log.is_stopped(home, at(now)));
    log.succeeded(home, at(now));
    assert!(log.is_stopped(stranger, at(now)), "a login at home does not give strangers a hundred more");
    let mut lucky = before;
    lucky.reserve(stranger, at(now)).expect("the last");
    lucky.succeeded(stranger, at(now));
    assert!(!lucky.is_stopped(network(8), at(now)) && !lucky.is_about_to_stop(network(8), at(now)));
}

#[test]
fn failures_are_consecutive_until_a_login_from_wherever() {
    let (mut log, now) = tried_by_strangers(60);
    assert_eq!(log.consecutive.from_strangers, 60);
    log.reserve(network(1000), at(now)).expect("at home");
    assert_eq!((log.consecutive.from_strangers, log.consecutive.from_known), (60, 1));
    log.succeeded(network(1000), at(now));
    assert_eq!(log.consecutive, Default::default());
}

#[test]
fn logs_of_the_first_version_are_read() {
    let mut log = FailureLog::default();
    log.succeeded(network(1), at(0));
    fail(&mut log, network(2), 3, 10);
    let mut bytes = log.encode();
    bytes.drain(13..21);
    bytes[0] = 1;
    log.consecutive = Default::default();
    assert_eq!(FailureLog::decode(&bytes), log);
}

proptest! {
    // LG-04: whatever the timing and the networks, a hundred wrong passwords without a right one and no more.
    #[test]
    fn strangers_try_a_hundred_passwords_and_no_more(tries in prop::collection::vec((0..900_u32, 0..100_000_i64), 300)) {
        let (mut log, mut now, mut looked_at) = (FailureLog::default(), 0, 0);
        for (who, wait) in tries {
            now += wait;
            let stopped = log.is_stopped(network(who), at(now));
            if log.reserve(network(who), at(now)).is_ok() && !stopped {
                looked_at += 1;
            }
        }
        prop_assert!(looked_at <= MOST_CONSECUTIVE, "{looked_at}");
    }
}
