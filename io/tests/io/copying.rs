//! `copy`, `copy_bidirectional`, `copy_file`.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::fs;
use rt_tasks_io::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, CopyFile, TakesFile, copy,
    copy_bidirectional, copy_file, duplex,
};
use rt_tasks_io::net::{TcpListener, TcpStream, UnixStream, pipe};
use rt_tasks_runtime::{block_on, spawn, yield_now};

use super::Drip;

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 253) as u8).collect()
}

#[test]
fn a_reader_is_copied_to_its_end() {
    block_on(async {
        let mut copied = Vec::new();
        let n_copied = copy(Drip::new(bytes(10_000), 17), &mut copied)
            .await
            .unwrap();
        assert_eq!(n_copied, 10_000);
        assert!(copied == bytes(10_000));
    });
}

#[test]
fn both_directions_are_copied_and_each_ends_by_itself() {
    block_on(async {
        let (mut client, mut from_client) = duplex(1000);
        let (mut to_server, mut server) = duplex(100);
        let proxy = spawn(async move {
            copy_bidirectional(&mut from_client, &mut to_server)
                .await
                .unwrap()
        });
        let client = async {
            client.write_all(&bytes(100_000)).await.unwrap();
            client.close().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let server = async {
            let mut question = Vec::new();
            server.read_to_end(&mut question).await.unwrap();
            assert!(question == bytes(100_000));
            // The other direction is still open.
            server.write_all(&bytes(50_000)).await.unwrap();
            drop(server);
        };
        let (answer, ()) = zip(client, server).await;
        assert!(answer == bytes(50_000));
        assert_eq!(proxy.await.unwrap(), (100_000, 50_000));
    });
}

#[test]
fn a_sink_that_gathers_is_flushed_when_nothing_comes() {
    block_on(async {
        let (mut client, mut from_client) = duplex(64);
        let (to_server, mut server) = duplex(64);
        let mut gathering = Both(BufWriter::new(to_server));
        let mut copying = copy_bidirectional(&mut from_client, &mut gathering);
        client.write_all(b"now").await.unwrap();
        assert!(poll_once(&mut copying).await.is_none());
        let mut heard = [0; 3];
        let heard_it = poll_once(server.read_exact(&mut heard)).await;
        assert!(heard_it.is_some_and(|result| result.is_ok()));
    });
}

/// Reads nothing for ever, and writes.
struct Both<W>(W);

impl<W: Unpin> AsyncRead for Both<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Both<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[test]
fn an_error_in_one_direction_ends_both() {
    block_on(async {
        let (mut client, mut from_client) = duplex(64);
        let (mut to_server, server) = duplex(64);
        drop(server);
        client.write_all(b"question").await.unwrap();
        let error = copy_bidirectional(&mut from_client, &mut to_server)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

/// Two ends of a connection of the system.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = zip(client, listener.accept()).await;
    (client.unwrap(), accepted.unwrap().0)
}

#[test]
fn a_file_is_sent_whole_or_in_part_to_who_reads_slowly() {
    block_on(async {
        let folder = fs::TempDir::new().await.unwrap();
        let path = folder.path().join("file");
        let content = bytes(3_000_000);
        fs::write(&path, &content).await.unwrap();
        let mut file = fs::File::open(&path).await.unwrap();
        file.read_exact(&mut [0; 10]).await.unwrap();
        for range in [0..3_000_000, 5..1_000_001, 2_999_999..9_000_000, 7..7] {
            // Once from the cache, once as far as possible from the disk.
            for is_cold in [false, true] {
                if is_cold {
                    evict(&mut file).await;
                }
                let (mut near, mut far) = connection().await;
                let sending = async {
                    let n_sent = copy_file(&file, &mut near).range(range.clone()).await;
                    near.close().await.unwrap();
                    n_sent.unwrap()
                };
                let mut read = Vec::new();
                let (n_sent, read_all) = zip(sending, far.read_to_end(&mut read)).await;
                read_all.unwrap();
                let expected =
                    &content[range.start as usize..content.len().min(range.end as usize)];
                assert_eq!(n_sent, expected.len() as u64, "{range:?}");
                assert!(read == expected, "{range:?}");
            }
        }
        // Its position is where reading had ended.
        let mut next = [0; 1];
        file.read_exact(&mut next).await.unwrap();
        assert_eq!(next[0], content[10]);
    });
}

/// Asks the system to forget what it has of the file in its cache. It may refuse.
async fn evict(file: &mut fs::File) {
    file.sync_all().await.unwrap();
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[test]
fn how_much_of_a_file_was_sent_is_known_when_it_fails_and_when_it_is_given_up() {
    block_on(async {
        let folder = fs::TempDir::new().await.unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes(8_000_000)).await.unwrap();
        let file = fs::File::open(&path).await.unwrap();

        let (mut near, mut far) = connection().await;
        let mut copying = copy_file(&file, &mut near);
        send_some(&mut copying).await;
        let n_sent = copying.copied() as usize;
        assert!(0 < n_sent && n_sent < 8_000_000, "{n_sent}");
        drop(copying);
        near.close().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert!(read == bytes(n_sent));

        let (mut near, far) = connection().await;
        let mut copying = copy_file(&file, &mut near);
        send_some(&mut copying).await;
        drop(far);
        let error = (&mut copying).await.unwrap_err();
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert!(copying.copied() > 0);
    });
}

/// Polls until something has been sent. Nobody reads, so it is not all.
async fn send_some<W: TakesFile>(copying: &mut CopyFile<'_, W>) {
    while copying.copied() == 0 {
        assert!(poll_once(&mut *copying).await.is_none());
        yield_now().await;
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_there() {
    block_on(async {
        let folder = fs::TempDir::new().await.unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes(8_000_000)).await.unwrap();
        let file = fs::File::open(&path).await.unwrap();
        let (mut near, mut far) = connection().await;
        let mut copying = copy_file(&file, &mut near);
        send_some(&mut copying).await;
        let shrinking = std::fs::OpenOptions::new().write(true).open(&path);
        shrinking.unwrap().set_len(1_000).unwrap();
        let reading = spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read
        });
        let n_sent = copying.await.unwrap();
        drop(near);
        let read = reading.await.unwrap();
        assert!((1_000..8_000_000).contains(&n_sent), "{n_sent}");
        assert!(read.len() as u64 == n_sent && read[..1_000] == bytes(1_000));
    });
}

#[test]
fn a_file_is_sent_to_unix_sockets_and_pipes_too() {
    block_on(async {
        let file = fs::File::open("/proc/self/exe").await.unwrap();
        let expected = fs::read("/proc/self/exe").await.unwrap();
        let expected = &expected[..100_000];
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let mut read = vec![0; expected.len()];
        let sending = copy_file(&file, &mut near).range(..100_000);
        let (sent, received) = zip(sending, far.read_exact(&mut read)).await;
        received.unwrap();
        assert!(sent.unwrap() == 100_000 && read == expected);

        let (mut near, mut far) = pipe().unwrap();
        let mut read = vec![0; expected.len()];
        let sending = copy_file(&file, &mut near).range(..100_000);
        let (sent, received) = zip(sending, far.read_exact(&mut read)).await;
        received.unwrap();
        assert!(sent.unwrap() == 100_000 && read == expected);
    });
}
