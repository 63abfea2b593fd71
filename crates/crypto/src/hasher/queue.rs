//! The order in which jobs are done, without threads or time.
//!
//! Two lanes, each with half of the capacity, so neither can keep the other out. Logins go first, but after
//! [`LOGINS_IN_A_ROW`] of them a waiting registration is next, so neither waits for ever. Within a lane it is first
//! come, first served, and one source may hold at most half of the places. Jobs that need memory beyond an arena run
//! one at a time; the others pass them meanwhile.

use std::collections::{BTreeMap, HashMap};

use super::{Cause, Lane};
use crate::password::Arena;

/// What a thread does: everything, including the answer.
pub(super) type Work = Box<dyn FnOnce(&mut Arena, &super::Shared) + Send>;

/// So many logins may pass a waiting registration.
pub(super) const LOGINS_IN_A_ROW: u32 = 3;

/// A job on its way to a thread.
pub(super) struct Job {
    pub(super) source: u64,
    /// Needs memory beyond an arena.
    pub(super) oversized: bool,
    pub(super) work: Work,
}

/// See the module.
pub(super) struct Queue {
    login: Waiting,
    registration: Waiting,
    next_ticket: u64,
    /// Logins started since the last registration.
    logins_in_a_row: u32,
    /// A job with memory of its own runs now.
    slot_taken: bool,
}

impl Queue {
    /// A queue for `capacity` jobs, at least one in each lane.
    pub(super) fn new(capacity: usize) -> Self {
        let registration = (capacity / 2).max(1);
        let login = capacity.saturating_sub(registration).max(1);
        Self {
            login: Waiting::new(login),
            registration: Waiting::new(registration),
            next_ticket: 0,
            logins_in_a_row: 0,
            slot_taken: false,
        }
    }

    /// Queues a job and returns its ticket.
    pub(super) fn push(&mut self, lane: Lane, job: Job) -> Result<u64, Cause> {
        let ticket = self.next_ticket;
        self.lane(lane).push(ticket, job)?;
        self.next_ticket += 1;
        Ok(ticket)
    }

    /// Takes a job out again, unless it was started before.
    pub(super) fn withdraw(&mut self, lane: Lane, ticket: u64) -> Option<Job> {
        self.lane(lane).remove(ticket)
    }

    /// The next job to start. An oversized one takes the slot until [`Queue::release_slot`].
    pub(super) fn pop(&mut self) -> Option<Job> {
        let registration_first = self.logins_in_a_row >= LOGINS_IN_A_ROW;
        let order = if registration_first {
            [Lane::Registration, Lane::Login]
        } else {
            [Lane::Login, Lane::Registration]
        };
        for lane in order {
            let slot_taken = self.slot_taken;
            let Some(job) = self.lane(lane).pop(slot_taken) else { continue };
            self.logins_in_a_row = match lane {
                Lane::Login => self.logins_in_a_row.saturating_add(1),
                Lane::Registration => 0,
            };
            self.slot_taken |= job.oversized;
            return Some(job);
        }
        None
    }

    /// The oversized job is done.
    pub(super) fn release_slot(&mut self) {
        self.slot_taken = false;
    }

    /// Empties the queue. The jobs are the caller's to drop, outside of any lock.
    pub(super) fn drain(&mut self) -> Vec<Job> {
        let mut jobs = self.login.drain();
        jobs.extend(self.registration.drain());
        jobs
    }

