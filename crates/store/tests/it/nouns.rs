//! Every statement of every noun is one that the engine reads.

use domain::time::Timestamp;
use store::migrate::{Mode, migrate};
use store::{
    Error, account, action_token, audit, change, imported_user, mail, meta, prepare_all, recovery_request,
    session, signing_key, status_list, unknown_name, user,
};

use crate::given::any;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let scratch = any().await;
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let nouns = [
        ("user", user::STATEMENTS),
        ("audit", audit::STATEMENTS),
        ("imported_user", imported_user::STATEMENTS),
        ("account", account::STATEMENTS),
        ("action_token", action_token::STATEMENTS),
        ("mail", mail::STATEMENTS),
        ("recovery_request", recovery_request::STATEMENTS),
        ("session", session::STATEMENTS),
        ("signing_key", signing_key::STATEMENTS),
        ("status_list", status_list::STATEMENTS),
        ("change", change::STATEMENTS),
        ("meta", meta::STATEMENTS),
        ("unknown_name", unknown_name::STATEMENTS),
    ];
    let only: &[(&str, &[&str], &[&str])] = &[
        ("audit", &[], audit::POSTGRES_STATEMENTS),
        ("imported_user", imported_user::SQLITE_STATEMENTS, imported_user::POSTGRES_STATEMENTS),
        ("unknown_name", &[], unknown_name::POSTGRES_STATEMENTS),
    ];
    for (noun, statements) in nouns {
        prepare_all(&scratch.db, statements).await.unwrap();
        let (sqlite, postgres) =
            only.iter().find(|(of, ..)| *of == noun).map_or((&[][..], &[][..]), |found| (found.1, found.2));
        let here = if scratch.place.is_postgres() { postgres } else { sqlite };
        prepare_all(&scratch.db, here).await.unwrap();
        let source =
            std::fs::read_to_string(format!("{}/src/{noun}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let written =
            source.lines().filter(|line| line.starts_with("const ") && line.contains(": &str =")).count();
        assert_eq!(
            statements.len() + sqlite.len() + postgres.len(),
            written,
            "{noun}::STATEMENTS leaves one out"
        );
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let found = texts.filter(|text| text.contains("pub const STATEMENTS")).count();
    assert_eq!(found, nouns.len(), "a noun is missing above");
}

#[tokio::test]
async fn a_statement_that_is_wrong_is_named() {
    let scratch = any().await;
    let error = prepare_all(&scratch.db, &["SELECT 1", "SELECT nothing FROM nowhere"]).await.unwrap_err();
    assert!(matches!(&error, Error::Statement(text) if text.contains("nowhere")), "{error}");
}

#[tokio::test]
async fn readiness_writes() {
    let scratch = any().await;
    assert!(scratch.db.check_writable().await.is_err(), "there is no table yet");
    migrate(&scratch.db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let before = scratch.db.stats().groups;
    scratch.db.check_writable().await.unwrap();
    assert_eq!(scratch.db.stats().groups, before + 1);
}
