//! IN-02: clients that send one byte a second.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use testkit::process::Process;
use testkit::wait::{self, Deadline};

use crate::turn;

const EACH_KIND: usize = 100;
/// Headers may take 10 s and bodies 30 s; a loaded machine gets more before the test gives up.
const LIMIT: Duration = Duration::from_secs(120);

struct Slow {
    stream: TcpStream,
    rest: &'static [u8],
    open: bool,
}

impl Slow {
    fn start(service: &Process, at_once: &str, rest: &'static [u8]) -> Self {
        let mut stream = TcpStream::connect(service.address()).expect("a connection");
        stream.write_all(at_once.as_bytes()).expect("the beginning is taken");
        stream.set_nonblocking(true).expect("a flag");
        Self { stream, rest, open: true }
    }

    /// Sends one more byte and looks whether the service has closed the connection.
    fn go_on(&mut self) {
        if let Some((byte, rest)) = self.rest.split_first() {
            let _ = self.stream.write(&[*byte]);
            self.rest = rest;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(_) => continue, // an answer such as 408; the end must follow
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.open = false,
            }
            return;
        }
    }
}

static ENDLESS: [u8; 4096] = [b'a'; 4096];

#[test]
fn slow_clients_are_cut_off() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let login = "POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let body = format!("{login}Content-Length: 4000\r\n\r\n{{");
    let mut slow: Vec<Slow> = (0..EACH_KIND)
        .flat_map(|_| {
            [
                Slow::start(&service, "GET /healthz HTTP/1.1\r\nX-Slow: ", &ENDLESS),
                Slow::start(&service, &body, &ENDLESS),
            ]
        })
        .collect();
    let deadline = Deadline::after(LIMIT);
    while slow.iter().any(|client| client.open) {
        let open = slow.iter().filter(|client| client.open).count();
        assert!(!deadline.passed(), "{open} of {} slow clients are still there", slow.len());
        slow.iter_mut().filter(|client| client.open).for_each(Slow::go_on);
        // Meanwhile everybody else is served.
        let answer = service.client().post("/verify/", &json!({"token": "x"}));
        assert_eq!(answer.status, 400, "{answer:?}");
        wait::pause(Duration::from_millis(500));
    }
    println!("the last of {} slow clients was cut off after {:?}", slow.len(), deadline.elapsed());
    drop(slow);
    assert_eq!(service.client().get("/readyz").status, 200);
}
