//! A session of an HTTP client: connections that are kept and used again, as `aiohttp`'s.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use rt::net::TcpStream;

type Connection = SendRequest<Empty<Bytes>>;

/// What keeps a page from being fetched.
#[derive(Debug)]
pub(crate) struct FetchError(pub(crate) String);

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for FetchError {}

impl From<hyper::Error> for FetchError {
    fn from(error: hyper::Error) -> Self {
        FetchError(error.to_string())
    }
}

impl From<std::io::Error> for FetchError {
    fn from(error: std::io::Error) -> Self {
        FetchError(error.to_string())
    }
}

/// Connections to one server, with those that nobody uses at the moment.
pub(crate) struct Session {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    /// Requests under way.
    inside: AtomicUsize,
    /// The most requests that were under way at the same time.
    pub(crate) most: AtomicUsize,
}

/// A request under way, which is none any more when this is dropped.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Session {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Session {
            address,
            idle: Mutex::default(),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Fetches a page as text. If it is given up half-way the connection is closed.
    pub(crate) async fn get(&self, path: &str) -> Result<String, FetchError> {
        let n_inside = self.inside.fetch_add(1, SeqCst) + 1;
        let _inside = Inside(&self.inside);
        self.most.fetch_max(n_inside, SeqCst);
        let mut connection = self.connection().await?;
        let request = Request::get(path)
            .header("host", self.address.to_string())
            .body(Empty::new())
            .map_err(|error| FetchError(error.to_string()))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.idle.lock().unwrap().push(connection);
        match status.is_success() {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => Err(FetchError(format!("status {}", status.as_u16()))),
        }
    }

    async fn connection(&self) -> Result<Connection, FetchError> {
        while let Some(mut connection) = self.take_idle() {
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        let (connection, driver) = http1::handshake(stream).await?;
        rt::spawn(driver);
        Ok(connection)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap().pop()
    }
}
