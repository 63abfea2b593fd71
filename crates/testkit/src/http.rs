//! A small blocking HTTP/1.1 client for tests of the real binary.
//!
//! It never repeats a request by itself: a test that counts what was acknowledged must know what was sent.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines in the order they came; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; broken UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("no JSON ({fault}): {self:?}"))
    }

    /// A text member of the JSON body.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn member(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no member {name}: {self:?}")).to_owned()
    }
}

/// One client: one connection, kept open between requests as browsers do.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client of the service at `address`; nothing is sent yet. A single read waits 60 s at most.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, timeout: Duration::from_secs(60), connection: None }
    }

    /// The same with another limit for a single read or write.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the connection now, so that a later request costs no handshake.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub fn connect(&mut self) -> io::Result<()> {
        if self.connection.as_mut().is_some_and(|open| !is_open(open)) {
            self.connection = None;
        }
        if self.connection.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
            stream.set_read_timeout(Some(self.timeout))?;
            stream.set_write_timeout(Some(self.timeout))?;
            stream.set_nodelay(true)?;
            self.connection = Some(BufReader::new(stream));
        }
        Ok(())
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks before the answer is whole: whether the request was carried out is then unknown.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.connect()?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        let Some(mut connection) = self.connection.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        connection.get_mut().write_all(&bytes)?;
        let answer = read_answer(&mut connection, method)?;
        if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn try_post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// POST with a JSON body.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap_or_else(|fault| panic!("POST {path}: {fault}"))
    }

    /// GET.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").unwrap_or_else(|fault| panic!("GET {path}: {fault}"))
    }
}

/// Whether the peer has not closed a connection that lies idle: looked at before a request is sent, so that a closed
/// one costs no request.
fn is_open(connection: &mut BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let idle = matches!(stream.peek(&mut [0]), Err(fault) if fault.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && idle
}

/// Reads one answer to its end.
///
/// # Errors
/// When the connection ends or falls silent before that, or what comes is no HTTP.
pub fn read_answer(connection: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    let status_line = line(connection)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let text = line(connection)?;
        let Some((name, value)) = text.split_once(':') else { break };
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if method != "HEAD" && status != 204 && status != 304 {
        answer.body = body(connection, &answer)?;
    }
    Ok(answer)
}

/// One line without its end.
fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    connection.read_line(&mut text)?;
    if !text.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The body by its announced length, in chunks, or to the end of the connection.
fn body(connection: &mut impl BufRead, answer: &Answer) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(length) = answer.header("content-length") {
        bytes.resize(length.parse().map_err(io::Error::other)?, 0);
        connection.read_exact(&mut bytes)?;
    } else if answer.header("transfer-encoding").is_some() {
        loop {
            let size = line(connection)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(io::Error::other)?;
            let start = bytes.len();
            bytes.resize(start + size, 0);
            connection.read_exact(&mut bytes[start..])?;
            line(connection)?;
            if size == 0 {
                break;
            }
        }
    } else {
        connection.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lengths_chunks_and_ends() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello rest",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            let answer = read_answer(&mut text.as_bytes(), "GET").expect("whole");
            assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        }
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        for text in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"]
        {
            assert!(read_answer(&mut text.as_bytes(), "GET").is_err(), "{text:?}");
        }
    }
}
