//! What the tests of TLS share: certificates made on the spot, programs that talk line by line, and plain servers.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rt::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};
use rt::process::{Child, ChildStdin, ChildStdout, Command};
use tempfile::TempDir;

use crate::tools::{LONG, skipped};

/// An authority, and what it has signed for `localhost` and 127.0.0.1.
pub(crate) struct Papers(TempDir);

impl Papers {
    pub(crate) fn new() -> Self {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // To `openssl` two of the same name are one.
        authority
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap();
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        let papers = Self(tempfile::tempdir().unwrap());
        for (path, text) in [
            (papers.authorities(), authority.pem()),
            (papers.certificates(), certificate.pem()),
            (papers.key(), key.serialize_pem()),
        ] {
            std::fs::write(path, text).unwrap();
        }
        papers
    }

    pub(crate) fn authorities(&self) -> PathBuf {
        self.0.path().join("authorities.pem")
    }

    pub(crate) fn certificates(&self) -> PathBuf {
        self.0.path().join("certificates.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }
}

/// The next one who connects.
pub(crate) async fn accepted(listener: &TcpListener) -> BufReader<TcpStream> {
    let accepting = rt::timeout(LONG, listener.accept()).await;
    let (stream, _peer) = accepting.expect("nobody comes").unwrap();
    BufReader::new(stream)
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A plain server that gives each line back in capitals, and hangs up after the line `end`.
pub(crate) async fn shout_lines() -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let server = serve(listener, ServeOptions::default(), |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await? != 0 && line != "end\n" {
            let answer = line.to_uppercase();
            stream.get_mut().write_all(answer.as_bytes()).await?;
            line.clear();
        }
        std::io::Result::Ok(())
    });
    (server, address)
}

/// A plain server that answers in capitals when all has been said.
pub(crate) async fn shout_at_the_end() -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let server = serve(
        listener,
        ServeOptions::default(),
        |mut stream, _| async move {
            let mut question = String::new();
            stream.read_to_string(&mut question).await?;
            stream.write_all(question.to_uppercase().as_bytes()).await
        },
    );
    (server, address)
}

/// A plain server that gives each request for a page the same page.
pub(crate) async fn page(text: &str) -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let answer = format!("HTTP/1.0 200 OK\r\n\r\n{text}");
    let server = serve(listener, ServeOptions::default(), move |mut stream, _| {
        let answer = answer.clone();
        async move {
            let n_read = stream.read(&mut [0; 4096]).await?;
            assert_ne!(n_read, 0);
            stream.write_all(answer.as_bytes()).await
        }
    });
    (server, address)
}

/// Says a line on a connection, and hears one.
pub(crate) async fn exchange(stream: &mut BufReader<TcpStream>, line: &str) -> String {
    let said = format!("{line}\n");
    stream.get_mut().write_all(said.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let reading = stream.read_line(&mut heard);
    rt::timeout(LONG, reading).await.expect("silence").unwrap();
    heard.trim_end().to_owned()
}

/// A program that is talked to line by line. Dropped, it is killed.
pub(crate) struct Talker {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Talker {
    /// Starts a program; gives nothing, and says so, where there is none.
    pub(crate) fn start<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Option<Self> {
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skipped(&format!("{program} is not installed"));
                return None;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        Some(Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        })
    }

    pub(crate) async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> String {
        let mut line = String::new();
        let reading = self.stdout.read_line(&mut line);
        rt::timeout(LONG, reading).await.expect("silence").unwrap();
        line.trim_end().to_owned()
    }

    /// Reads on until a line begins like this, and gives the rest of it.
    pub(crate) async fn hear_after(&mut self, beginning: &str) -> String {
        loop {
            let line = self.hear().await;
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
            assert_ne!(line, "", "it has ended without {beginning:?}");
        }
    }

    pub(crate) fn interrupt(&self) {
        self.child
            .send_signal(rt::signal::SignalKind::INTERRUPT)
            .unwrap();
    }

    /// Kills it where it stands: it says goodbye to nobody.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) async fn ended(mut self) -> ExitStatus {
        let waiting = self.child.wait();
        rt::timeout(LONG, waiting)
            .await
            .expect("it does not end")
            .unwrap()
    }
}
