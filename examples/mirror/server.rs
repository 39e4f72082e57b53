//! The serving half: a tree over HTTP/1.1, one task for each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use rt::net::{TcpListener, TcpStream};
use rt::{BoxError, TaskGroup};

use super::content::Content;
use super::digest::Digest;
use super::faults::{Fault, Faults};
use super::place::Place;
use super::problem::Problem;
use super::site::{Found, Site};

/// How long a server rests when it cannot accept: it is out of files or memory, and hopes for better times.
const REST: Duration = Duration::from_millis(50);

/// What every connection needs.
pub(crate) struct Server {
    pub(crate) site: Site,
    pub(crate) faults: Faults,
}

/// Begins to listen.
pub(crate) async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Problem> {
    let problem = |error| Problem::with("listen on", address, &error);
    let listener = TcpListener::bind(address).await.map_err(problem)?;
    let local = listener.local_addr().map_err(problem)?;
    Ok((listener, local))
}

/// Serves until it is cancelled; all connections end with it.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) -> Result<(), BoxError> {
    TaskGroup::scope(|connections| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = Arc::clone(&server);
                    connections.spawn(async move { converse(stream, server).await });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    eprintln!("mirror: cannot accept connections: {error}; trying again");
                    rt::sleep(REST).await;
                }
            }
        }
    })
    .await?;
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Answers the requests of one connection. That a client goes away, or is cut off, is no error here.
async fn converse(stream: TcpStream, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(request, server).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(stream, service)
        .await;
}

async fn answer(request: Request<Incoming>, server: Arc<Server>) -> Response<Content> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = message(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        answer
            .headers_mut()
            .insert(ALLOW, "GET, HEAD".parse().expect("it is plain text"));
        return answer;
    }
    let path = request.uri().path().to_owned();
    let place = match Place::from_url_path(&path) {
        Ok(Some(place)) => place,
        Ok(None) | Err(_) => return message(StatusCode::BAD_REQUEST, "no such name is possible"),
    };
    let fault = server.faults.next(&path);
    match fault {
        Some(Fault::Slow(delay)) => rt::sleep(delay).await,
        Some(Fault::Refused) => {
            return message(StatusCode::INTERNAL_SERVER_ERROR, "refused on demand");
        }
        Some(Fault::Cut(_) | Fault::Corrupted) | None => {}
    }
    let is_directory = path.ends_with('/');
    let found = rt::spawn_blocking(move || server.site.find(&place, is_directory)).await;
    let answer = match found {
        Ok(Ok(found)) => deliver(found, &path, fault).await,
        Ok(Err(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    };
    answer.unwrap_or_else(|error| message(status_of(&error), &error.to_string()))
}

/// Turns what was found into an answer.
async fn deliver(found: Found, path: &str, fault: Option<Fault>) -> io::Result<Response<Content>> {
    let (content, digest, kind) = match found {
        Found::NeedsSlash => {
            let mut answer = message(StatusCode::MOVED_PERMANENTLY, "this is a directory");
            let location = format!("{path}/").parse().map_err(io::Error::other)?;
            answer.headers_mut().insert(LOCATION, location);
            return Ok(answer);
        }
        Found::Listing(page) => {
            let digest = Digest::of(page.as_bytes());
            (Content::memory(page), digest, "text/html; charset=utf-8")
        }
        Found::Small { content, digest } => {
            (Content::memory(content), digest, "application/octet-stream")
        }
        Found::Large {
            path,
            length,
            digest,
        } => {
            let file = rt::fs::File::open(path).await?;
            (
                Content::file(file, length),
                digest,
                "application/octet-stream",
            )
        }
    };
    Response::builder()
        .header(CONTENT_TYPE, kind)
        .header(Digest::HEADER, digest.header())
        .body(content.with(fault))
        .map_err(io::Error::other)
}

fn message(status: StatusCode, text: &str) -> Response<Content> {
    let mut answer = Response::new(Content::memory(format!("{text}\n")));
    *answer.status_mut() = status;
    answer
}

fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NOT_FOUND,
        io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        io::ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
