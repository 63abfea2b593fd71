//! Whose turn it is on the write connection. Pure bookkeeping under one short lock; nothing here touches a disk.
//!
//! A *group* is one SQLite transaction, begun and committed by the writer thread. In between the connection is leased
//! to waiting callers, one after another, first come, first served. A *ticket* names one caller's lease.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::{Error, Result};

/// Most callers that may wait: beyond it the disk is not keeping up and more waiting would not help.
pub(super) const MOST_WAITING: usize = 4096;

/// Told to a caller when its turn has come, or will not.
pub(super) type Turn = oneshot::Receiver<Result<()>>;
/// Told to a caller when the group it belongs to has reached the disk, or has not.
pub(super) type Outcome = oneshot::Receiver<Result<()>>;

/// Who waits, who holds the connection, and who waits for the group's commit.
#[derive(Default)]
pub(super) struct Queue {
    last_ticket: u64,
    waiting: VecDeque<Waiting>,
    /// The lease in force; only its holder may use the connection.
    holder: Option<u64>,
    group: Option<Group>,
    closing: bool,
}

struct Waiting {
    ticket: u64,
    /// Wants a group of its own.
    alone: bool,
    turn: oneshot::Sender<Result<()>>,
}

/// The group that is being gathered.
pub(super) struct Group {
    /// Leases it may still give.
    left: usize,
    /// Whether it has given none yet.
    fresh: bool,
    /// Whether its only lease is one that wanted to be alone.
    alone: bool,
    /// Callers that have committed and wait for the disk.
    members: Vec<oneshot::Sender<Result<()>>>,
    /// Why nothing of it can be committed any more.
    broken: Option<Error>,
}

/// A group given back to the writer thread.
pub(super) struct Gathered {
    members: Vec<oneshot::Sender<Result<()>>>,
    pub(super) broken: Option<Error>,
}

impl Gathered {
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }

    pub(super) fn answer(self, result: &Result<()>) {
        for member in self.members {
            // A caller that has left does not want to know.
            let _ = member.send(result.clone());
        }
    }
}

impl Queue {
    /// Puts a caller at the end of the line; one that is to be `alone` shares its group with nobody.
    pub(super) fn join(&mut self, alone: bool) -> Result<(u64, Turn)> {
        if self.closing {
            return Err(Error::Closed);
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(Error::Busy);
        }
        self.last_ticket += 1;
        let (turn, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { ticket: self.last_ticket, alone, turn });
        Ok((self.last_ticket, receiver))
    }

