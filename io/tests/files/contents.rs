//! What is read and written, and where: positions, the cache, and what dropped reads and writes leave behind.

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::fs::{self, File, OpenOptions, TempDir};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use rt_tasks_runtime::{Builder, block_on};

use crate::{Folder, drop_a_read, evict, open_both};

#[test]
fn what_is_written_is_read_again() {
    let folder = Folder::new("again");
    block_on(async {
        let path = folder.join("numbers");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 31 % 253) as u8).collect();
        let mut file = File::create(&path).await.unwrap();
        file.write_all(&bytes).await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), bytes.len() as u64);
        let mut read = Vec::new();
        File::open(&path)
            .await
            .unwrap()
            .read_to_end(&mut read)
            .await
            .unwrap();
        assert!(read == bytes);
        assert!(fs::read(&path).await.unwrap() == bytes);
    });
}

#[test]
fn a_dropped_read_loses_no_byte() {
    let folder = Folder::new("dropped-read");
    block_on(async {
        let path = folder.join("bytes");
        let bytes: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &bytes).await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 97];
        while read.len() < bytes.len() {
            // Often still under way when it is dropped: it is not in the cache.
            if read.len() % 5 == 0 {
                evict(&mut file).await;
            }
            if let Some(n) = poll_once(file.read(&mut buffer)).await {
                read.extend_from_slice(&buffer[..n.unwrap()]);
            }
            let n = file.read(&mut buffer[..13]).await.unwrap();
            read.extend_from_slice(&buffer[..n]);
        }
        assert!(read == bytes);
    });
}

#[test]
fn after_a_dropped_read_writing_and_seeking_begin_where_reading_had_ended() {
    let folder = Folder::new("rewind");
    block_on(async {
        let path = folder.join("text");
        fs::write(&path, "0123456789").await.unwrap();
        let mut file = open_both(&path).await;
        let mut buffer = [0; 4];
        file.read_exact(&mut buffer[..2]).await.unwrap();
        drop_a_read(&mut file).await;
        file.write_all(b"ab").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "01ab456789");

        drop_a_read(&mut file).await;
        assert_eq!(file.seek(SeekFrom::Current(1)).await.unwrap(), 5);
        file.read_exact(&mut buffer[..2]).await.unwrap();
        assert_eq!(&buffer[..2], b"56");

        drop_a_read(&mut file).await;
        let mut file = file.into_std().await.unwrap();
        assert_eq!(std::io::Seek::stream_position(&mut file).unwrap(), 7);
    });
}

#[test]
fn a_dropped_write_has_taken_nothing() {
    let folder = Folder::new("dropped-write");
    block_on(async {
        let path = folder.join("lines");
        let mut file = File::create(&path).await.unwrap();
        let mut expected = Vec::new();
        for i in 0..300_u32 {
            let line = format!("line {i}\n");
            // The write before may still be under way: then this one waits, and is dropped.
            if let Some(n) = poll_once(file.write(line.as_bytes())).await {
                expected.extend_from_slice(&line.as_bytes()[..n.unwrap()]);
            } else {
                file.flush().await.unwrap();
            }
        }
        file.close().await.unwrap();
        assert!(fs::read(&path).await.unwrap() == expected);
    });
}

#[test]
fn resizing_keeps_the_position_and_waits_for_what_was_written() {
    let folder = Folder::new("resize");
    block_on(async {
        let path = folder.join("text");
        let mut file = open_both(&path).await;
        file.write_all(b"0123456789").await.unwrap();
        file.set_len(4).await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"0123");
        file.write_all(b"x").await.unwrap();
        file.sync_data().await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"0123\0\0\0\0\0\0x");
    });
}

/// Where the system can refuse to wait for the disk, what is in its cache takes no thread.
#[test]
#[cfg(all(target_os = "linux", not(rt_portable)))]
fn what_is_in_the_cache_is_read_at_once() {
    let folder = Folder::new("cached");
    let runtime = Builder::new().workers(1).build().unwrap();
    runtime.block_on(async {
        let path = folder.join("text");
        fs::write(&path, "0123456789").await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 4];
        for expected in [&b"0123"[..], b"4567", b"89"] {
            let n_read = poll_once(file.read(&mut buffer)).await;
            let n_read = n_read.expect("it waits for a thread").unwrap();
            assert_eq!(&buffer[..n_read], expected);
        }
        assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn a_file_that_always_has_more_lets_others_run() {
    let runtime = Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let mut zeros = File::open("/dev/zero").await.unwrap();
        let other = rt_tasks_runtime::spawn(async {});
        let mut n_reads = 0;
        while !other.is_finished() {
            zeros.read_exact(&mut [0; 16]).await.unwrap();
            n_reads += 1;
            assert!(n_reads < 100_000, "the other one never runs");
        }
    });
}

#[test]
fn what_is_no_ordinary_file_is_read_too() {
    block_on(async {
        // The system does not say whether these would block.
        let status = fs::read_to_string("/proc/self/status").await.unwrap();
        let mut file = File::open("/proc/self/status").await.unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).await.unwrap();
        assert_eq!(read.lines().next(), status.lines().next());

        let folder = TempDir::new().await.unwrap();
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        // Opening either end waits for the other.
        let mut writing = OpenOptions::new();
        let writing = writing.write(true).open(&path);
        let (reader, writer) = zip(File::open(&path), writing).await;
        let (mut reader, mut writer) = (reader.unwrap(), writer.unwrap());
        let mut buffer = [0; 8];
        assert!(
            poll_once(reader.read(&mut buffer)).await.is_none(),
            "nothing has come"
        );
        writer.write_all(b"late").await.unwrap();
        writer.flush().await.unwrap();
        let n_read = reader.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..n_read], b"late");
        drop(writer);
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn a_clone_shares_the_position() {
    let folder = Folder::new("clone");
    block_on(async {
        let path = folder.join("text");
        fs::write(&path, "0123456789").await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut buffer = [0; 2];
        file.read_exact(&mut buffer).await.unwrap();
        drop_a_read(&mut file).await;
        let mut clone = file.try_clone().await.unwrap();
        clone.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"23");
        file.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"45");
    });
}
