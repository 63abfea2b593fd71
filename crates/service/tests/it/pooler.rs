//! DB-06: a pooler that shares connections is switched in under a running service.

use service::Kind;

use crate::harness::Harness;

/// The connections of a pool.
const POOL: usize = 16;

#[tokio::test]
async fn a_pooler_switched_in_at_run_time_is_unavailable_and_without_it_the_service_works_again() {
    let harness = Harness::new().await;
    if !harness.place.is_postgres() {
        return;
    }
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    harness.refresh(&pair.refresh).await.unwrap();
    // As behind one: nothing that was prepared is there.
    let mut held = Vec::new();
    for _ in 0..POOL {
        let mut tx = harness.app.db.begin().await.unwrap();
        tx.execute("DEALLOCATE ALL", &[]).await.unwrap();
        held.push(tx);
    }
    for tx in held {
        tx.commit().await.unwrap();
    }
    let mut refused = 0;
    while let Err(error) = harness.refresh(&pair.refresh).await {
        assert!(matches!(error.kind, Kind::Unavailable { .. }), "503, not 500: {error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("pool_mode = session"), "the log says how to mend it: {cause}");
        assert!(!error.to_string().contains("pool"), "and the client does not: {error}");
        refused += 1;
        assert!(refused <= POOL, "connections that were shared are used again");
    }
    assert!(refused > 0, "nothing was refused");
    harness.login("ann").await;
}
