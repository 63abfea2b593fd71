//! A small HTTP/1.1 client: one request at a time on one connection, kept alive while the server does.
//!
//! It is made to cost little beside the server it measures: requests are ready-made bytes, the buffer is
//! reused, and only the status, `content-length` and `connection` are looked at. It refuses what it does not
//! understand (chunked bodies, missing lengths) rather than guess.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Larger answers than this are a fault of the server.
const LARGEST_ANSWER: usize = 1 << 20;

/// An answer; the body borrows from the connection's buffer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// One client connection; opens itself when needed.
#[derive(Debug)]
pub(crate) struct Connection {
    server: SocketAddr,
    source: Ipv4Addr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// A connection to `server` (on this machine) that will come from the loopback address `source`.
    pub(crate) fn new(server: SocketAddr, source: Ipv4Addr) -> Self {
        Self { server, source, stream: None, buffer: Vec::with_capacity(4096) }
    }

    /// Sends `request` (a whole HTTP/1.1 request) and reads the answer to it.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await.with_context(|| format!("cannot connect to {}", self.server))?,
        };
        stream.write_all(request).await.context("cannot send a request")?;
        let head = read_answer(&mut stream, &mut self.buffer).await?;
        if head.keep_alive {
            self.stream = Some(stream);
        }
        Ok(Answer { status: head.status, body: &self.buffer[head.length..head.length + head.body] })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        // Short-lived connections leave the address in TIME_WAIT; it may be used again.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(IpAddr::V4(self.source), 0))?;
        let stream = socket.connect(self.server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A whole POST request with a JSON body; with `close` the server is asked to close the connection after it.
pub(crate) fn post_json(path: &str, body: &str, close: bool) -> Vec<u8> {
    let connection = if close { "connection: close\r\n" } else { "" };
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{connection}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A whole GET request.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    /// Bytes up to and with the empty line.
    length: usize,
    /// Bytes of the body.
    body: usize,
    keep_alive: bool,
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Head> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.context("cannot read an answer")? == 0 {
            bail!("the server closed the connection in the middle of an answer");
        }
        if let Some(head) = parse_head(buffer)? {
            let whole = head.length + head.body;
            if whole > LARGEST_ANSWER || buffer.len() > whole {
                bail!("the answer is longer than announced or than {LARGEST_ANSWER} bytes");
            }
            while buffer.len() < whole {
                if stream.read_buf(buffer).await.context("cannot read an answer")? == 0 {
                    bail!("the server closed the connection in the middle of an answer");
                }
            }
            return Ok(head);
        }
        if buffer.len() > LARGEST_ANSWER {
            bail!("the head of the answer does not end");
        }
    }
}

/// The head of an answer when it is complete, `None` while it is not.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(length) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let mut lines = bytes[..length - 4].split(|byte| *byte == b'\n');
    let status = lines.next().and_then(parse_status).context("the answer has no HTTP/1.1 status line")?;
    let (mut body, mut keep_alive) = (None, true);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            bail!("a header without a colon")
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            body = Some(str::from_utf8(value)?.parse::<usize>().context("content-length is not a number")?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            keep_alive = !value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            bail!("the answer is chunked, which this client does not read");
        }
    }
    let Some(body) = body.or((status == 204).then_some(0)) else { bail!("the answer has no content-length") };
    Ok(Some(Head { status, length, body, keep_alive }))
}

fn parse_status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>> {
        parse_head(text.as_bytes())
    }

    #[test]
    fn heads_are_read_whatever_their_spelling() {
        let full =
            "HTTP/1.1 401 Unauthorized\r\nServer: x\r\nCONTENT-Length:  12 \r\nConnection: Close\r\n\r\n{";
        let expected = Head { status: 401, length: full.len() - 1, body: 12, keep_alive: false };
        assert_eq!(head(full).unwrap(), Some(expected));
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n").unwrap(), None);
        assert!(head("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap().unwrap().keep_alive);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(head("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nx: y\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n").is_err());
        assert!(head("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n").is_err());
        assert!(head("nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn requests_carry_their_length() {
        let text = String::from_utf8(post_json("/verify/", "{\"a\":1}", true)).unwrap();
        assert!(text.starts_with("POST /verify/ HTTP/1.1\r\n"));
        assert!(text.contains("content-length: 7\r\n") && text.contains("connection: close\r\n"));
        assert!(text.ends_with("\r\n\r\n{\"a\":1}"));
    }
}
