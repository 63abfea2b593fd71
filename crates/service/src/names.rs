//! The names of users who were asked for lately, so that a request through a proxy needs no database.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::user::UserId;
use quick_cache::sync::Cache;

/// So many are kept: some 2 MiB.
const CAPACITY: usize = 16 * 1024;

/// Names by user, bounded. What changes a user says so in the feed of changes, and the name is forgotten.
pub(crate) struct Names {
    cache: Cache<UserId, String>,
    generation: AtomicU64,
}

impl Default for Names {
    fn default() -> Self {
        Self { cache: Cache::new(CAPACITY), generation: AtomicU64::new(0) }
    }
}

impl Names {
    pub(crate) fn get(&self, id: UserId) -> Option<String> {
        self.cache.get(&id)
    }

    /// To be asked before a name is read from the database.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Keeps a name, unless some user has changed since `generation`: it may be an old one then.
    pub(crate) fn remember(&self, id: UserId, name: String, generation: u64) {
        self.cache.insert(id, name);
        if self.generation() != generation {
            self.cache.remove(&id);
        }
    }

    pub(crate) fn forget(&self, id: UserId) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.cache.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_read_before_a_change_is_not_kept() {
        let names = Names::default();
        let id = UserId::new(7);
        let before = names.generation();
        names.forget(id);
        names.remember(id, "old".into(), before);
        assert_eq!(names.get(id), None);
        names.remember(id, "new".into(), names.generation());
        assert_eq!(names.get(id).as_deref(), Some("new"));
        names.forget(id);
        assert_eq!(names.get(id), None);
    }
}
