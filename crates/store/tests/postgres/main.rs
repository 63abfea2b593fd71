//! What only PostgreSQL can show. `tests/postgres run cargo nextest run -p store --test postgres` runs them; without a
//! cluster there is nothing to test on, and they fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broken_links;
mod connections;
mod copy;
mod faults;
mod migrations;
mod refreshes;
mod schema;
mod tls;

/// The address of the private cluster.
fn cluster() -> String {
    testdb::cluster().expect("run these tests by tests/postgres run COMMAND")
}
