//! Tokio's helpers on our streams.

use rt_tasks_io::net::{TcpStream, UnixStream, pipe};
use rt_tasks_runtime::{block_on, spawn};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::streams::{tcp_pair, unix_pair};

/// Sends more than the system keeps and reads it through a buffer, the end included.
async fn exchange(mut near: impl AsyncWrite + Unpin + Send + 'static, far: impl AsyncRead + Unpin) {
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let theirs = sent.clone();
    let writer = spawn(async move {
        near.write_all(&theirs).await.unwrap();
        near.flush().await.unwrap();
        near.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    BufReader::new(far).read_to_end(&mut heard).await.unwrap();
    writer.await.unwrap();
    assert!(heard == sent);
}

#[test]
fn streams_pipes_and_halves_carry_what_tokio_writes() {
    block_on(async {
        let (near, far): (TcpStream, TcpStream) = tcp_pair().await;
        exchange(near, far).await;
        let (near, far): (UnixStream, UnixStream) = unix_pair().await;
        exchange(near, far).await;
        let (near, far) = pipe().unwrap();
        exchange(near, far).await;
        let ((_, near), (far, _write)) = {
            let (near, far) = tcp_pair().await;
            (near.into_split(), far.into_split())
        };
        exchange(near, far).await;
        let (near, mut far) = unix_pair().await;
        let (_, near) = near.into_split();
        exchange(near, far.split().0).await;
        let (near, far) = rt_tasks_io::io::duplex(1_000);
        exchange(near, far).await;
    });
}
