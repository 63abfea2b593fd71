//! Refreshes that PostgreSQL is asked for together.
//!
//! A refresh is a small UPDATE, and most of what it costs a server is not the change: it is the message, the snapshot, and
//! above all the commit with its write to the disk. So callers stand in a line. While fewer than [`MOST_RUNNING`] statements
//! are at work the next one takes everyone who waits, up to [`MOST_TOGETHER`], so that a lone refresh waits for nobody and
//! many share what one costs. This is what grouped commits are on the embedded engine.
//!
//! Nobody is harmed by company. A session stands in line once: a second request for it is told to look for itself, and so
//! statements of one process never wait for each other. Rows that others hold are skipped rather than waited for, with the
//! same outcome for their callers. A caller that leaves takes nothing with it. Only when the statement as a whole fails do all
//! of its callers hear so, as they would one by one: the server is gone, or busy.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::session::{Session, SessionId};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Advance;
use crate::postgres::{Access, Engine};
use crate::{Error, Result};

/// Statements at work at the same time, each on a connection of the pool.
const MOST_RUNNING: usize = 3;
/// Refreshes in one statement.
const MOST_TOGETHER: usize = 64;
/// Refreshes that may wait: beyond it the server is not keeping up and more waiting would not help.
const MOST_WAITING: usize = 4096;
/// How long a caller waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);

type Answer = Result<Option<Session>>;

/// Who waits, and how many statements are at work.
#[derive(Default)]
pub(crate) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The sessions that wait or are at work.
    present: HashSet<SessionId>,
    running: usize,
}

struct Waiting {
    asked: Advance,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that may panic is done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Stands in line. `None` for a session that is there already.
    fn join(&mut self, asked: Advance) -> Result<Option<oneshot::Receiver<Answer>>> {
        if self.waiting.len() >= MOST_WAITING {
            return Err(Error::Busy);
        }
        if !self.present.insert(asked.id) {
            return Ok(None);
        }
        let (answer, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { asked, since: Instant::now(), answer });
        Ok(Some(receiver))
    }

    /// Goes away; false when it is too late for that.
    fn leave(&mut self, asked: &Advance) -> bool {
        let is_it = |waiting: &Waiting| waiting.asked.next == asked.next;
        let Some(at) = self.waiting.iter().position(is_it) else { return false };
        self.waiting.remove(at);
        self.present.remove(&asked.id)
    }

    /// Those who go next, when anyone waits and another statement may run.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        if self.running >= MOST_RUNNING {
            return None;
        }
        let mut taken = Vec::new();
        while taken.len() < MOST_TOGETHER {
            let Some(waiting) = self.waiting.pop_front() else { break };
            if waiting.answer.is_closed() {
                self.present.remove(&waiting.asked.id);
            } else {
                taken.push(waiting);
            }
        }
        if taken.is_empty() {
            return None;
        }
        self.running += 1;
        Some(taken)
    }

    /// A statement has ended.
    fn end(&mut self, ids: &[SessionId]) {
        self.running -= 1;
        for id in ids {
            self.present.remove(id);
        }
    }
}

/// Moves a session on together with others.
pub(super) async fn advance(engine: &Arc<Engine>, asked: Advance) -> Answer {
    let Some(mut answer) = engine.refreshes.state().join(asked)? else { return Ok(None) };
    let next = engine.refreshes.state().take();
    if let Some(callers) = next {
        tokio::spawn(run(Arc::clone(engine), callers));
    }
    let answer = match timeout(PATIENCE, &mut answer).await {
        Ok(answer) => answer,
        Err(_) if engine.refreshes.state().leave(&asked) => return Err(Error::Busy),
        Err(_) => answer.await, // every wait of a statement at work has an end
    };
    answer.unwrap_or_else(|_| Err(Error::unavailable("the statement was given up")))
}

/// Runs one statement after another until nobody waits. It belongs to none of its callers, who may leave at any moment.
async fn run(engine: Arc<Engine>, callers: Vec<Waiting>) {
    let mut next = Some(callers);
    while let Some(callers) = next {
        let turn = Turn::new(&engine.refreshes, &callers);
        let answer = ask(&engine, &callers).await;
        give(callers, answer);
        drop(turn);
        next = engine.refreshes.state().take();
    }
}

/// Ends the turn of a statement, whatever happens to it.
struct Turn<'a> {
    line: &'a Line,
    ids: Vec<SessionId>,
}

impl<'a> Turn<'a> {
    fn new(line: &'a Line, callers: &[Waiting]) -> Self {
        Self { line, ids: callers.iter().map(|caller| caller.asked.id).collect() }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.line.state().end(&self.ids);
    }
}

async fn ask(engine: &Arc<Engine>, callers: &[Waiting]) -> Result<Vec<Session>> {
    let tx = engine.begin(Access::Write).await?;
    // The grace for a repeated refresh begins when this is sent, to the second: a caller that is told nothing because the server
    // took long still has it.
    let waited = |caller: &Waiting| Duration::from_secs(caller.since.elapsed().as_secs());
    let asked = callers.iter().map(|caller| (caller.asked, caller.asked.now + waited(caller)));
    super::advance_all(tx, &asked.collect::<Vec<_>>()).await
}

