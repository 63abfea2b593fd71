//! The real binary on loopback, in a folder of its own.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testdb::Place;

use crate::http::{Answer, Client};
use crate::wait::{self, Deadline};

/// The secret of every process started here: long enough, and full of characters that a careless reader of
/// environment files would interpret.
pub const SECRET_KEY: &str = "pQ7$Zk#2v(W9x)Lm4&Tt8!rB6^cJ1*yH";

/// How long a start may take on a loaded machine; the bench measures how long it does take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// An access and a refresh token as POST /login/ gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Access token.
    pub access: String,
    /// Refresh token.
    pub refresh: String,
}

/// `bookstore-auth serve` on a loopback port. Ended when dropped, by its process id; when the test panics, its log is shown.
#[derive(Debug)]
pub struct Process {
    folder: TempDir,
    data: PathBuf,
    settings: BTreeMap<String, String>,
    address: SocketAddr,
    keeps_address: bool,
    child: Option<Child>,
    place: Option<Place>,
}

impl Process {
    /// Starts `serve` with [`SECRET_KEY`], no throttling and `settings` over that, and waits until /readyz answers 200.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut process = Self::prepare(settings);
        process.run();
        process
    }

    /// As [`Process::start`], on a data folder that the caller made (a small file system, say) and that outlives the process.
    pub fn start_in(data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut process = Self::prepare(settings);
        process.data = data.to_owned();
        process.set("DATA_DIR", &data.display().to_string());
        process.run();
        process
    }

    /// The folder and the settings, with nothing running yet: for commands before the first start.
    pub fn prepare(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("bookstore-auth-").expect("a temporary folder");
        let data = folder.path().join("data");
        let mut process = Self {
            data: data.clone(),
            folder,
            settings: BTreeMap::new(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keeps_address: false,
            child: None,
            place: None,
        };
        process.set("SECRET_KEY", SECRET_KEY);
        process.set("DATA_DIR", &data.display().to_string());
        process.set("THROTTLE", "off");
        process.set("LOG_FORMAT", "json");
        if testdb::cluster().is_some() {
            process.use_place(Place::blocking_new());
        }
        for (name, value) in settings {
            process.set(name, value);
        }
        process
    }

    /// Keeps its data in this place from the next start on; the place goes with the process.
    pub fn use_place(&mut self, place: Place) {
        self.set("DATABASE_URL", &place.url());
        self.place = Some(place);
    }

    /// Whether its data is on PostgreSQL.
    pub fn is_on_postgres(&self) -> bool {
        self.place.as_ref().is_some_and(Place::is_postgres)
    }

    /// Another service on the same data, as another replica: its settings are these with `changes` over them. It must not
    /// outlive this one.
    pub fn replica(&self, changes: &[(&str, &str)]) -> Self {
        let mut process = Self::prepare(&[]);
        process.settings.clone_from(&self.settings);
        process.data.clone_from(&self.data);
        for (name, value) in changes {
            process.set(name, value);
        }
        process.run();
        process
    }

    /// Chooses the address of all starts now, for settings that name it.
    pub fn choose_address(&mut self) -> SocketAddr {
        self.address = free_address();
        self.keeps_address = true;
        self.address
    }

    /// Starts at the address of now from here on, as a replica that others know does.
    pub fn keep_address(&mut self) {
        self.keeps_address = true;
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the prepared or ended process on the same data and waits until it is ready.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "already running");
        if !self.keeps_address {
            self.address = free_address();
        }
        self.set("BIND", &self.address.to_string());
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file");
        let child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.child = Some(child);
        self.await_ready();
    }

    fn await_ready(&mut self) {
        let deadline = Deadline::after(START_LIMIT);
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().expect("our child")) {
                self.child = None;
                panic!("the service ended at its start: {status}\n{}", self.log());
            }
            if self.is_ready() {
                return;
            }
            assert!(!deadline.passed(), "not ready within {START_LIMIT:?}");
            wait::pause(Duration::from_millis(5));
        }
    }

    /// A command of the same binary with the same settings, in the same folder: `&["user", "list"]`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bound_to_parent(&binary());
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(&self.settings);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command
    }

    /// Runs such a command to its end with `input` on its standard input.
    pub fn run_command(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that asks for nothing may be gone before it reads this.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the command ends")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder for data: the database and its companions.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The embedded database.
    pub fn database(&self) -> PathBuf {
        self.data.join("auth.db")
    }

    /// Whether /readyz answers 200.
    pub fn is_ready(&self) -> bool {
        let mut client = self.client().with_timeout(Duration::from_secs(5));
        client.send("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    /// A new client of it.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it at once, as a power cut or the kernel would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our child");
            child.wait().expect("our child");
        }
    }

    /// Asks it to end (SIGTERM) without waiting.
    pub fn ask_to_end(&self) {
        kill_process(self.pid(), Signal::TERM).expect("our child");
    }

    /// Waits until it has ended by itself.
    pub fn await_end(&mut self, limit: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("running");
        let mut status = None;
        wait::until("the service ends", limit, || {
            status = child.try_wait().expect("our child");
            status.is_some()
        });
        self.child = None;
        status.expect("waited for it")
    }

    /// Ends it gracefully and starts it again on the same data.
    pub fn restart(&mut self) {
        self.ask_to_end();
        let status = self.await_end(Duration::from_secs(60));
        assert!(status.success(), "SIGTERM is a normal end, not {status}");
        self.run();
    }

    /// The most memory it ever held, in KiB (VmHWM).
    pub fn peak_memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("a running process");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux says VmHWM");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of KiB")
    }

    /// How many files and connections it has open.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid().as_raw_nonzero());
        std::fs::read_dir(path).expect("a running process").count()
    }

    /// All it has printed and logged so far, over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        File::create(self.log_path()).expect("a log file");
    }

    /// POST /register/ that must succeed; the new user's id.
    pub fn register(&self, username: &str, password: &str) -> i64 {
        let answer = self.try_register(username, password);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_i64().expect("an id")
    }

    /// POST /register/.
    pub fn try_register(&self, username: &str, password: &str) -> Answer {
        self.client().post("/register/", &registration(username, password))
    }

    /// POST /login/ that must succeed.
    pub fn login(&self, username: &str, password: &str) -> Pair {
        let answer = self.try_login(username, password);
        assert_eq!(answer.status, 200, "{answer:?}");
        Pair { access: answer.member("access"), refresh: answer.member("refresh") }
    }

    /// POST /login/.
    pub fn try_login(&self, username: &str, password: &str) -> Answer {
        self.client().post("/login/", &json!({"username": username, "password": password}))
    }

    /// POST /refresh/.
    pub fn refresh(&self, token: &str) -> Answer {
        self.client().post("/refresh/", &json!({"refresh": token}))
    }

    /// POST /verify/; its status.
    pub fn verify(&self, token: &str) -> u16 {
        self.client().post("/verify/", &json!({"token": token})).status
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("running"))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- log of the service, last lines\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

/// The body of a registration with an address made from the name.
pub fn registration(username: &str, password: &str) -> Value {
    json!({"username": username, "email": format!("{username}@example.com"), "password": password})
}

/// The binary under test: `BOOKSTORE_AUTH_BIN`, or the one beside this test executable.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BOOKSTORE_AUTH_BIN") {
        return PathBuf::from(path);
    }
    let executable = std::env::current_exe().expect("this test has a path");
    let profile = executable.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    let path = profile.join("bookstore-auth");
    assert!(path.is_file(), "build the binary first: cargo build (looked for {})", path.display());
    path
}

/// The binary, ended by the kernel when this test dies without cleaning up (util-linux's setpriv; plain without it).
pub fn bound_to_parent(binary: &Path) -> Command {
    if !Path::new("/usr/bin/setpriv").is_file() {
        return Command::new(binary);
    }
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(binary);
    command
}

/// A loopback port that nobody uses: below the range that the kernel takes for outgoing connections, and in a range of
/// this test process's own.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 500) as u16 * 20;
    (0..20)
        .map(|_| base + NEXT.fetch_add(1, Ordering::Relaxed) % 20)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("one of twenty loopback ports is free")
}
