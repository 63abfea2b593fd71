//! Every statement of every noun is one that the engine reads.

use domain::time::Timestamp;
use store::migrate::{Mode, migrate};
use store::{Error, change, meta, prepare_all, session, unknown_name, user};

use crate::given::scratch;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let scratch = scratch(16).await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    for statements in [
        user::STATEMENTS,
        session::STATEMENTS,
        change::STATEMENTS,
        meta::STATEMENTS,
        unknown_name::STATEMENTS,
    ] {
        prepare_all(&scratch.db, statements).await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_that_is_wrong_is_named() {
    let scratch = scratch(16).await;
    let error = prepare_all(&scratch.db, &["SELECT 1", "SELECT nothing FROM nowhere"]).await.unwrap_err();
    assert!(matches!(&error, Error::Statement(text) if text.contains("nowhere")), "{error}");
}

#[tokio::test]
async fn readiness_writes() {
    let scratch = scratch(16).await;
    assert!(scratch.db.check_writable().await.is_err(), "there is no table yet");
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let before = scratch.db.stats().groups;
    scratch.db.check_writable().await.unwrap();
    assert_eq!(scratch.db.stats().groups, before + 1);
}
