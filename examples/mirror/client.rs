//! The connections of the fetching half: a bounded number, kept open and used again.
//!
//! A permit of the semaphore is held as long as a connection is in use. A connection that is not in use
//! lies in `idle`, and a new one is made only when there is none, so there never are more connections
//! than permits. Each connection is driven by a child of the group, which ends when the connection does.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use rt::net::TcpStream;
use rt::sync::{Permit, Semaphore};
use rt::{BoxError, TaskGroup};

use super::digest::Digest;
use super::place::Place;
use super::problem::{Problem, Trouble};

/// Where a mirror begins.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// `host:port`, to connect to.
    pub(crate) socket: String,
    /// `host` or `host:port` as it stands in the URL.
    pub(crate) authority: String,
    /// The path of the first listing, encoded, with `/` at both ends.
    pub(crate) path: String,
    /// The same as a place.
    pub(crate) base: Place,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Problem> {
        let problem = |why: &str| {
            let advice = "give the URL of a listing, such as http://127.0.0.1:8080/";
            Problem::new(format!("cannot fetch {url:?}: {why}"), advice)
        };
        let uri: Uri = url.parse().map_err(|error| problem(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(problem("only http:// is understood")),
            None => return Err(problem("it does not begin with http://")),
        }
        let authority = uri
            .authority()
            .ok_or_else(|| problem("it names no server"))?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(problem("it has a part that a listing's URL has not"));
        }
        let base = match Place::from_url_path(uri.path()) {
            Ok(Some(base)) => base,
            Ok(None) | Err(_) => return Err(problem("its path is none")),
        };
        let path = match base.url_path("/") {
            path if path.ends_with('/') => path,
            path => path + "/",
        };
        let port = authority.port_u16().unwrap_or(80);
        Ok(Address {
            socket: format!("{}:{port}", authority.host()),
            authority: authority.as_str().to_owned(),
            path,
            base,
        })
    }
}

/// The connections to one server.
#[derive(Debug)]
pub(crate) struct Client {
    address: Address,
    timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    drivers: TaskGroup<BoxError>,
}

type Connection = SendRequest<Empty<Bytes>>;

/// A good answer, whose content is still to be read.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    client: &'a Client,
    connection: Connection,
    body: Incoming,
    /// Its digest, when the server says it.
    pub(crate) digest: Option<Digest>,
    /// Its length, when the server says it.
    pub(crate) length: Option<u64>,
    /// Whether it is a page that may list a directory.
    pub(crate) is_page: bool,
    _permit: Permit<'a>,
}

impl Client {
    /// Prepares for `n` connections, whose drivers will be children of `drivers`.
    pub(crate) fn new(
        address: Address,
        n: usize,
        timeout: Duration,
        drivers: TaskGroup<BoxError>,
    ) -> Self {
        Client {
            address,
            timeout,
            permits: Semaphore::new(n),
            idle: Mutex::default(),
            drivers,
        }
    }

    /// Makes the first connection, so that a wrong address is noticed before anything is begun.
    pub(crate) async fn try_out(&self) -> Result<(), Problem> {
        let result = match rt::timeout(self.timeout, self.connect()).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let connection =
            result.map_err(|error| Problem::with("connect to", &self.address.socket, &error))?;
        self.keep(connection);
        Ok(())
    }

