//! A TCP proxy: what comes to one address goes on to another, both ways, and so does the end of each way.
//!
//! ```text
//! cargo run --example proxy -- 127.0.0.1:8080 example.org:80     # then: curl -H 'Host: example.org' 127.0.0.1:8080
//! ```
//!
//! A client that has said everything ends its way and still gets the answer: the two ways of a connection end
//! independently, and the connection ends with the second one. If either of them fails, both do. Ctrl-C lets the
//! connections come to their end for ten seconds.

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};

/// How long connecting to the target may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Forwards the connections of `listener` to `target` until the server is told to end.
pub(crate) fn proxy(listener: TcpListener, target: String) -> Server {
    serve(listener, ServeOptions::default(), move |client, peer| {
        let target = target.clone();
        async move {
            // A client or a target that hangs up is nothing to report.
            match forward(client, &target).await {
                Ok((to, from)) => println!("{peer}: {to} bytes to {target}, {from} bytes back"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        }
    })
}

/// Copies both ways until both have ended, and tells how many bytes that were.
async fn forward(mut client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let connecting = TcpStream::connect(target);
    let mut server = rt::timeout(PATIENCE, connecting)
        .await
        .map_err(|late| io::Error::new(io::ErrorKind::TimedOut, late))??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    rt::io::copy_bidirectional(&mut client, &mut server).await
}

#[rt::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: proxy ADDRESS TARGET".into());
    };
    let listener = TcpListener::bind(address).await?;
    // It counts from here on, before anybody can know that there is something to stop.
    let interrupted = rt::signal::ctrl_c();
    println!("forwarding {} to {target}", listener.local_addr()?);
    let server = proxy(listener, target);
    interrupted.await?;
    server.drain(Duration::from_secs(10)).await;
    Ok(())
}
