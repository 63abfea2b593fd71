//! The loop that serves connections (IN-02, DS-05).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use server::{Edge, Limits, ServerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<std::io::Result<()>>,
}

async fn serve(router: Router, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let edge = Edge::around(router, ServerSettings::default());
    let ended = tokio::spawn(server::serve(listener, edge, limits, shutdown.clone()));
    Served { address, shutdown, ended }
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
}

/// What comes until the answer is complete or the connection closed.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(b"well") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8(text).unwrap()
}

fn well() -> Router {
    Router::new().route("/well", get(async || "well"))
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let served = serve(well(), Limits::default()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..3 {
        ask(&mut stream, "/well").await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    stream
        .write_all(b"GET /well HTTP/1.1\r\nHost: a\r\n\r\nGET /well HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut both = answer(&mut stream).await;
    if both.matches("200 OK").count() < 2 {
        both += &answer(&mut stream).await;
    }
    assert_eq!(both.matches("200 OK").count(), 2, "{both}");
}

// IN-02
#[tokio::test]
async fn an_address_has_so_many_connections() {
    let served = serve(well(), Limits { connections_per_address: 2, ..Limits::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        ask(&mut stream, "/well").await;
        assert!(answer(&mut stream).await.contains("200 OK"));
        kept.push(stream);
    }
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    let _ = refused.write_all(b"GET /well HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer(&mut refused).await, "");
    drop(kept);
    loop {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let _ = stream.write_all(b"GET /well HTTP/1.1\r\nHost: a\r\n\r\n").await;
        if answer(&mut stream).await.contains("200 OK") {
            break; // as soon as the others are seen to be gone
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// IN-02
#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let short = Duration::from_millis(50);
    let served =
        serve(well(), Limits { header_timeout: short, idle_timeout: short, ..Limits::default() }).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /well HTTP/1.1\r\nHost:").await.unwrap();
    assert_eq!(answer(&mut slow).await, "", "closed");
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    ask(&mut idle, "/well").await;
    assert!(answer(&mut idle).await.contains("200 OK"));
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0, "closed");
}

fn gated(entered: &Arc<Notify>, leave: &Arc<Notify>) -> Router {
    let (entered, leave) = (Arc::clone(entered), Arc::clone(leave));
    let handler = move || {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        async move {
            entered.notify_one();
            leave.notified().await;
            "well"
        }
    };
    Router::new().route("/slow", get(handler))
}

// DS-05
#[tokio::test]
async fn requests_in_work_are_finished_and_no_new_ones_are_taken() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let served = serve(gated(&entered, &leave), Limits::default()).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    ask(&mut busy, "/slow").await;
    entered.notified().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    served.shutdown.cancel();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0, "an idle connection is closed");
    leave.notify_one();
    let last = answer(&mut busy).await;
    assert!(last.contains("200 OK") && last.contains("connection: close"), "{last}");
    served.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

// DS-05
#[tokio::test]
async fn the_end_has_a_deadline() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let served = serve(gated(&entered, &leave), limits).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    ask(&mut busy, "/slow").await;
    entered.notified().await;
    served.shutdown.cancel();
    served.ended.await.unwrap().unwrap();
    assert_eq!(answer(&mut busy).await, "", "cut off");
}
