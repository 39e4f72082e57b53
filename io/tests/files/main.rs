//! Files seen from outside.
#![cfg(unix)]

mod contents;
mod faults;
mod left;
mod names;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use futures_lite::future::poll_once;
use rt_tasks_io::fs::{File, OpenOptions};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};

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
    for _ in 0..1000 {
        evict(file).await;
        let Some(n_read) = poll_once(file.read(&mut buffer)).await else {
            return;
        };
        // It was in the cache, or the pool was faster: back, and once more.
        let n_read = n_read.unwrap() as i64;
        file.seek(SeekFrom::Current(-n_read)).await.unwrap();
    }
    panic!("the system keeps the file in its cache: use a temporary folder on a disk");
}

/// Has the system forget what it has of the file in its cache.
async fn evict(file: &mut File) {
    file.sync_all().await.unwrap();
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}