    /// Asks for a path and waits for the answer's head. The connection counts as used until the answer is
    /// dropped or finished.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer<'_>, Trouble> {
        let permit = match self.permits.acquire().await {
            Ok(permit) => permit,
            Err(closed) => return Err(Trouble::Lasting(closed.to_string())),
        };
        let (response, connection) = match rt::timeout(self.timeout, self.request(path)).await {
            Ok(result) => result?,
            Err(_) => return Err(self.silence()),
        };
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let digest = header(HeaderName::from_static(Digest::HEADER)).and_then(Digest::from_header);
        let is_page = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
        let status = response.status();
        let length = response.body().size_hint().exact();
        let mut answer = Answer {
            client: self,
            connection,
            digest,
            length,
            is_page,
            body: response.into_body(),
            _permit: permit,
        };
        match status {
            StatusCode::OK => Ok(answer),
            _ => Err(answer.refusal(status).await),
        }
    }

    /// Lets all connections end that are not in use.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn request(&self, path: &str) -> Result<(Response<Incoming>, Connection), Trouble> {
        // One that the server closed while it lay idle is no failed attempt.
        while let Some(mut connection) = self.take_idle() {
            if connection.ready().await.is_ok() {
                return self.send(connection, path).await;
            }
        }
        let doing = || format!("cannot connect to {}", self.address.socket);
        let connection = self.connect().await;
        let connection = connection.map_err(|error| Trouble::passing(&doing(), &error))?;
        self.send(connection, path).await
    }

    async fn send(
        &self,
        mut connection: Connection,
        path: &str,
    ) -> Result<(Response<Incoming>, Connection), Trouble> {
        let request = Request::get(path)
            .header(HOST, &self.address.authority)
            .header(USER_AGENT, concat!("rt-mirror/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| Trouble::Lasting(error.to_string()))?;
        match connection.send_request(request).await {
            Ok(response) => Ok((response, connection)),
            Err(error) => Err(Trouble::passing("no answer", &error)),
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&*self.address.socket).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(stream).await.map_err(io::Error::other)?;
        // What goes wrong with a connection is said to whoever waits for its answer.
        self.drivers.spawn(async move {
            let _ = driver.await;
        });
        Ok(connection)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn keep(&self, connection: Connection) {
        if !connection.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }

    fn silence(&self) -> Trouble {
        Trouble::Passing(format!("the server was silent for {:?}", self.timeout))
    }
}

impl Answer<'_> {
    /// The next part of the content; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match rt::timeout(self.client.timeout, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => {
                    return Err(Trouble::passing("the answer broke off", &error));
                }
                Err(_) => return Err(self.client.silence()),
            }
        }
    }

    /// Reads all of the content, unless it is longer than `limit`.
    pub(crate) async fn read(mut self, limit: usize) -> Result<Vec<u8>, Trouble> {
        let mut content = Vec::new();
        while let Some(data) = self.next().await? {
            if content.len() + data.len() > limit {
                return Err(Trouble::Lasting(format!("it has more than {limit} bytes")));
            }
            content.extend_from_slice(&data);
        }
        if self
            .digest
            .as_ref()
            .is_some_and(|digest| *digest != Digest::of(&content))
        {
            return Err(Trouble::Passing(
                "SHA-256 differs: it was damaged on its way".to_owned(),
            ));
        }
        self.finish();
        Ok(content)
    }

    /// Gives the connection back for the next request, after all of the content was read.
    pub(crate) fn finish(self) {
        self.client.keep(self.connection);
    }

    /// What a status other than 200 means.
    async fn refusal(&mut self, status: StatusCode) -> Trouble {
        let mut text = status.to_string();
        if let (false, Ok(Some(reason))) = (self.is_page, self.next().await) {
            let reason = String::from_utf8_lossy(&reason);
            text += &format!(": {}", reason.lines().next().unwrap_or_default());
        }
        let passes = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            );
        match passes {
            true => Trouble::Passing(text),
            false => Trouble::Lasting(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = Address::parse("http://localhost/a%20b/c").unwrap();
        assert_eq!(address.socket, "localhost:80");
        assert_eq!(address.authority, "localhost");
        assert_eq!(address.path, "/a%20b/c/");
        let address = Address::parse("http://[::1]:81").unwrap();
        assert_eq!((&*address.socket, &*address.path), ("[::1]:81", "/"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "https://a/",
            "a/b",
            "http://",
            "http://a/?b",
            "http://u@a/",
            "http://a/%2f/",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
