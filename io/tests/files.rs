//! Files seen from outside: contents, positions, and what dropped reads and writes leave behind.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use rt_tasks_io::fs::{self, File, OpenOptions};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use rt_tasks_runtime::block_on;

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rt-files-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn open_both(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .open(path)
        .await
        .unwrap()
}

/// Begins a read and drops it while it is under way.
async fn drop_a_read(file: &mut File) {
    let mut buffer = [0; 4];
    while let Some(n_read) = poll_once(file.read(&mut buffer)).await {
        // The pool was faster: back, and once more.
        let n_read = n_read.unwrap() as i64;
        file.seek(SeekFrom::Current(-n_read)).await.unwrap();
    }
}

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
            // Nearly always still under way when it is dropped.
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
fn the_error_of_a_write_comes_with_the_next_call_and_names_the_file() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    block_on(async {
        let mut file = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        assert_eq!(file.write(b"too much").await.unwrap(), 8);
        let error = file.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(
            error.to_string().starts_with("cannot write /dev/full: "),
            "{error}"
        );
        file.flush().await.unwrap();
    });
}

#[test]
fn errors_name_the_paths() {
    let folder = Folder::new("errors");
    block_on(async {
        let missing = folder.join("missing");
        let shown = missing.display();
        let error = fs::read(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read {shown}: ")),
            "{error}"
        );
        let error = File::open(&missing).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot open {shown}: ")),
            "{error}"
        );
        let error = fs::rename(&missing, folder.join("b")).await.unwrap_err();
        assert!(
            error.to_string().contains(&format!("rename {shown} to ")),
            "{error}"
        );
        let mut file = File::create(&missing).await.unwrap();
        let error = file.read(&mut [0; 1]).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read {shown}: ")),
            "{error}"
        );
        let error = file.seek(SeekFrom::Current(-1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn directories_are_made_listed_renamed_and_removed() {
    let folder = Folder::new("directories");
    block_on(async {
        let deep = folder.join("a/b/c");
        fs::create_dir_all(&deep).await.unwrap();
        for i in 0..300 {
            fs::write(deep.join(format!("file {i}")), [i as u8])
                .await
                .unwrap();
        }
        let mut entries = fs::read_dir(&deep).await.unwrap();
        let mut n_entries = 0;
        while let Some(entry) = entries.try_next().await.unwrap() {
            assert!(entry.file_type().await.unwrap().is_file());
            assert_eq!(entry.metadata().await.unwrap().len(), 1);
            n_entries += 1;
        }
        assert_eq!(n_entries, 300);
        fs::rename(&deep, folder.join("d")).await.unwrap();
        assert_eq!(
            fs::copy(folder.join("d/file 7"), folder.join("seven"))
                .await
                .unwrap(),
            1
        );
        assert_eq!(fs::read(folder.join("seven")).await.unwrap(), [7]);
        fs::remove_dir_all(folder.join("d")).await.unwrap();
        assert!(!fs::try_exists(&deep).await.unwrap());
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
