//! What replicas tell each other of rates: once a second, of busy slots alone, and never in a request. A slot is a keyed hash of
//! a network, so no address is stored.

use std::time::Duration;

use domain::time::Timestamp;
use store::network_rate::{self, Slot};

use super::AddressLimit;
use crate::App;
use crate::error::Result;

/// Slots that are told of in one transaction, so that no request waits long behind it.
const STEP: usize = 200;
/// Slots that are read at a time.
const PAGE: i64 = 1000;
/// A replica may commit so long after the time that it wrote, by a clock that differs a little from ours: so far we look back.
const LOOK_BACK: Duration = Duration::from_secs(5);
/// Steps of purging in one round of tidying.
const STEPS: usize = 50;

/// Tells the others what was taken and given back here since the last time. Should the answer to a commit be lost, it is told
/// twice: that errs on the safe side, and decays.
pub(crate) async fn tell(app: &App, now: Timestamp) -> Result<()> {
    for limit in AddressLimit::ALL {
        let untold = app.addresses.take_untold(limit, now);
        for (step, slots) in untold.chunks(STEP).enumerate() {
            if let Err(error) = tell_some(app, limit, slots, now).await {
                app.addresses.put_back_untold(limit, &untold[step * STEP..]);
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn tell_some(app: &App, limit: AddressLimit, slots: &[(usize, i32)], now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    for (number, takes) in slots {
        let slot = Slot { kind: limit as i64, number: *number as i64 };
        network_rate::add(&mut tx, slot, limit.rate(), *takes, now)?;
    }
    Ok(tx.commit().await?)
}

/// Hears what all have told since the last time: everything, the first time, so that a restart forgets nothing.
pub(crate) async fn hear(app: &App, now: Timestamp) -> Result<()> {
    let until = *app.addresses.heard_until.lock();
    // Also where a clock was set back: what is told from now on bears its times.
    let since = until.map_or(Timestamp::from_micros(i64::MIN), |until| until.min(now) - LOOK_BACK);
    let mut after = (since, Slot { kind: i64::MIN, number: i64::MIN });
    loop {
        let mut tx = app.db.read().await?;
        let told = network_rate::changed_after(&mut tx, after, PAGE).await?;
        drop(tx);
        for told in &told {
            let limit = AddressLimit::ALL.into_iter().find(|limit| *limit as i64 == told.slot.kind);
            // Another version may know more of them.
            if let (Some(limit), Ok(slot)) = (limit, usize::try_from(told.slot.number)) {
                app.addresses.hear(limit, slot, told.whole_at, now);
            }
        }
        match told.last() {
            Some(last) if told.len() as i64 == PAGE => after = (last.changed_at, last.slot),
            _ => break,
        }
    }
    *app.addresses.heard_until.lock() = Some(now);
    Ok(())
}

/// Removes slots whose budgets are whole again.
pub(crate) async fn tidy(app: &App, now: Timestamp) -> Result<()> {
    for _ in 0..STEPS {
        let mut tx = app.db.begin().await?;
        if network_rate::purge(&mut tx, now - LOOK_BACK, STEP as i64).await? == 0 {
            break; // nothing was written: the transaction is dropped
        }
        tx.commit().await?;
    }
    Ok(())
}
