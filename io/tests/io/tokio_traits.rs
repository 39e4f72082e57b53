//! Tokio's helpers on what is no socket.

use std::io::SeekFrom;

use rt_tasks_io::fs;
use rt_tasks_io::io::{AsyncSeekExt, duplex};
use rt_tasks_io::process::{Command, Stdio};
use rt_tasks_runtime::{block_on, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn pipes_of_programs_and_in_memory_end_when_they_are_shut_down() {
    block_on(async {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cat.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (mut near, mut far) = duplex(5000);
        let sent = bytes.clone();
        let feeding = spawn(async move {
            stdin.write_all(&sent).await.unwrap();
            stdin.shutdown().await.unwrap();
        });
        let mut stdout = child.stdout.take().unwrap();
        let passing_on = spawn(async move {
            let mut heard = Vec::new();
            stdout.read_to_end(&mut heard).await.unwrap();
            near.write_all(&heard).await.unwrap();
            near.shutdown().await.unwrap();
            // Kept, so that shutting down alone is the end.
            near
        });
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        feeding.await.unwrap();
        drop(passing_on.await.unwrap());
        assert!(heard == bytes);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn files_are_written_and_read() {
    block_on(async {
        let mut file = fs::temp_file().await.unwrap();
        AsyncWriteExt::write_all(&mut file, b"one two")
            .await
            .unwrap();
        AsyncWriteExt::flush(&mut file).await.unwrap();
        file.seek(SeekFrom::Start(4)).await.unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "two");
    });
}
