//! The list of a user's sessions.

use std::collections::HashSet;
use std::time::Duration;

use domain::session::{Jti, Lifetimes, Session, SessionId};
use service::verify::Identity;

use crate::harness::Harness;

#[tokio::test]
async fn sessions_come_page_by_page() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let hour = Duration::from_secs(3600);
    let lifetimes = Lifetimes { idle: hour, absolute: hour };
    let mut tx = harness.app.db.begin().await.unwrap();
    for n in 0..220_u8 {
        // All at one time: the place must tell them apart all the same.
        let id = SessionId::new([n; 12], 0);
        let session = Session::open(id, ann.id, Jti::new([n; 16]), lifetimes, harness.clock.now());
        store::session::insert(&mut tx, &session, session.expires_at).await.unwrap();
    }
    tx.commit().await.unwrap();
    let who = Identity { user_id: ann.id, session: None, by_key: false };
    let (mut seen, mut pages, mut after) = (HashSet::new(), Vec::new(), None);
    loop {
        let page = service::session::list(&harness.app, &harness.caller(), who, after).await.unwrap();
        pages.push(page.sessions.len());
        seen.extend(page.sessions.iter().map(|session| session.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (vec![100, 100, 20], 220));
}
