//! CR-04, DB-06: no space left. A small file system of its own is filled up under a running service.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::http::Answer;
use testkit::process::{Pair, Process};
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
    let mut known = Known::new(&service);
    let ballast = disk.fill();
    known.work_on(&service);
    println!("on a full disk: {} requests done, {} refused", known.done, known.refused);
    assert!(known.refused > 0, "the disk was not full");
    assert_eq!(service.client().get("/healthz").status, 200, "alive all the time");
    assert!(matches!(service.client().get("/readyz").status, 200 | 503));

    std::fs::remove_file(ballast).expect("the ballast goes");
    wait::until("it recovers without a restart", LIMIT, || service.client().get("/readyz").status == 200);
    known.check(&service);
    let name = "after";
    service.register(name, PASSWORD);
    known.names.push(name.to_owned());
    service.kill();
    service.run();
    known.check(&service);
    if let Some(environment) = foreign::environment("a_full_disk (the outside integrity check of it)") {
        crash::check_integrity(&environment, &service.database());
    }
}

/// What was acknowledged.
struct Known {
    names: Vec<String>,
    pair: Pair,
    done: usize,
    refused: usize,
}

impl Known {
    fn new(service: &Process) -> Self {
        service.register("reader", PASSWORD);
        Self {
            names: vec!["reader".to_owned()],
            pair: service.login("reader", PASSWORD),
            done: 0,
            refused: 0,
        }
    }

    /// Asks for everything that writes. What still fits, into room that the write-ahead log already has, is done; the
    /// rest must be refused with 503. Token checks need no disk.
    fn work_on(&mut self, service: &Process) {
        for number in 0..300 {
            let name = format!("user-{number}");
            let registered = service.try_register(&name, PASSWORD);
            if self.count(&registered, 201) {
                self.names.push(name);
            }
            let logged_in = service.try_login("reader", PASSWORD);
            self.count(&logged_in, 200);
            let refreshed = service.refresh(&self.pair.refresh);
            if self.count(&refreshed, 200) {
                self.pair.refresh = refreshed.member("refresh");
            }
            assert_eq!(service.verify(&self.pair.access), 200);
            assert_eq!(service.verify(&self.pair.refresh), 200, "what was not written did not happen");
            if self.refused >= 20 {
                return;
            }
        }
    }

    fn count(&mut self, answer: &Answer, success: u16) -> bool {
        if answer.status == success {
            self.done += 1;
            return true;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        self.refused += 1;
        false
    }

    /// All of it is there.
    fn check(&mut self, service: &Process) {
        for name in &self.names {
            service.login(name, PASSWORD);
        }
        let refreshed = service.refresh(&self.pair.refresh);
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        self.pair.refresh = refreshed.member("refresh");
    }
}
