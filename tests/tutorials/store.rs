//! A key-value store on loopback and a client of it, which speak the protocol of Redis as far as `SET` and `GET`.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rt::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt::net::{TcpListener, TcpStream};

type Values = Arc<Mutex<HashMap<String, String>>>;

/// Starts a store, which ends with the runtime.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let values = Values::default();
    rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            rt::spawn(serve(stream, values.clone()));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream, values: Values) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Ok(command) = read_command(&mut stream).await {
        let reply = match command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["SET", key, value] => {
                let mut values = values.lock().unwrap();
                values.insert(key.to_owned(), value.to_owned());
                "+OK\r\n".to_owned()
            }
            ["GET", key] => match values.lock().unwrap().get(key) {
                Some(value) => bulk(value),
                None => "$-1\r\n".to_owned(),
            },
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        stream.get_mut().write_all(reply.as_bytes()).await?;
    }
    Ok(())
}

/// A text with its length before it.
fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

async fn read_command(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let n_parts = read_number(stream, '*').await?.unwrap_or_default();
    let mut parts = Vec::new();
    for _ in 0..n_parts {
        parts.push(read_bulk(stream).await?.unwrap_or_default());
    }
    Ok(parts)
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A line with a number after its first character; a negative one stands for nothing.
async fn read_number(stream: &mut BufReader<TcpStream>, kind: char) -> io::Result<Option<usize>> {
    let line = read_line(stream).await?;
    match line.strip_prefix(kind).map(str::parse::<i64>) {
        Some(Ok(number)) => Ok(usize::try_from(number).ok()),
        _ => Err(io::Error::other(line)),
    }
}

async fn read_bulk(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let Some(length) = read_number(stream, '$').await? else {
        return Ok(None);
    };
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    String::from_utf8(bytes).map(Some).map_err(io::Error::other)
}

/// A connection to a store.
pub(crate) struct StoreClient(BufReader<TcpStream>);

impl StoreClient {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(StoreClient(BufReader::new(
            TcpStream::connect(address).await?,
        )))
    }

    pub(crate) async fn set(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.send(&["SET", key, value]).await?;
        match read_line(&mut self.0).await?.as_str() {
            "+OK" => Ok(()),
            other => Err(io::Error::other(other)),
        }
    }

    pub(crate) async fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        self.send(&["GET", key]).await?;
        read_bulk(&mut self.0).await
    }

    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.0.close().await
    }

    async fn send(&mut self, parts: &[&str]) -> io::Result<()> {
        let parts_sent: String = parts.iter().map(|part| bulk(part)).collect();
        let command = format!("*{}\r\n{parts_sent}", parts.len());
        self.0.get_mut().write_all(command.as_bytes()).await
    }
}
