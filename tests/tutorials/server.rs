//! An HTTP server on loopback, for the clients of the tutorials: a small application of `hyper`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use rt::net::{TcpListener, TcpStream};

/// What the server saw.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    /// How often a path has failed.
    failures: Mutex<HashMap<String, u32>>,
}

/// A server that runs as long as this lives.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    _accepting: rt::OwnedTask<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let accepting = rt::spawn(accept(listener, counts.clone())).cancel_on_drop();
        Server {
            address,
            counts,
            _accepting: accepting,
        }
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    let connections = rt::TaskGroup::scope(async |group| {
        loop {
            let (stream, _) = listener.accept().await?;
            counts.connections.fetch_add(1, SeqCst);
            group.spawn_ok(serve(stream, counts.clone()));
        }
        #[allow(unreachable_code)]
        Ok(())
    });
    let _ = connections.await;
}

async fn serve(stream: TcpStream, counts: Arc<Counts>) {
    let application = service_fn(|request| {
        let counts = counts.clone();
        async move { Ok::<_, Infallible>(counts.answer(request).await) }
    });
    // A client may go away in the middle.
    let _ = http1::Builder::new()
        .serve_connection(stream, application)
        .await;
}

impl Counts {
    /// `/delay/MILLISECONDS/TEXT` answers the text, `/fails/N` fails N times first, `/silent` never answers.
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        self.requests.fetch_add(1, SeqCst);
        let path = request.uri().path();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts[..] {
            ["delay", delay, text] => {
                rt::sleep(Duration::from_millis(delay.parse().unwrap())).await;
                Response::new(text.to_owned())
            }
            ["fails", times] if self.count_failure(path) <= times.parse().unwrap() => {
                status(StatusCode::SERVICE_UNAVAILABLE)
            }
            ["fails", _] => Response::new("recovered".to_owned()),
            ["silent"] => pending().await,
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    /// Counts a failure of this path, and tells how many there are now.
    fn count_failure(&self, path: &str) -> u32 {
        let mut failures = self.failures.lock().unwrap();
        let count = failures.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }
}

fn status(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}
