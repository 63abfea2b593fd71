//! How many connections the system lets us have: each one is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::Limits;

/// Files that are no connections: the database's, the listeners', the logs'.
const OTHERS: u64 = 128;
/// Fewer connections than this make a service that a few clients can fill up.
const FEW: usize = 2_048;

/// Raises the limit of open files as far as the system allows, and bounds the connections by it: a process without files
/// left answers nobody.
pub(crate) fn limits() -> Limits {
    let limits = bounded_by(raise());
    if limits.connections < FEW {
        tracing::warn!(
            event = "few_open_files",
            connections = limits.connections,
            "the system allows few open files; raise the hard limit (LimitNOFILE in systemd, ulimit -Hn)"
        );
    }
    limits
}

/// The limit in force afterwards; none where the system has none.
fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    }
}

fn bounded_by(files: Option<u64>) -> Limits {
    let limits = Limits::default();
    let Some(files) = files else { return limits };
    let room = usize::try_from(files.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1);
    Limits {
        connections: limits.connections.min(room),
        // One address must not be able to use up what little there is.
        connections_per_address: limits.connections_per_address.min(room.div_ceil(4)),
        ..limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files_and_for_other_addresses() {
        let default = Limits::default();
        assert_eq!(bounded_by(None).connections, default.connections);
        assert_eq!(bounded_by(Some(1 << 20)).connections, default.connections);
        let few = bounded_by(Some(1_024));
        assert_eq!((few.connections, few.connections_per_address), (896, 224));
        assert_eq!(bounded_by(Some(10)).connections, 1);
    }
}
