//! IN-01, IN-02, IN-06: bodies, headers and framing that no honest client sends, over raw sockets.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use testkit::http::read_answer;
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait::{self, Deadline};

use crate::turn;

const LOGIN: &str = "POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fn connect(service: &Process) -> TcpStream {
    let stream = TcpStream::connect(service.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// How long the first answer may take, and how long a silence must be to say that no further one comes.
const FIRST: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(1500);

/// Sends bytes and reads the statuses of all answers, until the service closes the connection or falls silent.
fn statuses(service: &Process, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(service);
    // The service may answer and close before it has read everything: that is its right.
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(FIRST)).expect("a timeout");
    let mut reader = BufReader::new(stream);
    let mut statuses = Vec::new();
    while let Ok(answer) = read_answer(&mut reader, "POST") {
        statuses.push(answer.status);
        assert!(statuses.len() < 10, "one connection, ten answers");
        reader.get_ref().set_read_timeout(Some(SILENCE)).expect("a timeout");
    }
    statuses
}

/// The same for a client that says that nothing more comes from it.
fn statuses_before_end(service: &Process, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(service);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut reader = BufReader::new(stream);
    read_answer(&mut reader, "POST").map(|answer| answer.status).into_iter().collect()
}

fn assert_well(service: &Process) {
    assert_eq!(service.client().get("/readyz").status, 200);
    assert!(!service.log().contains("panic"), "{}", service.log());
}

// IN-01
#[test]
fn bodies_have_a_size() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let of_size = |size: usize| format!("{LOGIN}Content-Length: {size}\r\n\r\n{:size$}", "{}");
    assert_eq!(
        statuses(&service, of_size(16 * 1024).as_bytes()),
        [400],
        "fields are missing, the size is not too much"
    );
    assert_eq!(statuses(&service, of_size(16 * 1024 + 1).as_bytes()), [413]);
    // What is announced is refused before it is sent.
    for size in ["17000", "1000000000000"] {
        assert_eq!(
            statuses(&service, format!("{LOGIN}Content-Length: {size}\r\n\r\n").as_bytes()),
            [413],
            "{size}"
        );
    }
    let overflow =
        statuses(&service, format!("{LOGIN}Content-Length: 99999999999999999999\r\n\r\n").as_bytes());
    assert!(overflow == [400] || overflow == [413], "{overflow:?}");
    assert_well(&service);
}

// IN-01: a body that never ends is cut off, and never held in memory.
#[test]
fn endless_chunks_are_cut_off() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let before = service.peak_memory_kib();
    for _ in 0..20 {
        let mut stream = connect(&service);
        stream
            .write_all(format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
            .expect("the head is taken");
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let sent = (0..16 * 1024).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
        assert!(sent < 16 * 1024, "64 MiB were taken");
        let answer = read_answer(&mut BufReader::new(stream), "POST");
        // A reset may overtake the answer; being cut off is what counts.
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 413), "{answer:?}");
    }
    let small = statuses(&service, chunked(17, 1024).as_bytes());
    assert_eq!(small, [413], "many small chunks are too much as well");
    assert_eq!(statuses(&service, chunked(2, 10).as_bytes()), [400], "a chunked body as such is read");
    let grown = service.peak_memory_kib() - before;
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB");
    assert_well(&service);
}

