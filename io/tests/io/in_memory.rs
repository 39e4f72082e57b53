//! `duplex`: a connection in memory behaves as one of the system.

use std::io::ErrorKind;

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt, duplex};
use rt_tasks_runtime::{Builder, block_on, spawn, yield_now};

#[test]
fn what_is_written_to_one_end_is_read_from_the_other_whole_and_in_order() {
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    for runtime in [Builder::current_thread(), Builder::new().workers(2)] {
        for capacity in [1, 7, 4096, 1 << 20] {
            let bytes = bytes.clone();
            let n_bytes = bytes.len().min(capacity * 500);
            let runtime = runtime.clone().build().unwrap();
            runtime.block_on(async move {
                let (mut near, mut far) = duplex(capacity);
                let sent = bytes[..n_bytes].to_vec();
                let writing = spawn(async move {
                    near.write_all(&sent).await.unwrap();
                    near.close().await.unwrap();
                    let mut answer = Vec::new();
                    near.read_to_end(&mut answer).await.unwrap();
                    answer
                });
                let mut read = Vec::new();
                far.read_to_end(&mut read).await.unwrap();
                assert!(read == bytes[..n_bytes]);
                far.write_all(b"heard").await.unwrap();
                drop(far);
                assert_eq!(writing.await.unwrap(), b"heard");
            });
        }
    }
}

#[test]
fn who_writes_more_than_there_is_room_for_waits() {
    block_on(async {
        let (mut near, mut far) = duplex(4);
        assert_eq!(near.write(b"123456").await.unwrap(), 4);
        assert!(
            poll_once(near.write(b"56")).await.is_none(),
            "there is no room"
        );
        let mut buffer = [0; 3];
        assert_eq!(far.read(&mut buffer).await.unwrap(), 3);
        // The write that was given up has written nothing.
        assert_eq!(near.write(b"5678").await.unwrap(), 3);
        near.close().await.unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"4567");
    });
}

#[test]
fn a_dropped_end_is_the_end_for_the_reader_and_an_error_for_the_writer() {
    block_on(async {
        let (mut near, mut far) = duplex(8);
        far.write_all(b"last").await.unwrap();
        drop(far);
        let mut rest = String::new();
        near.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "last");
        let error = near.write(b"nobody").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);

        // Also for those who wait already.
        let (mut near, far) = duplex(1);
        near.write_all(b"x").await.unwrap();
        let (error, ()) = zip(near.write(b"y"), async {
            yield_now().await;
            drop(far);
        })
        .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (mut near, far) = duplex(1);
        let mut buffer = [0; 1];
        let (n_read, ()) = zip(near.read(&mut buffer), async {
            yield_now().await;
            drop(far);
        })
        .await;
        assert_eq!(n_read.unwrap(), 0);
    });
}

#[test]
fn after_closing_nothing_can_be_written_and_the_other_direction_goes_on() {
    block_on(async {
        let (mut near, mut far) = duplex(8);
        near.close().await.unwrap();
        assert_eq!(
            near.write(b"x").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
        far.write_all(b"still").await.unwrap();
        let mut buffer = [0; 5];
        near.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"still");
    });
}

#[test]
#[should_panic = "nothing fits"]
fn no_capacity_is_a_mistake() {
    drop(duplex(0));
}
