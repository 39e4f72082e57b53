//! Two ends of a tunnel: `accept` takes TLS off connections and passes them on as plain ones, `connect` puts it on.
//!
//! ```text
//! cargo run -p rt-tasks-ecosystem --bin tls_tunnel -- accept 127.0.0.1:8443 127.0.0.1:8080 certificates.pem key.pem
//! cargo run -p rt-tasks-ecosystem --bin tls_tunnel -- connect 127.0.0.1:8081 localhost:8443 authorities.pem
//! ```
//!
//! With both of them and the example `http_server`, `curl 127.0.0.1:8081` reads notes through TLS, and so does
//! `curl --cacert authorities.pem https://localhost:8443`.
//!
//! The two ways of a connection end independently, as those of the example `proxy`. In TLS an end is announced. One that is
//! not, be it cut off by an attacker or by a crash, must not pass for the end of what was sent: the plain side is then
//! reset. rustls does the cryptography, with the provider `ring`.

use std::env;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rt::BoxError;
use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long connecting to the target, and agreeing on keys, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes TLS connections of `listener` on to `target` as plain ones, until the server is told to end.
pub(crate) fn accept(listener: TcpListener, target: String, identity: ServerConfig) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(identity));
    tunnel(listener, move |client| {
        let (acceptor, target) = (acceptor.clone(), target.clone());
        async move {
            client.set_nodelay(true)?;
            let mut tls = within(PATIENCE, acceptor.accept(client)).await?;
            let mut plain = within(PATIENCE, TcpStream::connect(&*target)).await?;
            pass(&mut plain, &mut tls).await
        }
    })
}

/// Passes plain connections of `listener` on to `target` through TLS, until the server is told to end. The target
/// proves that it is called `name`.
pub(crate) fn connect(
    listener: TcpListener,
    target: String,
    name: ServerName<'static>,
    trust: ClientConfig,
) -> Server {
    let connector = TlsConnector::from(Arc::new(trust));
    tunnel(listener, move |mut plain| {
        let (connector, target, name) = (connector.clone(), target.clone(), name.clone());
        async move {
            reset_when_dropped(&plain, true)?;
            let server = within(PATIENCE, TcpStream::connect(&*target)).await?;
            server.set_nodelay(true)?;
            let mut tls = within(PATIENCE, connector.connect(name, server)).await?;
            pass(&mut plain, &mut tls).await
        }
    })
}

/// Has each connection handled, and says what went wrong with it.
fn tunnel<F>(
    listener: TcpListener,
    mut handle: impl FnMut(TcpStream) -> F + Send + 'static,
) -> Server
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    serve(listener, ServeOptions::default(), move |stream, peer| {
        let handled = handle(stream);
        async move {
            // A client or a target that hangs up is nothing to report.
            if let Err(error) = handled.await {
                eprintln!("{peer}: {error}");
            }
        }
    })
}

/// Copies both ways until both have ended.
async fn pass<T>(plain: &mut TcpStream, tls: &mut T) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    plain.set_nodelay(true)?;
    reset_when_dropped(plain, true)?;
    tokio::io::copy_bidirectional(plain, tls).await?;
    reset_when_dropped(plain, false)
}

/// Has the peer told, if the connection is dropped, that it did not end well, whatever the reason.
fn reset_when_dropped(plain: &TcpStream, reset: bool) -> io::Result<()> {
    plain.set_linger(reset.then_some(Duration::ZERO))
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |late| io::Error::new(ErrorKind::TimedOut, late);
    rt::timeout(limit, work).await.map_err(late)?
}

/// Named, since a program in which two crates ask rustls for different providers has no default one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Who shows these certificates, its own first, and has the key to it.
pub(crate) async fn identity(certificates: &Path, key: &Path) -> Result<ServerConfig, BoxError> {
    let certificates = read_certificates(certificates).await?;
    let key = PrivateKeyDer::from_pem_slice(&rt::fs::read(key).await?)?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?)
}

/// Who trusts these authorities.
pub(crate) async fn trust(authorities: &Path) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    for authority in read_certificates(authorities).await? {
        roots.add(authority)?;
    }
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let text = rt::fs::read(path).await?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>()?;
    Ok(certificates)
}

#[rt::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // It counts from here on, before anybody can know that there is something to stop.
    let interrupted = rt::signal::ctrl_c();
    let server = match *arguments {
        ["accept", address, target, certificates, key] => {
            let identity = identity(certificates.as_ref(), key.as_ref()).await?;
            accept(listen(address).await?, target.to_owned(), identity)
        }
        ["connect", address, target, authorities] => {
            let trust = trust(authorities.as_ref()).await?;
            let (host, _port) = target.rsplit_once(':').ok_or("the target has no port")?;
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            connect(listen(address).await?, target.to_owned(), name, trust)
        }
        _ => {
            return Err("usage: tls_tunnel accept ADDRESS TARGET CERTIFICATES KEY
       tls_tunnel connect ADDRESS TARGET AUTHORITIES"
                .into());
        }
    };
    interrupted.await?;
    server.drain(Duration::from_secs(10)).await;
    Ok(())
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
