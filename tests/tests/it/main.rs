//! Tests of the real binary from outside: what only a running process can show.
//!
//! | file | shows |
//! |---|---|
//! | `tokens` | foreign libraries take our tokens; we take the replaced service's and no forged ones |
//! | `refresh_race` | many uses of one refresh token at once leave one live branch at most |
//! | `crash` (with `history`) | kill -9 under load loses nothing acknowledged and leaves nothing half-made |
//! | `shutdown` | SIGTERM under load loses no request; sessions outlive a restart |
//! | `keys` | foreign libraries follow the published keys through a rotation, a drop and the bridge |
//! | `mail` | mails reach a real server over TLS or not at all; kill -9 loses none |
//! | `revocation` | commands change a running service within a second |
//! | `throttle` | failed logins are remembered over a crash |
//! | `overload` | a login storm has bounded memory and leaves token checks alone |
//! | `hostile`, `slow` | malformed, lying and slow clients |
//! | `disk_full` | no space: 503, no false success, nothing broken |
//! | `canaries` | no secret in any log line |
//! | `postgres` | several replicas on one PostgreSQL; what they answer while it is away |
//! | `links` | replicas whose links to PostgreSQL are slow, half open or cut; answers to COMMIT that are lost |
//! | `rolling` | a rolling restart and a key rotation under load behind a proxy that asks /readyz: nothing fails |
//! | `moving` | a living installation goes from its file to PostgreSQL; nobody is logged out, kill -9 at any moment |
//! | `moving_in` | a Django project moves in from SQLite and PostgreSQL; users by every hasher log in; kill -9 at any moment |
//! | `schemathesis` | the service does what its OpenAPI document says, whatever it is asked |
//! | `replay` | the recorded cases of the replaced service |
//!
//! `./test` runs them (it installs the foreign libraries); after one `./test` so does `cargo test -p system-tests`, on the
//! binary that `cargo build` made. `BOOKSTORE_AUTH_FULL=1` runs the full fault counts. Everything is on loopback, bounded
//! in count and time, and ends the processes that it started.

mod canaries;
mod crash;
mod disk_full;
mod foreign;
mod history;
mod hostile;
mod keys;
mod links;
mod mail;
mod moving;
mod moving_in;
mod overload;
mod postgres;
mod proxies;
mod refresh_race;
mod replay;
mod revocation;
mod rolling;
mod schemathesis;
mod security_page;
mod shutdown;
mod slow;
mod status;
mod throttle;
mod tokens;
mod turn;