/// Tells each caller what became of its session: the successor that it named says which is whose.
fn give(callers: Vec<Waiting>, answer: Result<Vec<Session>>) {
    let mut answer = answer;
    for Waiting { asked, answer: caller, .. } in callers {
        let told = match &mut answer {
            Ok(sessions) => {
                let at = sessions.iter().position(|session| session.jti == asked.next);
                Ok(at.map(|at| sessions.swap_remove(at)))
            }
            Err(error) => Err(error.clone()),
        };
        // A caller that has left does not want to know.
        let _ = caller.send(told);
    }
}

#[cfg(test)]
mod tests {
    use domain::session::Jti;
    use domain::time::Timestamp;
    use domain::user::UserId;

    use super::*;

    fn asked(number: u8) -> Advance {
        let (presented, next) = (Jti::from_bytes([1; 16]), Jti::from_bytes([number; 16]));
        let now = Timestamp::from_seconds(1);
        let id = SessionId::new([number; 12], 0);
        Advance { id, user: UserId::new(1), presented, next, now, idle_expires_at: now }
    }

    fn ids(taken: &[Waiting]) -> Vec<SessionId> {
        taken.iter().map(|waiting| waiting.asked.id).collect()
    }

    #[test]
    fn a_lone_caller_goes_at_once_and_those_who_wait_go_together_in_their_order() {
        let mut state = State::default();
        let mut answers = Vec::new();
        for number in 0..MOST_RUNNING as u8 {
            answers.push(state.join(asked(number)).unwrap().unwrap());
            assert_eq!(ids(&state.take().unwrap()), [asked(number).id]);
        }
        for number in 100..103 {
            answers.push(state.join(asked(number)).unwrap().unwrap());
            assert!(state.take().is_none(), "enough are at work");
        }
        state.end(&[asked(0).id]);
        assert_eq!(ids(&state.take().unwrap()), [100, 101, 102].map(|number| asked(number).id));
        state.end(&[100, 101, 102].map(|number| asked(number).id));
        assert!(state.take().is_none(), "nobody waits");
        assert_eq!(state.running, MOST_RUNNING - 1);
    }

    #[test]
    fn a_session_is_in_line_or_at_work_once() {
        let mut state = State::default();
        let _answer = state.join(asked(1)).unwrap().unwrap();
        assert!(state.join(asked(1)).unwrap().is_none(), "in line");
        let taken = state.take().unwrap();
        assert!(state.join(asked(1)).unwrap().is_none(), "at work");
        state.end(&ids(&taken));
        assert!(state.join(asked(1)).unwrap().is_some());
    }

    #[test]
    fn the_line_and_the_statements_are_bounded() {
        let mut state = State::default();
        let mut answers = Vec::new();
        for number in 0..MOST_WAITING {
            let mut asked = asked(1);
            asked.id = SessionId::new([0; 12], number as u32);
            answers.push(state.join(asked).unwrap().unwrap());
        }
        assert!(matches!(state.join(asked(7)), Err(Error::Busy)));
        assert_eq!(state.take().unwrap().len(), MOST_TOGETHER);
        assert!(state.join(asked(7)).unwrap().is_some());
    }

    #[test]
    fn whoever_leaves_is_left_out() {
        let mut state = State::default();
        let mut answers: Vec<_> = (0..4).map(|number| state.join(asked(number)).unwrap().unwrap()).collect();
        answers.remove(1); // dropped: its caller has gone
        assert!(state.leave(&asked(2)), "its patience has ended");
        assert!(!state.leave(&asked(2)));
        let taken = state.take().unwrap();
        assert_eq!(ids(&taken), [0, 3].map(|number| asked(number).id));
        assert!(!state.leave(&asked(0)), "too late");
        assert_eq!(state.present.len(), 2);
        assert!(state.join(asked(1)).unwrap().is_some() && state.join(asked(2)).unwrap().is_some());
    }

    #[tokio::test]
    async fn each_caller_hears_of_its_own_session_and_all_of_a_failure() {
        let mut state = State::default();
        let answers: Vec<_> = (0..3).map(|number| state.join(asked(number)).unwrap().unwrap()).collect();
        let session = |number: u8| {
            let lifetimes =
                domain::session::Lifetimes { idle: Duration::from_secs(1), absolute: Duration::from_secs(1) };
            Session::open(asked(number).id, UserId::new(1), asked(number).next, lifetimes, asked(1).now)
        };
        give(state.take().unwrap(), Ok(vec![session(2), session(0)]));
        for (number, answer) in (0..).zip(answers) {
            assert_eq!(answer.await.unwrap().unwrap(), (number != 1).then(|| session(number)));
        }

        let mut state = State::default();
        let answers: Vec<_> = (0..3).map(|number| state.join(asked(number)).unwrap().unwrap()).collect();
        give(state.take().unwrap(), Err(Error::Contention));
        for answer in answers {
            assert!(matches!(answer.await.unwrap(), Err(Error::Contention)));
        }
    }
}
