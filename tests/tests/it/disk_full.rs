//! CR-04, DB-06: no space left. A small file system of its own is filled up under a running service.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::process::Process;
use testkit::skip::skipped;
use testkit::wait;

use crate::{crash, foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
const LIMIT: Duration = Duration::from_secs(30);

/// A file system in memory; taken away when dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount() -> Option<Self> {
        let folder = TempDir::with_prefix("small-disk-").expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "none"]).arg(folder.path());
        mount.output().ok().filter(|output| output.status.success()).map(|_| Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes every byte that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).expect("a file");
        for size in [65_536, 4096, 512, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still hold a file.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_claims_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return skipped(
            "a_full_disk_loses_nothing_and_claims_nothing",
            "this user may not mount a file system",
        );
    };
    let _turn = turn::alone();
    let mut service = Process::start_in(&disk.path().join("data"), &[("REFRESH_GRACE", "120s")]);
    service.register("reader", PASSWORD);
    let pair = service.login("reader", PASSWORD);

    let ballast = disk.fill();
    let mut acknowledged = register_until_full(&service);
    // The probe writes less than a registration and may find a last page for itself.
    wait::until("it is not ready", LIMIT, || service.client().get("/readyz").status == 503);
    assert_eq!(service.client().get("/healthz").status, 200, "but alive");
    assert_eq!(service.verify(&pair.access), 200, "token checks need no disk");
    for answer in [service.try_register("late", PASSWORD), service.refresh(&pair.refresh)] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(service.verify(&pair.refresh), 200, "what was not written did not happen");

    std::fs::remove_file(ballast).expect("the ballast goes");
    wait::until("it recovers without a restart", LIMIT, || service.client().get("/readyz").status == 200);
    assert_eq!(service.refresh(&pair.refresh).status, 200);
    service.register("after", PASSWORD);
    acknowledged.push("after".to_owned());
    service.kill();
    service.run();
    for name in &acknowledged {
        service.login(name, PASSWORD);
    }
    if let Some(environment) = foreign::environment("a_full_disk (the outside integrity check of it)") {
        crash::check_integrity(&environment, &service.database());
    }
}

/// Registers until the first 503 (the write-ahead log has some room of its own); the names that were acknowledged.
fn register_until_full(service: &Process) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..2000 {
        let name = format!("user-{number}");
        match service.try_register(&name, PASSWORD).status {
            201 => acknowledged.push(name),
            503 => return acknowledged,
            status => panic!("{status} on a full disk"),
        }
    }
    panic!("2000 registrations on a full disk");
}
