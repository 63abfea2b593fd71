//! Mail by a real server: only over a protected connection, and at least once whatever dies (CR-03).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use testkit::process::{Process, bound_to_parent, free_address};
use testkit::skip::rounds;
use testkit::wait;

use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
const SMTP_PASSWORD: &str = "canary-smtp-password";
/// The whole of a delivery here; a mail of a service that was killed is tried again after twice this time.
const TIMEOUT: &str = "1s";
const SOON: Duration = Duration::from_secs(30);

/// A mail server (aiosmtpd), and a certificate for it.
pub(crate) struct Sink {
    folder: TempDir,
    port: String,
    child: Child,
}

impl Sink {
    pub(crate) fn start(environment: &Path, mode: &str) -> Self {
        let folder = TempDir::with_prefix("bookstore-auth-mail-").expect("a folder");
        std::fs::create_dir(folder.path().join("mails")).expect("a folder");
        make_certificate(folder.path());
        let port = free_address().port().to_string();
        let mut command = bound_to_parent(&environment.join("venv/bin/python"));
        command.arg("-B").arg(foreign::scripts().join("smtp_sink.py")).arg(folder.path().join("mails"));
        command.args([port.as_str(), mode]);
        if mode != "plain" {
            command.arg(folder.path().join("server.pem")).arg(folder.path().join("server.key"));
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("Python starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("it says something");
        assert_eq!(line.trim(), "ready");
        Self { folder, port, child }
    }

    /// The settings of a service that sends its mails here.
    pub(crate) fn settings(&self, tls: &str) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SMTP_HOST", "localhost".to_owned()),
            ("SMTP_PORT", self.port.clone()),
            ("SMTP_TLS", tls.to_owned()),
            ("SMTP_TIMEOUT", TIMEOUT.to_owned()),
            ("MAIL_FROM", "Shop <no-reply@shop.example>".to_owned()),
            ("LINK_URL", "https://shop.example/account".to_owned()),
            ("SSL_CERT_FILE", self.certificate().display().to_string()),
        ];
        if tls != "off" {
            settings.push(("SMTP_USERNAME", "sender".to_owned()));
            settings.push(("SMTP_PASSWORD", SMTP_PASSWORD.to_owned()));
        }
        settings
    }

    /// Where the mails come to lie, one a file.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("mails")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// All mails that came, as text, with soft line breaks taken out.
    fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder()).expect("the folder");
        let paths = files.map(|file| file.expect("a file").path());
        let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "eml"));
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("readable")).into_owned();
        paths.map(read).map(|text| text.replace("=\r\n", "").replace("=3D", "=")).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn make_certificate(folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").expect("a file");
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests -addext basicConstraints=critical,CA:TRUE",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    ] {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{output:?}");
    }
}

fn start(settings: &[(&str, String)]) -> Process {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Process::start(&settings)
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let line =
        mail.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {mail}"));
    line[name.len()..].trim()
}

#[test]
fn mails_reach_a_server_over_tls_and_their_links_work() {
    let _turn = turn::beside_others();
    let Some(environment) = foreign::environment("mails_reach_a_server") else { return };
    for mode in ["starttls", "tls"] {
        let sink = Sink::start(&environment, mode);
        let service = start(&sink.settings(mode));
        service.register("ann", PASSWORD);
        wait::until("the mail comes", SOON, || !sink.mails().is_empty());
        let mail = sink.mails().remove(0);
        assert_eq!(header(&mail, "X-Recipient:"), "ann@example.com");
        assert_eq!(header(&mail, "From:"), "\"Shop\" <no-reply@shop.example>".replace('"', ""), "{mail}");
        let link = "https://shop.example/account/verify-email#token=";
        let token: String = mail.split_once(link).expect("a link").1.chars().take(43).collect();
        let confirm = json!({"token": token, "password": PASSWORD});
        assert_eq!(service.client().post("/email/verify/confirm/", &confirm).status, 200);
        // LA-02: neither the link nor the password of the server is in the log.
        let log = service.log();
        assert!(log.contains("mail_sent") && !log.contains(&token) && !log.contains(SMTP_PASSWORD));
        assert!(!log.contains("ann@example.com"), "nor anybody's address");
    }
}

