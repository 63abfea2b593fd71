//! Forward authentication with the real nginx and Caddy, configured by the files of deploy/proxies (SE-01, IN-07, HB-02).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use testkit::http::{Answer, Client};
use testkit::process::{Process, bound_to_parent, free_address};
use testkit::skip::skipped;
use testkit::wait;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";

/// A proxy in front of the service and of an application that answers with the request it got.
struct Proxied {
    service: Process,
    proxy: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl Proxied {
    fn client(&self) -> Client {
        Client::new(self.address)
    }
}

/// An application that answers every request with its head, as text. It ends with the test's process.
fn application() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(&stream));
        }
    });
    address
}

fn echo(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                continue;
            }
            return;
        }
        let mut stream = stream;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn deployed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxies").join(file);
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The file as it is deployed, with other ports.
fn with_ports(text: &str, service: SocketAddr, application: SocketAddr, own: SocketAddr) -> String {
    assert!(text.contains("127.0.0.1:8000") && text.contains("127.0.0.1:9000") && text.contains("8080"));
    text.replace("127.0.0.1:8000", &service.to_string())
        .replace("127.0.0.1:9000", &application.to_string())
        .replace("8080", &own.port().to_string())
}

fn start(file: &str, command: impl FnOnce(&Path, &str) -> Command) -> Proxied {
    let service = Process::start(&[("FORWARD_AUTH_COOKIE", "access"), ("TRUSTED_PROXIES", "127.0.0.1")]);
    let folder = TempDir::with_prefix("bookstore-auth-").expect("a temporary folder");
    let address = free_address();
    let text = with_ports(&deployed(file), service.address(), application(), address);
    let mut command = command(folder.path(), &text);
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
    let proxy = command.spawn().expect("the proxy starts");
    wait::until("the proxy listens", Duration::from_secs(30), || TcpStream::connect(address).is_ok());
    Proxied { service, proxy, address, _folder: folder }
}

fn nginx() -> Proxied {
    start("nginx.conf", |folder, text| {
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .concat();
        let own = fs::metadata(folder).map(|it| std::os::unix::fs::MetadataExt::uid(&it)).unwrap_or(1);
        let user = if own == 0 { "user root;" } else { "" };
        let whole = format!(
            "{user} daemon off; master_process off; pid pid; error_log stderr;\n\
             events {{ worker_connections 128; }}\nhttp {{ access_log off; {places}\n{text}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), whole).expect("a configuration");
        let mut command = bound_to_parent(&program("nginx"));
        command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]);
        command
    })
}

fn caddy() -> Proxied {
    start("Caddyfile", |folder, text| {
        let whole = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}");
        fs::write(folder.join("Caddyfile"), whole).expect("a configuration");
        let mut command = bound_to_parent(&program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
        command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        command
    })
}

/// The values of a header in the echoed head, with either spelling of its name.
fn seen(answer: &Answer, name: &str) -> Vec<String> {
    let named = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.to_ascii_lowercase().replace('_', "-") == name).then(|| value.trim().to_owned())
    };
    answer.text().lines().filter_map(named).collect()
}

