//! Fetches documents over HTTP, all of them at the same time, and writes them out in the order in which they were named.
//!
//! ```text
//! cargo run --example http_client -- http://example.org/ http://127.0.0.1:8080/readme
//! ```
//!
//! hyper speaks HTTP. Redirections are followed. If one document cannot be had, the others are given up and nothing is
//! written.

use std::env;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use rt::BoxError;
use rt::io::AsyncWriteExt;
use rt::net::TcpStream;

/// How long one document may take, with all of its redirections.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that a document may have.
const LONGEST: usize = 64 << 20;

/// Redirections that are followed for one document.
const N_REDIRECTIONS: usize = 5;

/// Fetches all documents, or fails with the first that cannot be had.
pub(crate) async fn fetch_all(urls: Vec<String>) -> Result<Vec<Bytes>, BoxError> {
    rt::try_gather(urls.into_iter().map(|url| async move {
        let document = match rt::timeout(PATIENCE, fetch(&url)).await {
            Ok(document) => document,
            Err(late) => Err(late.into()),
        };
        document.map_err(|error| BoxError::from(format!("{url}: {error}")))
    }))
    .await
}

async fn fetch(url: &str) -> Result<Bytes, BoxError> {
    let mut url: Uri = url.parse()?;
    for _ in 0..=N_REDIRECTIONS {
        let (response, _connection) = get(&url).await?;
        if response.status().is_success() {
            let content = Limited::new(response.into_body(), LONGEST)
                .collect()
                .await?;
            return Ok(content.to_bytes());
        }
        match response.headers().get(LOCATION) {
            Some(place) if response.status().is_redirection() => {
                url = resolve(&url, place.to_str()?)?
            }
            _ => return Err(response.status().to_string().into()),
        }
    }
    Err("it is redirected too often".into())
}

/// Makes a connection, asks and waits for the head of the answer. What follows comes as long as the connection, which is
/// the second half of what is returned, is not dropped.
async fn get(
    url: &Uri,
) -> Result<(Response<Incoming>, rt::OwnedTask<hyper::Result<()>>), BoxError> {
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err("only URLs that begin with http:// are understood".into());
    };
    // In a URL the address of IP version 6 stands in brackets.
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let (mut requests, connection) = http1::handshake(stream).await?;
    let connection = rt::spawn(connection).cancel_on_drop();
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(
            USER_AGENT,
            concat!("rt-http-client/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())?;
    Ok((requests.send_request(request).await?, connection))
}

/// Where a redirection leads: to another URL, or to another path of the same server.
fn resolve(url: &Uri, place: &str) -> Result<Uri, BoxError> {
    let mut parts = place.parse::<Uri>()?.into_parts();
    if parts.authority.is_none() {
        let base = url.clone().into_parts();
        (parts.scheme, parts.authority) = (base.scheme, base.authority);
    }
    Ok(Uri::from_parts(parts)?)
}

#[rt::main]
async fn main() -> Result<(), BoxError> {
    let documents = fetch_all(env::args().skip(1).collect()).await?;
    let mut output = rt::io::stdout();
    for document in documents {
        output.write_all(&document).await?;
    }
    output.flush().await?;
    Ok(())
}
