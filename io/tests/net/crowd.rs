//! Ten thousand connections on which nothing happens.
//!
//! Server and clients are processes of their own, since both ends of so many are more descriptors than one process is
//! allowed on some systems. The clients use the standard library alone.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rt_tasks_io::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt_tasks_io::net::{ServeOptions, TcpListener, serve};
use rt_tasks_io::process::{Command, Stdio};
use rt_tasks_runtime::{Builder, sleep, timeout};

use crate::alone::{alone, n_descriptors};
use crate::own_address;

const N: usize = 10_000;
const NAME: &str = "crowd::ten_thousand_idle_connections_cost_little_and_are_all_there";

/// In the process of the clients: where the server is.
const ADDRESS: &str = "RT_TEST_CROWD";

/// What a connection may add to the memory of the server, in a build without optimisation: half of what it is with another
/// runtime in one with it. `benches` has figures that compare.
const BYTES_FOR_EACH: usize = 4096;

/// Allows this process as many descriptors as the system does.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let n_allowed = limit.maximum.unwrap_or(u64::MAX);
    assert!(n_allowed > N as u64 + 100, "{n_allowed} descriptors");
}

/// The part of this process's memory that is in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let size = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let n_kibibytes: usize = size.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    n_kibibytes * 1024
}

/// The clients: they come, are quiet, ask when they are told to, and go.
fn clients(address: SocketAddr) {
    raise_limit();
    let mut streams: Vec<_> = (0..N)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut word = [0; 1];
    for ask in [b'a', b'b'] {
        println!("ready");
        io::stdin().read_exact(&mut word).unwrap();
        for stream in &mut streams {
            stream.write_all(&[ask]).unwrap();
        }
        for stream in &mut streams {
            stream.read_exact(&mut word).unwrap();
            assert_eq!(word[0], ask);
        }
    }
}

/// Reads on until the clients say that they are ready.
async fn ready(clients: &mut (impl AsyncBufRead + Unpin)) {
    let mut line = String::new();
    while !line.trim_end().ends_with("ready") {
        line.clear();
        let n_read = clients.read_line(&mut line).await.unwrap();
        assert!(n_read > 0, "the clients have gone");
    }
}

async fn crowd() {
    let listener = TcpListener::bind(own_address()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(
        listener,
        ServeOptions::default(),
        |mut stream, _| async move {
            let mut word = [0; 1];
            while stream.read(&mut word).await? > 0 {
                stream.write_all(&word).await?;
            }
            io::Result::Ok(())
        },
    );
    let before = resident();
    let mut clients = Command::new(env::current_exe().unwrap());
    clients.args([NAME, "--exact", "--nocapture", "--test-threads=1"]);
    clients.env(ADDRESS, address.to_string()).kill_on_drop(true);
    clients.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut clients = clients.spawn().unwrap();
    let mut ask = clients.stdin.take().unwrap();
    let mut said = BufReader::new(clients.stdout.take().unwrap());
    ready(&mut said).await;
    // They have connected. The last of them wait in the backlog.
    while server.n_clients() < N {
        sleep(Duration::from_millis(1)).await;
    }
    let each = resident().saturating_sub(before) / N;
    assert!(each < BYTES_FOR_EACH, "{each} bytes for each connection");
    // Each of them is answered, and waits again.
    ask.write_all(b"x").await.unwrap();
    ready(&mut said).await;
    assert_eq!(server.n_clients(), N);
    // Then all of them go at once.
    ask.write_all(b"x").await.unwrap();
    assert!(clients.wait().await.unwrap().success());
    assert_eq!(server.drain(Duration::from_secs(60)).await.cut_off, 0);
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_are_all_there() {
    if let Ok(address) = env::var(ADDRESS) {
        return clients(address.parse().unwrap());
    }
    alone(NAME, || {
        raise_limit();
        let runtime = Builder::new().workers(2).build().unwrap();
        let before = runtime.block_on(async {
            // What the runtime opens for itself is open from the first socket on.
            drop(TcpListener::bind(own_address()).await.unwrap());
            n_descriptors()
        });
        let ended = runtime.block_on(async { timeout(Duration::from_secs(120), crowd()).await });
        assert!(ended.is_ok(), "it hangs");
        assert_eq!(n_descriptors(), before);
    });
}
