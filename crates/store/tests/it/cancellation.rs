//! A client that goes away drops its future at any await: nothing may stay half done, and nobody else may notice.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use store::{Db, Result};

use crate::given::{Dice, add, any, ids, insert, number, rounds, scratch, until_waiting};

/// Polls a future at most this often, then drops it.
async fn give_up_after<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let result = future.as_mut().poll(context).map(Some);
        if result.is_pending() && left == 0 { Poll::Ready(None) } else { result }
    })
    .await
}

/// Two rows that belong together, with a few awaits between them.
async fn add_pair(db: &Db, id: i64, pauses: u64) -> Result<()> {
    let mut tx = db.begin().await?;
    insert(&mut tx, id).await?;
    for _ in 0..pauses {
        tokio::task::yield_now().await;
    }
    tx.execute(crate::given::INSERT, &[id.into(), 1_i64.into()]).await?;
    tx.commit().await
}

#[tokio::test]
async fn leaving_at_every_await_takes_everything_back_or_leaves_it_whole() {
    let scratch = any().await;
    for (id, polls) in (0..10).flat_map(|_| 0..20).enumerate() {
        let id = id as i64;
        let acknowledged = give_up_after(polls, add_pair(&scratch.db, id, 3)).await;
        add(&scratch.db, 1000 + id).await.unwrap();
        let found = ids(&scratch.db).await.contains(&id);
        match acknowledged {
            Some(result) => assert!(result.is_ok() && found),
            // The first polls end in begin() or before the commit.
            None if polls <= 3 => assert!(!found, "after {polls} polls"),
            None => {}
        }
    }
    let halves = "SELECT COUNT(*) FROM log a WHERE id < 1000 AND NOT EXISTS \
        (SELECT 1 FROM log b WHERE b.id = a.id AND b.part <> a.part)";
    assert_eq!(number(&scratch.db, halves).await, 0);
}

#[tokio::test]
async fn leaving_the_line_frees_the_place() {
    let scratch = scratch(16).await;
    let mut held = scratch.db.begin().await.unwrap();
    let db = scratch.db.clone();
    let waiting = tokio::spawn(async move { db.begin().await.map(drop) });
    until_waiting(&scratch.db, 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    until_waiting(&scratch.db, 0).await;
    insert(&mut held, 1).await.unwrap();
    held.commit().await.unwrap();
    add(&scratch.db, 2).await.unwrap();
}

#[tokio::test]
async fn a_panic_takes_its_transaction_back() {
    let scratch = any().await;
    let db = scratch.db.clone();
    let task = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    add(&scratch.db, 2).await.unwrap();
    assert_eq!(ids(&scratch.db).await, [2]);
}

/// What one task saw.
#[derive(Default)]
struct Seen {
    acknowledged: BTreeSet<i64>,
    started: BTreeSet<i64>,
}

async fn restless(db: Db, task: i64, each: i64) -> Seen {
    let mut dice = Dice::new(task as u64 + 77);
    let mut seen = Seen::default();
    for id in (task * each)..((task + 1) * each) {
        let pauses = dice.below(3);
        let work = add_pair(&db, id, pauses);
        let result = match dice.below(3) {
            0 => Some(work.await),
            _ => give_up_after(dice.below(9), work).await,
        };
        seen.started.insert(id);
        match result {
            Some(Ok(())) => {
                seen.acknowledged.insert(id);
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_that_comes_and_goes_loses_nothing_acknowledged() {
    let scratch = any().await;
    let each = rounds(60, 2000) as i64;
    let tasks: Vec<_> = (0..48).map(|task| tokio::spawn(restless(scratch.db.clone(), task, each))).collect();
    // Others are cut off from outside, wherever they are.
    let shared = Arc::new(scratch.db.clone());
    let aborted: Vec<_> = (100..116)
        .map(|task| {
            let db = Db::clone(&shared);
            tokio::spawn(restless(db, task, each))
        })
        .collect();
    tokio::task::yield_now().await;
    let mut dice = Dice::new(5);
    for task in &aborted {
        for _ in 0..dice.below(200) {
            tokio::task::yield_now().await;
        }
        task.abort();
    }
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await.unwrap();
        all.acknowledged.extend(seen.acknowledged);
        all.started.extend(seen.started);
    }
    for task in aborted {
        let _ = task.await;
    }
    let found: BTreeSet<i64> = ids(&scratch.db).await.into_iter().filter(|id| *id < 100 * each).collect();
    assert!(found.is_superset(&all.acknowledged), "an acknowledged transaction is missing");
    assert!(found.is_subset(&all.started));
    assert_eq!(
        number(
            &scratch.db,
            "SELECT COUNT(*) FROM (SELECT 1 FROM log WHERE id >= 0 GROUP BY id HAVING COUNT(*) <> 2) halves"
        )
        .await,
        0
    );
    // Nobody holds anything any more.
    add(&scratch.db, -1).await.unwrap();
    assert_eq!(scratch.db.stats().waiting, 0);
    assert_eq!(scratch.db.stats().overdue, 0);
}
