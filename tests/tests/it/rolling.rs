//! CR-07, DS-05: replicas are restarted one after another, and the signing keys change, under load and behind a proxy that
//! asks /readyz. Nobody notices: no request fails, and no good token is refused, here or by the neighbours' libraries.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testdb::{Cluster, Place};
use testkit::http::{Answer, Client};
use testkit::process::{Process, bound_to_parent, free_address};
use testkit::skip::{rounds, skipped};
use testkit::wait;

use crate::keys::{KEY_ENCRYPTION_KEY, Verifier, assert_good, header};
use crate::proxies::{installed, program};
use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
/// So many requests are made at least in each phase: what nobody asks cannot fail.
const PHASE: usize = 200;
const LIMIT: Duration = Duration::from_secs(120);

/// Caddy, which asks every replica for /readyz ten times a second and repeats no request.
struct Balancer {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Balancer {
    fn start(replicas: &[Process]) -> Self {
        let folder = TempDir::with_prefix("bookstore-auth-").expect("a temporary folder");
        let address = free_address();
        let all: Vec<String> = replicas.iter().map(|replica| replica.address().to_string()).collect();
        let text = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\n\
             http://{address} {{\n\treverse_proxy {} {{\n\t\tlb_policy round_robin\n\
             \t\thealth_uri /readyz\n\t\thealth_interval 100ms\n\t\thealth_timeout 5s\n\t}}\n}}\n",
            all.join(" ")
        );
        let file = folder.path().join("Caddyfile");
        std::fs::write(&file, text).expect("a configuration");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = bound_to_parent(&program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, folder.path());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = command.spawn().expect("the proxy starts");
        let balancer = Self { child, address, _folder: folder };
        wait::until("the proxy forwards", Duration::from_secs(30), || {
            let probe = balancer.client().send("GET", "/readyz", &[], b"");
            probe.is_ok_and(|answer| answer.status == 200)
        });
        balancer
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clients have seen.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    requests: [AtomicUsize; 3],
    /// The first failures, in full.
    failures: Mutex<Vec<String>>,
    /// The ids of the keys that have signed.
    keys: Mutex<BTreeSet<String>>,
}

/// The sorts of clients, as numbers of their counters.
const LOGIN: usize = 0;
const REFRESH: usize = 1;
const VERIFY: usize = 2;

impl Load {
    fn requests(&self, kind: usize) -> usize {
        self.requests[kind].load(Relaxed)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed) && self.failures.lock().expect("no panic").is_empty()
    }

    /// Sends one request, once; notes it, and what is wrong with its answer.
    fn ask(&self, kind: usize, client: &mut Client, path: &str, body: &Value) -> Option<Answer> {
        let sent = client.try_post(path, body);
        self.requests[kind].fetch_add(1, Relaxed);
        match sent {
            Ok(answer) if answer.status == 200 => Some(answer),
            other => {
                self.failures.lock().expect("no panic").push(format!("{path}: {other:?}"));
                None
            }
        }
    }

    fn note_key(&self, access: &str) {
        let id = header(access)["kid"].as_str().expect("an id").to_owned();
        self.keys.lock().expect("no panic").insert(id);
    }

    /// Logs in, and has the new token checked by whichever replica is next.
    fn log_in(&self, mut client: Client) {
        while self.goes_on() {
            let body = json!({"username": "reader", "password": PASSWORD});
            let Some(pair) = self.ask(LOGIN, &mut client, "/login/", &body) else { break };
            let access = pair.member("access");
            self.note_key(&access);
            self.ask(VERIFY, &mut client, "/verify/", &json!({"token": access}));
        }
    }

    /// Goes from one refresh token to the next; the first access token is checked on, and each new one by the others.
    fn refresh(&self, mut client: Client, mut token: String, mut others: Vec<Verifier>) {
        while self.goes_on() {
            let Some(pair) = self.ask(REFRESH, &mut client, "/refresh/", &json!({"refresh": token})) else {
                break;
            };
            token = pair.member("refresh");
            let access = pair.member("access");
            self.note_key(&access);
            self.ask(VERIFY, &mut client, "/verify/", &json!({"token": access}));
            assert_good(&mut others, &access, "under load");
        }
    }

    /// Checks one token on and on.
    fn verify(&self, mut client: Client, token: &str) {
        while self.goes_on() {
            self.ask(VERIFY, &mut client, "/verify/", &json!({"token": token}));
        }
    }

    /// Waits until every sort of client has made its requests since now, and demands that all were answered well.
    fn phase(&self, name: &str, work: impl FnOnce()) {
        let before = [LOGIN, REFRESH, VERIFY].map(|kind| self.requests(kind));
        work();
        let made = || [LOGIN, REFRESH, VERIFY].map(|kind| self.requests(kind) - before[kind]);
        wait::until(name, LIMIT, || {
            let [logins, refreshes, checks] = made();
            !self.goes_on() || (logins >= PHASE / 20 && refreshes >= PHASE && checks >= PHASE)
        });
        let failures = self.failures.lock().expect("no panic");
        assert!(failures.is_empty(), "{name}: {failures:#?}");
        let [logins, refreshes, checks] = made();
        println!("{name}: {logins} logins, {refreshes} refreshes, {checks} checks, 0 failed");
    }
}