    /// Takes a caller that waits no longer out of the line.
    pub(super) fn leave(&mut self, ticket: u64) {
        // Tickets only grow along the line.
        if let Ok(at) = self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket) {
            self.waiting.remove(at);
        }
    }

    pub(super) fn holds(&self, ticket: u64) -> bool {
        self.holder == Some(ticket)
    }

    pub(super) fn holder(&self) -> Option<u64> {
        self.holder
    }

    /// Why the holder cannot go on, if it cannot.
    pub(super) fn check(&self, ticket: u64) -> Result<()> {
        if !self.holds(ticket) {
            return Err(Error::unavailable("the transaction was held for too long and has been taken back"));
        }
        match self.group.as_ref().and_then(|group| group.broken.clone()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Nothing of this group can be committed any more.
    pub(super) fn spoil(&mut self, error: Error) {
        if let Some(group) = &mut self.group {
            group.broken.get_or_insert(error);
        }
    }

    pub(super) fn open_group(&mut self, batch: usize) {
        self.group =
            Some(Group { left: batch, fresh: true, alone: false, members: Vec::new(), broken: None });
        self.next();
    }

    /// The holder has done its part and waits for the disk.
    pub(super) fn finish(&mut self) -> Outcome {
        let (member, outcome) = oneshot::channel();
        if let Some(group) = &mut self.group {
            group.members.push(member);
        }
        self.next();
        outcome
    }

    /// Ends the lease in force and gives the next one, if the group has room and anyone waits.
    /// When nobody holds the connection after it, the group is complete and the writer thread is to be woken.
    pub(super) fn next(&mut self) {
        self.holder = None;
        let Some(group) = &mut self.group else { return };
        while group.left > 0 && group.broken.is_none() {
            // Whoever wants to be alone ends the group that others are in.
            let Some(next) = self.waiting.pop_front_if(|next| group.fresh || !next.alone) else { return };
            if next.turn.send(Ok(())).is_ok() {
                group.left = if next.alone { 0 } else { group.left - 1 };
                group.fresh = false;
                group.alone = next.alone;
                self.holder = Some(next.ticket);
                return;
            }
        }
    }

    /// Whether the lease in force shares its group with nobody.
    pub(super) fn is_alone(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.alone)
    }

    /// Whether a group is open: the writer thread then waits for its end, not for more callers.
    pub(super) fn is_gathering(&self) -> bool {
        self.group.is_some()
    }

    pub(super) fn take_group(&mut self) -> Gathered {
        self.holder = None;
        match self.group.take() {
            Some(group) => Gathered { members: group.members, broken: group.broken },
            None => Gathered { members: Vec::new(), broken: None },
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The youngest ticket given out so far.
    pub(super) fn last_ticket(&self) -> u64 {
        self.last_ticket
    }

    /// Tells everyone who has waited since `ticket` or longer that it was in vain.
    pub(super) fn refuse_until(&mut self, ticket: u64, error: &Error) {
        while self.waiting.front().is_some_and(|waiting| waiting.ticket <= ticket) {
            if let Some(waiting) = self.waiting.pop_front() {
                let _ = waiting.turn.send(Err(error.clone()));
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_order_and_skip_who_has_left() {
        let mut queue = Queue::default();
        let (first, mut first_turn) = queue.join(false).unwrap();
        let (_, gone) = queue.join(false).unwrap();
        let (left, _turn) = queue.join(false).unwrap();
        let (last, mut last_turn) = queue.join(false).unwrap();
        drop(gone);
        queue.leave(left);
        queue.open_group(10);
        assert!(queue.holds(first) && first_turn.try_recv().is_ok() && last_turn.try_recv().is_err());
        let _outcome = queue.finish();
        assert!(queue.holds(last) && last_turn.try_recv().is_ok() && !queue.holds(first));
        queue.next();
        assert!(queue.holder().is_none());
        assert_eq!(queue.take_group().size(), 1);
    }

    #[test]
    fn a_group_ends_when_it_is_full_or_broken() {
        let mut queue = Queue::default();
        let turns: Vec<_> = (0..4).map(|_| queue.join(false).unwrap()).collect();
        queue.open_group(2);
        let _ = (queue.finish(), queue.finish());
        assert!(queue.holder().is_none() && queue.waiting() == 2);
        assert_eq!(queue.take_group().size(), 2);
        queue.open_group(2);
        assert!(queue.holds(turns[2].0));
        queue.spoil(Error::Busy);
        assert!(queue.check(turns[2].0).is_err());
        queue.next();
        assert!(queue.holder().is_none() && queue.waiting() == 1 && queue.take_group().broken.is_some());
    }

    #[test]
    fn one_that_wants_to_be_alone_shares_its_group_with_nobody() {
        let mut queue = Queue::default();
        let turns: Vec<_> = [false, true, false].map(|alone| queue.join(alone).unwrap()).into();
        for (ticket, _) in &turns {
            queue.open_group(10);
            assert!(queue.holds(*ticket));
            assert_eq!(queue.is_alone(), *ticket == turns[1].0);
            let _outcome = queue.finish();
            assert!(queue.holder().is_none(), "the next one waits for the next group");
            assert_eq!(queue.take_group().size(), 1);
        }
        // One that leaves without a commit ends its group all the same: nothing of it may stay.
        let (alone, _turn) = queue.join(true).unwrap();
        let (_, _other) = queue.join(false).unwrap();
        queue.open_group(10);
        assert!(queue.holds(alone));
        queue.next();
        assert!(queue.holder().is_none() && queue.take_group().size() == 0);
    }

    #[test]
    fn the_line_is_bounded_and_closes() {
        let mut queue = Queue::default();
        let turns: Vec<_> = (0..MOST_WAITING).map(|_| queue.join(false).unwrap()).collect();
        assert!(matches!(queue.join(false), Err(Error::Busy)));
        queue.refuse_until(turns[9].0, &Error::Busy);
        assert_eq!(queue.waiting(), MOST_WAITING - 10);
        queue.close();
        assert!(matches!(queue.join(false), Err(Error::Closed)));
    }

    /// What the model knows of a caller that has joined.
    struct Caller {
        ticket: u64,
        turn: Option<Turn>,
        outcome: Option<Outcome>,
    }

    /// Any order of events leaves one holder at most, serves in order, and forgets nobody.
    #[test]
    fn random_histories_keep_the_promises() {
        for seed in 1..2000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut dice = move |limit: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 11) % limit
            };
            let batch = 1 + dice(4) as usize;
            let mut queue = Queue::default();
            let mut callers: Vec<Caller> = Vec::new();
            let mut served = 0;
            for _ in 0..60 {
                let at = dice(callers.len().max(1) as u64) as usize;
                match (dice(7), queue.holder()) {
                    (0 | 1, _) => {
                        let (ticket, turn) = queue.join(dice(4) == 0).unwrap();
                        callers.push(Caller { ticket, turn: Some(turn), outcome: None });
                    }
                    // Someone goes away, as a dropped lease does.
                    (2, _) if !callers.is_empty() => {
                        let gone = callers.remove(at);
                        let held = queue.holds(gone.ticket);
                        queue.leave(gone.ticket);
                        drop(gone.turn);
                        if held {
                            queue.next();
                        }
                    }
                    // A caller's future is gone, its lease not yet: the turn is skipped.
                    (3, _) if !callers.is_empty() && !queue.holds(callers[at].ticket) => {
                        callers[at].turn = None
                    }
                    (4, Some(holder)) => {
                        let caller = callers.iter_mut().find(|caller| caller.ticket == holder).unwrap();
                        caller.outcome = Some(queue.finish());
                    }
                    (5, Some(_)) => queue.spoil(Error::Busy),
                    (6, None) if queue.is_gathering() => {
                        let group = queue.take_group();
                        assert!(group.size() <= batch);
                        let result = group.broken.clone().map_or(Ok(()), Err);
                        group.answer(&result);
                        for caller in &mut callers {
                            if let Some(outcome) = &mut caller.outcome {
                                assert_eq!(outcome.try_recv().unwrap().is_ok(), result.is_ok());
                            }
                        }
                        callers.retain(|caller| caller.outcome.is_none());
                    }
                    (_, None) if !queue.is_gathering() => queue.open_group(batch),
                    _ => {}
                }
                // Whoever holds the connection came before all who wait, and after all who had it.
                if let Some(holder) = queue.holder() {
                    assert!(holder >= served && queue.waiting.iter().all(|waiting| waiting.ticket > holder));
                    assert!(
                        callers.iter().any(|caller| caller.ticket == holder),
                        "a lease nobody can give back"
                    );
                    served = holder;
                }
            }
            // Left alone, everyone who still waits for a turn gets one.
            while queue.waiting() > 0 || queue.holder().is_some() || queue.is_gathering() {
                match queue.holder() {
                    Some(_) => queue.next(),
                    None if queue.is_gathering() => queue.take_group().answer(&Ok(())),
                    None => queue.open_group(batch),
                }
            }
            for caller in callers.iter_mut().filter(|caller| caller.outcome.is_none()) {
                assert!(
                    caller.turn.as_mut().is_none_or(|turn| turn.try_recv().is_ok_and(|turn| turn.is_ok()))
                );
            }
        }
    }
}
