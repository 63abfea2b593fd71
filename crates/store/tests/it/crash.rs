//! CR-01: kill -9 at any moment loses nothing acknowledged and leaves nothing half made.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use crate::child;
use crate::given::{Dice, INSERT, ids, make_tables, number, open, rounds, text};

/// Adds pairs of rows from many tasks and says, for each, when it was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of killing_the_process_loses_nothing_acknowledged"]
async fn child_adds_until_killed() {
    let Some(path) = child::database() else { return };
    let db = open(path, 16).await;
    make_tables(&db).await;
    let start = number(&db, "SELECT COALESCE(MAX(id), 0) + 1 FROM log").await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..100_000 {
                    let id = start + round * 8 + task;
                    let mut tx = db.begin().await.unwrap();
                    for part in 0..2_i64 {
                        tx.execute(INSERT, &[id.into(), part.into()]).await.unwrap();
                    }
                    tx.commit().await.unwrap();
                    // One write, so that a line is whole or not there.
                    let line = format!("ack {id}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Reads acknowledgements until `count` of them have come, kills the child and reads the rest of what it had said.
fn kill_after(mut child: Child, count: u64) -> BTreeSet<i64> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = BTreeSet::new();
    let mut line = String::new();
    while (acknowledged.len() as u64) < count && output.read_line(&mut line).unwrap() > 0 {
        acknowledged.extend(acknowledgement(&line));
        line.clear();
    }
    child.kill().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    acknowledged.extend(whole.lines().filter_map(acknowledgement));
    acknowledged
}

fn acknowledgement(line: &str) -> Option<i64> {
    // The test harness writes the name of the test before the first line.
    line.split("ack ").nth(1)?.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_process_loses_nothing_acknowledged() {
    // CR-01
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    let mut dice = Dice::new(std::process::id().into());
    let mut acknowledged = BTreeSet::new();
    for _ in 0..rounds(20, 200) {
        let child = child::command("crash::child_adds_until_killed", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let count = 1 + dice.below(300);
        let before = acknowledged.len();
        acknowledged.extend(tokio::task::spawn_blocking(move || kill_after(child, count)).await.unwrap());
        assert!(acknowledged.len() > before, "the child did nothing");

        let db = open(path.clone(), 16).await;
        let found: BTreeSet<i64> = ids(&db).await.into_iter().collect();
        assert!(found.is_superset(&acknowledged), "an acknowledged transaction is missing");
        let halves = "SELECT COUNT(*) FROM (SELECT 1 FROM log GROUP BY id HAVING COUNT(*) <> 2)";
        assert_eq!(number(&db, halves).await, 0);
        assert_eq!(text(&db, "PRAGMA integrity_check").await, "ok");
        if dice.below(2) == 0 {
            db.close().await;
        }
    }
}