/// Three replicas that keep their addresses.
fn replicas(cluster: &Cluster) -> Vec<Process> {
    let mut first = Process::prepare(&[
        ("SIGNING_ALG", "EdDSA"),
        ("KEY_ENCRYPTION_KEY", KEY_ENCRYPTION_KEY),
        ("KEY_PUBLISH_AHEAD", "5s"),
        ("SHUTDOWN_DELAY", "2s"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("LOG_LEVEL", "warn"),
    ]);
    first.use_place(Place::blocking_on(cluster.url()));
    first.run();
    let mut all = vec![first];
    for _ in 0..2 {
        all.push(all[0].replica(&[]));
    }
    all.iter_mut().for_each(Process::keep_address);
    all[0].register("reader", PASSWORD);
    all
}

/// The libraries of the neighbours where they are installed; they read the keys through the proxy, too.
fn others(environment: Option<&Path>, balancer: &Balancer) -> Vec<Verifier> {
    environment.map(|folder| Verifier::all(folder, balancer.address)).unwrap_or_default()
}

fn rotate_keys(replicas: &[Process], load: &Load) {
    let before = load.keys.lock().expect("no panic").len();
    let output = replicas[0].run_command(&["key", "rotate"], "");
    assert!(output.status.success(), "{output:?}");
    wait::until("the next key signs", LIMIT, || {
        !load.goes_on() || load.keys.lock().expect("no panic").len() > before
    });
}

#[test]
fn a_rolling_restart_and_a_key_rotation_under_load_fail_nothing() {
    const NAME: &str = "rolling::a_rolling_restart_and_a_key_rotation_under_load_fail_nothing";
    if !installed("caddy") {
        return skipped(NAME, "caddy is not installed");
    }
    let environment = foreign::environment("rolling (the foreign verifiers of it)");
    let _turn = turn::alone();
    let cluster = Cluster::start_with("");
    let mut replicas = replicas(&cluster);
    let balancer = Balancer::start(&replicas);
    let pairs: Vec<_> = (0..4).map(|_| replicas[0].login("reader", PASSWORD)).collect();
    let load = Load::default();
    std::thread::scope(|scope| {
        let (load, balancer) = (&load, &balancer);
        let mut verifiers = others(environment.as_deref(), balancer);
        scope.spawn(|| load.log_in(balancer.client()));
        for pair in &pairs[..2] {
            let (token, verifiers) = (pair.refresh.clone(), std::mem::take(&mut verifiers));
            scope.spawn(|| load.refresh(balancer.client(), token, verifiers));
        }
        for pair in &pairs[2..] {
            scope.spawn(|| load.verify(balancer.client(), &pair.access));
        }
        let stop = StopAtEnd(load);
        load.phase("before", || {});
        for round in 0..rounds(1, 5) {
            for (number, replica) in replicas.iter_mut().enumerate() {
                load.phase(&format!("round {round}, restart of replica {number}"), || replica.restart());
            }
            load.phase(&format!("round {round}, rotation of the keys"), || rotate_keys(&replicas, load));
        }
        drop(stop);
    });
    assert!(load.keys.lock().expect("no panic").len() >= 2, "no new key has signed");
}

/// Ends the load also when a check has failed: its threads are waited for.
struct StopAtEnd<'a>(&'a Load);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}
