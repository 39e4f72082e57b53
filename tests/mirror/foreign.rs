//! Somebody else's server: no digests, listings as several programs write them, and bad manners.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// What its good files hold.
pub(crate) const CONTENT: &[u8] = b"content of a file";

/// The listing of the root.
const ROOT: &str = r##"<html><body><h1>Index</h1>
<a href="?C=M;O=A">Last modified</a> <a href="#top">top</a>
<a href="../">Parent</a> <a href="/outside/x.txt">elsewhere</a> <a href="http://example.invalid/x">other</a>
<a href="a%20b.txt">a b.txt</a>
<A class=dir HREF='sub/'>sub/</A>
<a href="missing.txt">missing.txt</a>
<a href="short.txt">short.txt</a>
<a href="%2e%2e/%2e%2e/escaped">escape</a> <a href="..%2f..%2fescaped">escape</a>
</body></html>"##;

/// The listing of the directory below it, with a link back up.
const SUB: &str =
    r#"<a href="/base/">up</a> <a href="%C3%A4.txt">&auml;.txt</a> <a href="sub/..">itself</a>"#;

/// A server on a thread of its own that ends with the process.
pub(crate) struct ForeignServer {
    pub(crate) url: String,
}

impl ForeignServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || answer(stream.unwrap()));
            }
        });
        ForeignServer { url }
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    let _ = reader.read_line(&mut request);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        line.clear();
    }
    let page = "text/html; charset=utf-8";
    let (status, kind, length, content) = match request.split(' ').nth(1).unwrap_or_default() {
        "/base/" => ("200 OK", page, ROOT.len(), ROOT.as_bytes()),
        "/base/sub/" => ("200 OK", page, SUB.len(), SUB.as_bytes()),
        "/base/a%20b.txt" | "/base/sub/%C3%A4.txt" => {
            ("200 OK", "text/plain", CONTENT.len(), CONTENT)
        }
        "/base/short.txt" => ("200 OK", "text/plain", CONTENT.len() + 1, CONTENT),
        _ => ("404 Not Found", page, 0, &b""[..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(content);
}
