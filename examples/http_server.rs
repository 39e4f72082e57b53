//! A store of notes over HTTP: PUT keeps one, GET gives it back, DELETE forgets it, and `GET /` lists their names.
//!
//! ```text
//! cargo run --example http_server -- 127.0.0.1:8080     # then, elsewhere:
//! curl -T README.md 127.0.0.1:8080/readme
//! curl 127.0.0.1:8080/readme
//! ```
//!
//! hyper speaks HTTP; each of its connections is one of `serve`. Clients that are slow, send too much or say nothing are
//! sent away. Ctrl-C answers the requests that have come, and closes the connections that wait for the next one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use rt::hyper::Timer;
use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};

/// How long a client may take to say what it wants, and again to send a note.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that a note may have.
const LONGEST_NOTE: usize = 1 << 20;

/// Notes that are kept at most.
const N_NOTES: usize = 1000;

type Answer = Response<Full<Bytes>>;

/// Serves an empty store until the server is told to end.
pub(crate) fn http_server(listener: TcpListener) -> Server {
    let store = Arc::new(Store::default());
    serve(listener, ServeOptions::default(), move |stream, peer| {
        let store = Arc::clone(&store);
        async move {
            // A client that goes away is nothing to report.
            if let Err(error) = converse(stream, store).await {
                eprintln!("{peer}: {error}");
            }
        }
    })
}

/// Answers the requests of one connection, until it ends or the server is to end.
async fn converse(stream: TcpStream, store: Arc<Store>) -> Result<(), hyper::Error> {
    // An answer is written at once; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let store = Arc::clone(&store);
        async move { Ok::<_, Infallible>(store.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(Timer).header_read_timeout(PATIENCE);
    let mut connection = pin!(http.serve_connection(stream, service));
    rt::select! {
        ended = connection.as_mut() => return ended,
        () = rt::cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

#[derive(Default)]
struct Store(Mutex<BTreeMap<String, Bytes>>);

impl Store {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let name = request.uri().path().trim_start_matches('/').to_owned();
        match *request.method() {
            Method::GET | Method::HEAD if name.is_empty() => self.list(),
            Method::GET | Method::HEAD => self.get(&name),
            Method::PUT if !name.is_empty() => self.put(name, request.into_body()).await,
            Method::DELETE if !name.is_empty() => self.delete(&name),
            _ => {
                let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, "this is not done here\n");
                let allowed = HeaderValue::from_static("GET, HEAD, PUT, DELETE");
                answer.headers_mut().insert(ALLOW, allowed);
                answer
            }
        }
    }

    fn list(&self) -> Answer {
        let names = self
            .notes()
            .keys()
            .map(|name| format!("{name}\n"))
            .collect();
        answer::<String>(StatusCode::OK, names)
    }

    fn get(&self, name: &str) -> Answer {
        match self.notes().get(name) {
            Some(note) => answer(StatusCode::OK, note.clone()),
            None => answer(StatusCode::NOT_FOUND, "there is no such note\n"),
        }
    }

    async fn put(&self, name: String, body: Incoming) -> Answer {
        let too_long = || answer(StatusCode::PAYLOAD_TOO_LARGE, "a note has 1 MiB at most\n");
        // Who says so before is spared the sending.
        if body.size_hint().lower() > LONGEST_NOTE as u64 {
            return too_long();
        }
        let reading = Limited::new(body, LONGEST_NOTE).collect();
        let note = match rt::timeout(PATIENCE, reading).await {
            Ok(Ok(note)) => note.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return too_long(),
            Ok(Err(error)) => return answer(StatusCode::BAD_REQUEST, format!("{error}\n")),
            Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, "that took too long\n"),
        };
        let mut notes = self.notes();
        if notes.len() >= N_NOTES && !notes.contains_key(&name) {
            return answer(StatusCode::INSUFFICIENT_STORAGE, "all notes are taken\n");
        }
        match notes.insert(name, note) {
            Some(_) => answer(StatusCode::OK, "changed\n"),
            None => answer(StatusCode::CREATED, "kept\n"),
        }
    }

    fn delete(&self, name: &str) -> Answer {
        match self.notes().remove(name) {
            Some(_) => answer(StatusCode::OK, "forgotten\n"),
            None => answer(StatusCode::NOT_FOUND, "there is no such note\n"),
        }
    }

    /// Never held while a client is waited for.
    fn notes(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer<T: Into<Bytes>>(status: StatusCode, text: T) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
}

#[rt::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    // It counts from here on, before anybody can know that there is something to stop.
    let interrupted = rt::signal::ctrl_c();
    println!("listening on {}", listener.local_addr()?);
    let server = http_server(listener);
    interrupted.await?;
    server.drain(Duration::from_secs(10)).await;
    Ok(())
}
