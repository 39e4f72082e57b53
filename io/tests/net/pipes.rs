//! Pipes: the end, the break, and waiting for room.

use std::io::{ErrorKind, Write};

use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::pipe;
use rt_tasks_runtime::spawn;

use crate::alone::sole_owner;
use crate::fill;
use crate::streams::each_size;

#[test]
fn a_pipe_carries_more_than_it_holds_and_then_ends() {
    each_size(|| async {
        let (mut sender, mut receiver) = pipe().unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let theirs = sent.clone();
        let writer = spawn(async move { sender.write_all(&theirs).await.unwrap() });
        let mut heard = Vec::new();
        receiver.read_to_end(&mut heard).await.unwrap();
        writer.await.unwrap();
        assert!(heard == sent);
    });
}

#[test]
fn the_end_of_a_pipe_wakes_who_reads_it() {
    let _sole = sole_owner();
    each_size(|| async {
        let (sender, mut receiver) = pipe().unwrap();
        let reader = spawn(async move { receiver.read(&mut [0; 8]).await });
        rt_tasks_runtime::yield_now().await;
        drop(sender);
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn a_pipe_that_nobody_reads_any_more_is_broken() {
    let _sole = sole_owner();
    each_size(|| async {
        let (mut sender, receiver) = pipe().unwrap();
        let write = || sender.try_write(&[0; 4096]).is_ok();
        fill(write, async || sender.writable().await).await;
        let writer = spawn(async move { sender.write(b"x").await });
        rt_tasks_runtime::yield_now().await;
        drop(receiver);
        let broken = writer.await.unwrap().unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn ends_of_other_pipes_are_taken_over_and_files_are_not() {
    each_size(|| async {
        let (sender, mut receiver) = pipe::pipe().unwrap();
        let mut plain = std::fs::File::from(sender.into_std());
        plain.write_all(b"plain").unwrap();
        let mut buffer = [0; 5];
        receiver.read_exact(&mut buffer).await.unwrap();
        let mut sender = pipe::Sender::from_std(plain).unwrap();
        sender.write_all(b"again").await.unwrap();
        receiver.read_exact(&mut buffer).await.unwrap();
        assert_eq!(
            receiver.try_read(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        assert!(pipe::Receiver::from_std(file).is_err());
    });
}