fn check(proxied: &Proxied) {
    let mut client = proxied.client();
    let register = json!({"username": "Жанна", "email": "", "password": PASSWORD});
    assert_eq!(client.post("/auth/register/", &register).status, 201, "logins go through the proxy");
    let login = client.post("/auth/login/", &json!({"username": "Жанна", "password": PASSWORD}));
    let (access, refresh) = (login.member("access"), login.member("refresh"));
    let bearer = format!("Bearer {access}");
    let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        proxied.client().send(method, path, headers, body).expect("an answer")
    };
    let lies = [
        ("X-Auth-User-Id", "999"),
        ("x_auth_user_id", "999"),
        ("X-Auth-Username", "admin"),
        ("X_Auth_Username", "admin"),
        ("X-Auth-Session", "stolen"),
        ("X-Auth_Session", "stolen"),
        ("x_auth-session", "stolen"),
    ];
    // Strangers, with whatever headers.
    for headers in [&lies[..], &[("authorization", "Bearer x")], &[("cookie", "access=x")]] {
        assert_eq!(send("GET", "/shop", headers, b"").status, 401, "{headers:?}");
    }
    // Users, whose headers are ours alone.
    let mut headers = lies.to_vec();
    headers.push(("authorization", &bearer));
    for (method, path, body) in [("GET", "/shop?a=1", &b""[..]), ("POST", "/shop/%2e%2e/x", b"abc")] {
        let answer = send(method, path, &headers, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(seen(&answer, "x-auth-user-id"), ["1"], "{}", answer.text());
        assert_eq!(seen(&answer, "x-auth-username"), ["%D0%96%D0%B0%D0%BD%D0%BD%D0%B0"]);
        let session = seen(&answer, "x-auth-session");
        assert!(session.len() == 1 && session[0].len() == 32, "{}", answer.text());
    }
    // Named in Connection, our headers would go on their way: all of them arrive, or the request is refused.
    for named in ["close, X-Auth-User-Id", "x-auth-session, X-Auth-Username", "X_Auth_User_Id"] {
        let answer = send("GET", "/shop", &[("authorization", &bearer), ("connection", named)], b"");
        let arrived = ["x-auth-user-id", "x-auth-username", "x-auth-session"];
        let all = arrived.iter().all(|name| seen(&answer, name).len() == 1);
        assert!(answer.status == 400 || (answer.status == 200 && all), "{named}: {}", answer.text());
    }
    // A cookie reads, and writes only from the same site, whatever method the client claims.
    let cookie = format!("access={access}");
    let host = proxied.address.to_string();
    let origin = format!("http://{host}");
    for (method, more, status) in [
        ("GET", ("accept", "*/*"), 200),
        ("POST", ("accept", "*/*"), 403),
        ("POST", ("x-forwarded-method", "GET"), 403),
        ("POST", ("x-original-method", "GET"), 403),
        ("POST", ("origin", "http://evil.example"), 403),
        ("POST", ("sec-fetch-site", "cross-site"), 403),
        ("POST", ("sec-fetch-site", "same-origin"), 200),
        ("DELETE", ("origin", origin.as_str()), 200),
    ] {
        let answer = send(method, "/cart", &[("cookie", &cookie), more], b"");
        assert_eq!(answer.status, status, "{method} {more:?}: {}", answer.text());
    }
    let refused = send("GET", "/shop", &[("cookie", &format!("access={refresh}"))], b"");
    assert_eq!(refused.status, 401, "TK-03: a refresh token opens nothing");
    // A logout is heard at once.
    assert_eq!(client.post("/auth/logout/", &json!({"refresh": refresh})).status, 200);
    assert_eq!(send("GET", "/shop", &[("authorization", &bearer)], b"").status, 401);
}

/// Where Debian puts it; `/usr/sbin` is not on everybody's path.
pub(crate) fn program(name: &str) -> PathBuf {
    let place = Path::new("/usr/sbin").join(name);
    if place.is_file() { place } else { PathBuf::from(name) }
}

pub(crate) fn installed(name: &str) -> bool {
    let found = Command::new(program(name)).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok()
}

#[test]
fn nginx_lets_users_through_and_nobody_else() {
    if !installed("nginx") {
        return skipped("proxies::nginx_lets_users_through_and_nobody_else", "nginx is not installed");
    }
    let _turn = turn::beside_others();
    let proxied = nginx();
    check(&proxied);
    assert_eq!(proxied.service.verify("x"), 400);
}

#[test]
fn caddy_lets_users_through_and_nobody_else() {
    if !installed("caddy") {
        return skipped("proxies::caddy_lets_users_through_and_nobody_else", "caddy is not installed");
    }
    let _turn = turn::beside_others();
    check(&caddy());
}