    /// Number of waiting jobs.
    pub(super) fn waiting(&self, lane: Lane) -> usize {
        match lane {
            Lane::Login => self.login.jobs.len(),
            Lane::Registration => self.registration.jobs.len(),
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut Waiting {
        match lane {
            Lane::Login => &mut self.login,
            Lane::Registration => &mut self.registration,
        }
    }
}

/// One lane.
struct Waiting {
    capacity: usize,
    /// By ticket, so in order of arrival.
    jobs: BTreeMap<u64, Job>,
    /// How many of `jobs` each source has; no entry for none.
    held: HashMap<u64, usize>,
}

impl Waiting {
    fn new(capacity: usize) -> Self {
        Self { capacity, jobs: BTreeMap::new(), held: HashMap::new() }
    }

    fn push(&mut self, ticket: u64, job: Job) -> Result<(), Cause> {
        if self.jobs.len() >= self.capacity {
            return Err(Cause::Full);
        }
        let share = (self.capacity / 2).max(1);
        let held = self.held.get(&job.source).copied().unwrap_or(0);
        if held >= share {
            return Err(Cause::Share);
        }
        self.held.insert(job.source, held + 1);
        self.jobs.insert(ticket, job);
        Ok(())
    }

    fn remove(&mut self, ticket: u64) -> Option<Job> {
        let job = self.jobs.remove(&ticket)?;
        if let Some(held) = self.held.get_mut(&job.source) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&job.source);
            }
        }
        Some(job)
    }

    fn pop(&mut self, slot_taken: bool) -> Option<Job> {
        let startable = self.jobs.iter().find(|(_, job)| !(slot_taken && job.oversized));
        let ticket = *startable?.0;
        self.remove(ticket)
    }

    fn drain(&mut self) -> Vec<Job> {
        self.held.clear();
        std::mem::take(&mut self.jobs).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Job, LOGINS_IN_A_ROW, Lane, Queue};

    fn job(source: u64) -> Job {
        Job { source, oversized: false, work: Box::new(|_, _| {}) }
    }

    fn oversized(source: u64) -> Job {
        Job { oversized: true, ..job(source) }
    }

    /// Sources of the jobs in the order in which they would be started.
    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|job| job.source).collect()
    }

    // DS-01
    #[test]
    fn a_full_lane_leaves_room_in_the_other() {
        let mut queue = Queue::new(8);
        for source in 0..4 {
            queue.push(Lane::Registration, job(source)).unwrap();
        }
        assert_eq!(queue.push(Lane::Registration, job(9)), Err(Cause::Full));
        for source in 0..4 {
            queue.push(Lane::Login, job(source)).unwrap();
        }
        assert_eq!(queue.push(Lane::Login, job(9)), Err(Cause::Full));
        assert_eq!((queue.waiting(Lane::Login), queue.waiting(Lane::Registration)), (4, 4));
    }

    // DS-01
    #[test]
    fn one_source_holds_at_most_half_of_a_lane() {
        let mut queue = Queue::new(8);
        let first = queue.push(Lane::Login, job(7)).unwrap();
        queue.push(Lane::Login, job(7)).unwrap();
        assert_eq!(queue.push(Lane::Login, job(7)), Err(Cause::Share));
        queue.push(Lane::Login, job(8)).unwrap();
        queue.push(Lane::Registration, job(7)).unwrap();
        assert!(queue.withdraw(Lane::Login, first).is_some());
        assert!(queue.withdraw(Lane::Login, first).is_none());
        queue.push(Lane::Login, job(7)).unwrap();
    }

    #[test]
    fn the_smallest_queue_still_takes_one_of_each() {
        for capacity in 0..3 {
            let mut queue = Queue::new(capacity);
            queue.push(Lane::Login, job(1)).unwrap();
            queue.push(Lane::Registration, job(1)).unwrap();
            assert_eq!(queue.push(Lane::Login, job(2)), Err(Cause::Full));
        }
    }

    #[test]
    fn logins_go_first_but_registrations_are_not_starved() {
        let mut queue = Queue::new(40);
        for source in 0..8 {
            queue.push(Lane::Registration, job(100 + source)).unwrap();
            queue.push(Lane::Login, job(source)).unwrap();
        }
        assert_eq!(LOGINS_IN_A_ROW, 3);
        assert_eq!(order(&mut queue), [0, 1, 2, 100, 3, 4, 5, 101, 6, 7, 102, 103, 104, 105, 106, 107]);
    }

    #[test]
    fn oversized_jobs_run_one_at_a_time_and_are_passed_meanwhile() {
        let mut queue = Queue::new(16);
        queue.push(Lane::Login, oversized(1)).unwrap();
        queue.push(Lane::Login, oversized(2)).unwrap();
        queue.push(Lane::Login, job(3)).unwrap();
        queue.push(Lane::Registration, job(4)).unwrap();
        assert_eq!(order(&mut queue), [1, 3, 4]);
        assert_eq!(queue.waiting(Lane::Login), 1);
        queue.release_slot();
        assert_eq!(order(&mut queue), [2]);
    }

    #[test]
    fn draining_frees_all_places() {
        let mut queue = Queue::new(4);
        for lane in [Lane::Login, Lane::Registration] {
            queue.push(lane, job(1)).unwrap();
        }
        assert_eq!(queue.drain().len(), 2);
        assert!(queue.pop().is_none());
        queue.push(Lane::Login, job(1)).unwrap();
    }
}
