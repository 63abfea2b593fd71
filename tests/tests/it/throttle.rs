//! LG-04, LG-05, CR-08: what the service remembers of failed logins.

use testkit::process::Process;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
/// More failures than any throttle lets pass.
const MOST: usize = 40;

/// Fails to log in until the answer is 429; how many attempts were let through.
fn fail_until_throttled(service: &Process, name: &str) -> usize {
    for attempt in 0..MOST {
        let answer = service.try_login(name, "wrong-guess-number-9");
        match answer.status {
            401 => {}
            429 => {
                assert!(
                    answer.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)),
                    "{answer:?}"
                );
                return attempt;
            }
            _ => panic!("{answer:?}"),
        }
    }
    panic!("{MOST} wrong passwords for {name} and no 429");
}

// LG-05: and over a crash, for accounts that exist and for names that do not.
#[test]
fn failures_are_remembered_over_a_crash() {
    let _turn = turn::beside_others();
    let mut service = Process::start(&[("THROTTLE", "on")]);
    service.register("reader", PASSWORD);
    let let_through = fail_until_throttled(&service, "reader");
    service.kill();
    service.run();
    // LG-04: not even the right password gets through while the account is throttled from this network.
    assert_eq!(service.try_login("reader", PASSWORD).status, 429);
    // LG-01, LG-08: an unknown name is throttled after as many attempts as a known one.
    service.register("neighbour", PASSWORD);
    assert_eq!(
        service.try_login("neighbour", PASSWORD).status,
        200,
        "the throttle is the account's, not everybody's"
    );
    assert_eq!(fail_until_throttled(&service, "nobody-at-all"), let_through);
    service.kill();
    service.run();
    assert_eq!(service.try_login("nobody-at-all", PASSWORD).status, 429);
}