#[test]
fn a_server_that_offers_no_tls_or_another_name_gets_nothing() {
    let _turn = turn::beside_others();
    let Some(environment) = foreign::environment("a_server_that_offers_no_tls") else { return };
    let (plain, protected) = (Sink::start(&environment, "plain"), Sink::start(&environment, "starttls"));
    let mut unknown = protected.settings("starttls");
    unknown.retain(|(name, _)| *name != "SSL_CERT_FILE");
    unknown.push(("SSL_CERT_FILE", plain.certificate().display().to_string()));
    for (sink, settings) in [
        (&plain, plain.settings("starttls")),
        (&plain, plain.settings("tls")),
        (&protected, unknown),
        (&protected, protected.settings("off")),
    ] {
        let service = start(&settings);
        service.register("ann", PASSWORD);
        wait::until("it was tried", SOON, || {
            let log = service.log();
            log.contains("mail_deferred") || log.contains("mail_failed")
        });
        assert!(sink.mails().is_empty(), "{settings:?}");
    }
    let service = start(&plain.settings("off"));
    service.register("ann", PASSWORD);
    wait::until("what is asked for is done", SOON, || plain.mails().len() == 1);
}

#[test]
fn plain_text_is_for_this_machine() {
    let mut process = Process::prepare(&[
        ("SMTP_HOST", "mail.shop.example"),
        ("SMTP_TLS", "off"),
        ("MAIL_FROM", "no-reply@shop.example"),
        ("LINK_URL", "https://shop.example"),
    ]);
    let refused = process.run_command(&["serve"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("SMTP_TLS is off"), "{said}");
    process.set("SMTP_TLS", "starttls");
    process.set("LINK_URL", "http://shop.example");
    let refused = process.run_command(&["serve"], "");
    assert!(!refused.status.success(), "links to people's browsers are https");
}

#[test]
fn kill_9_loses_no_mail_and_sends_none_that_was_not_committed() {
    // CR-03
    let _turn = turn::alone();
    let Some(environment) = foreign::environment("kill_9_loses_no_mail") else { return };
    let sink = Sink::start(&environment, "plain");
    let mut settings = sink.settings("off");
    settings.push(("LOG_LEVEL", "error".to_owned()));
    let mut service = start(&settings);
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds(6, 100) {
        acknowledged.extend(register_and_strike(&mut service, round));
        service.run();
    }
    let came = || -> BTreeMap<String, BTreeSet<String>> {
        let mut by_recipient: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for mail in sink.mails() {
            let recipient = header(&mail, "X-Recipient:").to_owned();
            by_recipient.entry(recipient).or_default().insert(header(&mail, "Message-ID:").to_owned());
        }
        by_recipient
    };
    wait::until("every committed mail comes", Duration::from_secs(120), || {
        let came = came();
        acknowledged.iter().all(|name| came.contains_key(&format!("{name}@example.com")))
    });
    let (mails, came) = (sink.mails().len(), came());
    println!("{} accounts acknowledged, {mails} mails to {} recipients", acknowledged.len(), came.len());
    assert!(!acknowledged.is_empty(), "the load did nothing");
    for (recipient, ids) in came {
        assert_eq!(ids.len(), 1, "{recipient}: one mail has one id however often it comes");
        let name = recipient.trim_end_matches("@example.com");
        assert_eq!(
            service.try_login(name, PASSWORD).status,
            200,
            "a mail for an account that was taken back"
        );
    }
}

/// Registers accounts one after another until the service is killed; those that were acknowledged.
fn register_and_strike(service: &mut Process, round: usize) -> Vec<String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (mut client, stop) = (service.client(), &stop);
                scope.spawn(move || {
                    let mut done = Vec::new();
                    for number in 0.. {
                        let name = format!("u{round}-{worker}-{number}");
                        let body = testkit::process::registration(&name, PASSWORD).to_string();
                        let headers = [("content-type", "application/json")];
                        match client.send("POST", "/register/", &headers, body.as_bytes()) {
                            Ok(answer) if answer.status == 201 => done.push(name),
                            _ => return done,
                        }
                        if stop.load(Ordering::Relaxed) {
                            return done;
                        }
                    }
                    done
                })
            })
            .collect();
        // The worker sends every second: some strikes hit it between a mail's end and its note.
        wait::pause(Duration::from_millis(RandomState::new().hash_one(round) % 1_500));
        service.kill();
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}
