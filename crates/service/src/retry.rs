//! A use case that another transaction was in the way of starts again, a few times: the server has taken back all of it.

use std::time::Duration;

use crate::error::Result;

/// A use case runs so often at most.
const TURNS: u32 = 4;
/// The longest pause before the second turn; it doubles with every further one.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a use case until it is not in the way of another transaction, a few times.
pub(crate) async fn turns<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut turn = 0;
    loop {
        let done = attempt().await;
        if !again(&done, &mut turn).await {
            return done;
        }
    }
}

/// Whether a use case that ended like this is to run again from its start; then it has waited for a moment that differs
/// from one caller to the next, so that those who met do not meet again.
pub(crate) async fn again<T>(done: &Result<T>, turn: &mut u32) -> bool {
    let Err(error) = done else { return false };
    *turn += 1;
    if !error.is_contention() || *turn >= TURNS {
        return false;
    }
    let most = PAUSE * (1 << (*turn - 1));
    let share = u32::from(crypto::random::fill::<1>()[0]);
    tokio::time::sleep(most * share / 255).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[tokio::test]
    async fn contention_is_tried_again_three_times_and_nothing_else_is() {
        let mut runs = 0;
        let mut turn = 0;
        loop {
            runs += 1;
            let done: Result<()> = Err(store::Error::Contention.into());
            if !again(&done, &mut turn).await {
                assert!(done.is_err_and(|error| error.is_unavailable()), "503 and Retry-After");
                break;
            }
        }
        assert_eq!(runs, 4, "the first run and three more");
        // A COMMIT whose answer was lost may have been carried out: whether to ask again is the client's to say.
        let lost = store::Error::Unavailable(std::sync::Arc::new(std::io::Error::other("cut")));
        for other in [lost, store::Error::Busy, store::Error::Conflict] {
            assert!(!again(&Err::<(), Error>(other.into()), &mut 0).await);
        }
        assert!(!again(&Ok(()), &mut 0).await);
    }
}