fn chunked(count: usize, size: usize) -> String {
    let chunks = format!("{size:x}\r\n{:size$}\r\n", "").repeat(count);
    format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

// IN-01, IN-06: a length that does not fit what is sent.
#[test]
fn lying_lengths_harm_nobody() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let too_little =
        statuses_before_end(&service, format!("{LOGIN}Content-Length: 500\r\n\r\n{{}}").as_bytes());
    assert!(too_little.is_empty() || too_little == [400], "{too_little:?}");
    let too_much =
        statuses(&service, format!("{LOGIN}Content-Length: 2\r\n\r\n{{}}rubbish\r\n\r\n").as_bytes());
    assert!(too_much == [400] || too_much == [400, 400], "the rest is no request: {too_much:?}");
    let cut_chunk =
        statuses(&service, format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\nff\r\n{{}}").as_bytes());
    assert!(cut_chunk.is_empty() || cut_chunk == [400], "{cut_chunk:?}");
    let bad_chunk =
        statuses(&service, format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\nxyz\r\n{{}}").as_bytes());
    assert!(bad_chunk.is_empty() || bad_chunk == [400], "{bad_chunk:?}");
    assert_well(&service);
}

// IN-06: what two servers in a row could read differently is refused, and nothing behind it is answered.
#[test]
fn ambiguous_framing_is_refused() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let table = [
        ("two lengths", format!("{LOGIN}Content-Length: 2\r\nContent-Length: 44\r\n\r\n{{}}{hidden}")),
        ("a list of lengths", format!("{LOGIN}Content-Length: 2, 44\r\n\r\n{{}}{hidden}")),
        ("a signed length", format!("{LOGIN}Content-Length: +2\r\n\r\n{{}}{hidden}")),
        (
            "length and chunks",
            format!("{LOGIN}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("an unknown coding", format!("{LOGIN}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")),
        (
            "chunked, and then not",
            format!("{LOGIN}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("a folded header", format!("{LOGIN}X-A: b\r\n Content-Length: 2\r\n\r\n{{}}{hidden}")),
        ("a space before the colon", format!("{LOGIN}Content-Length : 2\r\n\r\n{{}}{hidden}")),
        ("a line feed in a name", format!("{LOGIN}X-A\n: b\r\nContent-Length: 2\r\n\r\n{{}}{hidden}")),
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (what, bytes) in table {
        let got = statuses(&service, bytes.as_bytes());
        if got.len() != 1 || !got.iter().all(|status| (400..500).contains(status) || *status == 501) {
            wrong.push(format!("{what}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_well(&service);
}

// IN-01
#[test]
fn heads_have_a_size() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let get = |path: &str, headers: &str| {
        statuses(&service, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes())
    };
    let many = |count: usize| (0..count).map(|number| format!("X-{number}: a\r\n")).collect::<String>();
    assert_eq!(get("/healthz", &many(99)), [200], "and the Host: one hundred");
    assert_eq!(get("/healthz", &many(100)), [431]);
    assert_eq!(get("/healthz", &many(5000)), [431]);
    assert_eq!(get("/healthz", &format!("X-Long: {}\r\n", "a".repeat(12 * 1024))), [200]);
    assert_eq!(get("/healthz", &format!("X-Long: {}\r\n", "a".repeat(17 * 1024))), [431]);
    let uri = |size: usize| format!("/healthz?{}", "a".repeat(size - "/healthz?".len()));
    assert_eq!(get(&uri(8 * 1024), ""), [200]);
    assert_eq!(get(&uri(9 * 1024), ""), [414]);
    assert_well(&service);
}

// IN-02: clients that connect, ask and leave free their place.
#[test]
fn clients_that_leave_free_their_place() {
    let _turn = turn::alone();
    let service = Process::start(&[]);
    service.client().get("/healthz");
    let before = service.open_files();
    for number in 0..rounds(1000, 10_000) {
        let mut stream = connect(&service);
        let text =
            format!("{LOGIN}Content-Length: 40\r\n\r\n{{\"username\":\"nobody\",\"password\":\"pass\"}}");
        // Some leave in the middle of the head, some of the body, some before the answer.
        let part = [10, 60, LOGIN.len() + 30, text.len()][number % 4];
        // A login costs a hash; most clients leave before theirs is whole.
        let part = if number % 40 == 3 { part } else { part.min(text.len() - 1) };
        let _ = stream.write_all(&text.as_bytes()[..part.min(text.len())]);
    }
    let freed = Duration::from_secs(60);
    wait::until("the connections are gone", freed, || service.open_files() <= before + 2);
    assert_well(&service);
}

// IN-05: what is no HTTP at all.
#[test]
fn rubbish_is_refused() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let all_bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice();
    let h2_preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    for bytes in
        [all_bytes.as_slice(), tls_hello, h2_preface, b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0", b""]
    {
        let got = statuses(&service, bytes);
        assert!(
            got.len() <= 1 && got.iter().all(|status| *status == 505 || (400..500).contains(status)),
            "{got:?}"
        );
    }
    assert_well(&service);
}

// IN-02: an idle connection is closed at last (the full run waits for it).
#[test]
fn idle_connections_are_closed() {
    if !testkit::skip::full() {
        testkit::skip::skipped("idle_connections_are_closed", "it waits for 75 s: only with --full");
        return;
    }
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let mut stream = connect(&service);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let deadline = Deadline::after(Duration::from_secs(150));
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(!deadline.passed(), "an idle connection stays open");
    }
}
