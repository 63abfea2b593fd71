//! Commits share an fsync, and nothing else.

use store::Error;

use crate::given::{add, ids, insert, scratch, until_waiting};

/// Has `count` transactions stand in line behind one that holds the connection, then lets them go.
async fn crowd(batch: usize, count: u64) -> (u64, u64) {
    let scratch = scratch(batch).await;
    let before = scratch.db.stats();
    let mut first = scratch.db.begin().await.unwrap();
    insert(&mut first, 0).await.unwrap();
    let tasks: Vec<_> = (1..=count as i64)
        .map(|id| {
            let db = scratch.db.clone();
            tokio::spawn(async move { add(&db, id).await })
        })
        .collect();
    until_waiting(&scratch.db, count).await;
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let after = scratch.db.stats();
    assert_eq!(after.commits - before.commits, count + 1);
    assert_eq!(ids(&scratch.db).await, (0..=count as i64).collect::<Vec<_>>());
    (after.groups - before.groups, after.largest_group)
}

#[tokio::test]
async fn transactions_that_wait_share_one_commit() {
    assert_eq!(crowd(256, 50).await, (1, 51));
}

#[tokio::test]
async fn a_group_is_no_larger_than_allowed() {
    let (groups, largest) = crowd(10, 49).await;
    assert_eq!((groups, largest), (5, 10));
}

#[tokio::test]
async fn with_a_batch_of_one_each_transaction_has_its_own_commit() {
    assert_eq!(crowd(1, 20).await, (21, 1));
}

#[tokio::test]
async fn what_one_member_takes_back_does_not_concern_the_others() {
    let scratch = scratch(256).await;
    let mut first = scratch.db.begin().await.unwrap();
    insert(&mut first, 1).await.unwrap();
    let mut tasks = Vec::new();
    for id in 2..=9 {
        let db = scratch.db.clone();
        tasks.push(tokio::spawn(async move {
            let mut tx = db.begin().await?;
            insert(&mut tx, id).await?;
            match id % 4 {
                // Dropped with its work.
                0 => Ok(()),
                // Failed on a row of the same group, then dropped.
                1 => insert(&mut tx, 1).await,
                _ => tx.commit().await,
            }
        }));
        until_waiting(&scratch.db, (id - 1) as u64).await;
    }
    let groups = scratch.db.stats().groups;
    first.commit().await.unwrap();
    for (id, task) in (2..).zip(tasks) {
        let result = task.await.unwrap();
        assert_eq!(id % 4 == 1, matches!(result, Err(Error::Conflict)), "{id}: {result:?}");
    }
    assert_eq!(scratch.db.stats().groups, groups + 1);
    assert_eq!(ids(&scratch.db).await, [1, 2, 3, 6, 7]);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_every_member_and_the_database_goes_on() {
    // CR-04: no false acknowledgement.
    let scratch = scratch(256).await;
    let db = scratch.db.clone();
    let mut tx = db.begin().await.unwrap();
    let deferred = "CREATE TABLE child (parent BIGINT REFERENCES counter (id) DEFERRABLE INITIALLY DEFERRED)";
    tx.execute(deferred, &[]).await.unwrap();
    tx.commit().await.unwrap();

    let mut first = db.begin().await.unwrap();
    insert(&mut first, 1).await.unwrap();
    let others: Vec<_> = (2..6)
        .map(|id| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await?;
                if id == 3 {
                    // The rule is only looked at when the group commits.
                    tx.execute("INSERT INTO child (parent) VALUES (4711)", &[]).await?;
                }
                insert(&mut tx, id).await?;
                tx.commit().await
            })
        })
        .collect();
    until_waiting(&db, 4).await;
    assert!(first.commit().await.unwrap_err().is_transient());
    for other in others {
        assert!(other.await.unwrap().unwrap_err().is_transient());
    }
    assert_eq!(ids(&db).await, Vec::<i64>::new());
    assert_eq!(db.stats().failed_groups, 1);

    let mut alone = db.begin().await.unwrap();
    alone.execute("INSERT INTO child (parent) VALUES (4711)", &[]).await.unwrap();
    assert!(matches!(alone.commit().await, Err(Error::Constraint(_))));
    add(&db, 7).await.unwrap();
    assert_eq!(ids(&db).await, [7]);
}
