//! Files seen from outside: contents, positions, and what dropped reads and writes leave behind.
#![cfg(unix)]

mod support;

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use rt_tasks_io::fs::{self, File, FileTimes, OpenOptions, Permissions, TempDir, TempFile};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use rt_tasks_runtime::{Builder, block_on, spawn, timeout};

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
        for expected in [&b"0123"[..], b"4567", b"89", b""] {
            let n_read = poll_once(file.read(&mut buffer)).await;
            let n_read = n_read.expect("it waits for a thread").unwrap();
            assert_eq!(&buffer[..n_read], expected);
        }
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
fn a_file_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let folder = Folder::new("deleted");
    block_on(async {
        let path = folder.join("numbers");
        fs::write(&path, vec![7; 100_000]).await.unwrap();
        let mut file = open_both(&path).await;
        file.read_exact(&mut [0; 10]).await.unwrap();
        fs::remove_file(&path).await.unwrap();
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 99_990);
        file.write_all(b"more").await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().nlink(), 0);
        assert!(!fs::try_exists(&path).await.unwrap());
        let error = File::open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

/// One round of everything that can go wrong with a file.
async fn faults(folder: &Folder) {
    // No room: some device has none, always.
    let mut full = OpenOptions::new();
    let mut full = full.write(true).open("/dev/full").await.unwrap();
    let written = full.write_all(&[1; 1000]).await;
    let error = written.and(full.flush().await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    // It is deleted while it is read, and the read is given up.
    let path = folder.join("deleted");
    fs::write(&path, vec![7; 100_000]).await.unwrap();
    let mut file = open_both(&path).await;
    file.read_exact(&mut [0; 10]).await.unwrap();
    fs::remove_file(&path).await.unwrap();
    drop_a_read(&mut file).await;
    file.read_exact(&mut [0; 8]).await.unwrap();
    let missing = File::open(&path).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    // Whoever reads is cancelled, with the file.
    let waiting = spawn(async move { file.read_to_end(&mut Vec::new()).await });
    waiting.cancel();
    let _ = waiting.await;
    // It is no file at all, or one that may not be written.
    let mut directory = File::open(folder.join("")).await.unwrap();
    let error = directory.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    fs::write(&path, "text").await.unwrap();
    let mut read_only = File::open(&path).await.unwrap();
    let written = read_only.write_all(b"more").await;
    assert!(written.and(read_only.flush().await).is_err());
    fs::remove_file(&path).await.unwrap();
    let mut file = TempFile::new_in(folder.join("")).await.unwrap();
    file.write_all(b"text").await.unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn no_fault_leaves_a_descriptor_open_or_hangs() {
    support::alone("no_fault_leaves_a_descriptor_open_or_hangs", || {
        let folder = Folder::new("faults");
        let runtime = Builder::new().workers(2).build().unwrap();
        let round = || {
            let ended =
                runtime.block_on(async { timeout(Duration::from_secs(30), faults(&folder)).await });
            assert!(ended.is_ok(), "a fault hangs");
        };
        round();
        // Files are closed by the threads that may block.
        support::eventually("nothing of the first is open", || support::n_open() <= 10);
        let before = support::n_open();
        for _ in 0..20 {
            round();
        }
        support::eventually("nothing is left open", || support::n_open() <= before);
    });
}

#[test]
fn links_permissions_and_times() {
    let folder = Folder::new("links");
    block_on(async {
        let (file, link, second) = (folder.join("file"), folder.join("link"), folder.join("two"));
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o640);
        let opened = options.open(&file).await.unwrap();
        assert_eq!(opened.metadata().await.unwrap().mode() & 0o777, 0o640);
        let again = options.open(&file).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);

        fs::symlink("file", &link).await.unwrap();
        assert_eq!(fs::read_link(&link).await.unwrap(), Path::new("file"));
        let itself = fs::symlink_metadata(&link).await.unwrap();
        assert!(itself.is_symlink() && fs::metadata(&link).await.unwrap().is_file());
        let resolved = fs::canonicalize(&link).await.unwrap();
        assert_eq!(resolved, fs::canonicalize(&file).await.unwrap());
        fs::hard_link(&file, &second).await.unwrap();
        assert_eq!(fs::metadata(&second).await.unwrap().nlink(), 2);

        fs::set_permissions(&file, Permissions::from_mode(0o400))
            .await
            .unwrap();
        assert!(
            fs::metadata(&second)
                .await
                .unwrap()
                .permissions()
                .readonly()
        );
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let times = FileTimes::new().set_modified(then);
        opened.set_times(times).await.unwrap();
        assert_eq!(fs::metadata(&file).await.unwrap().modified().unwrap(), then);
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

#[test]
fn temporary_files_and_directories_are_removed_however_they_end() {
    let runtime = Builder::new().workers(1).build().unwrap();
    let gone = |path: PathBuf| support::eventually("it is removed", || !path.exists());
    let (left, file) = runtime.block_on(async {
        let folder = TempDir::new().await.unwrap();
        fs::create_dir(folder.path().join("inner")).await.unwrap();
        let mut file = TempFile::new_in(folder.path().join("inner")).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().mode() & 0o777, 0o600);
        file.write_all(b"text").await.unwrap();
        let path = file.path().to_owned();
        drop(file);
        gone(path);

        let dropped = TempDir::new_in(folder.path()).await.unwrap();
        let path = dropped.path().to_owned();
        drop(dropped);
        gone(path);

        let kept = TempDir::new_in(folder.path()).await.unwrap().keep();
        assert!(kept.exists());
        let error = TempFile::new_in(folder.path().join("missing"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("missing"), "{error}");

        let file = TempFile::new_in(folder.path()).await.unwrap();
        (folder, file)
    });
    let (folder_path, file_path) = (left.path().to_owned(), file.path().to_owned());
    // No runtime, nobody to do it: at once.
    drop(file);
    assert!(!file_path.exists());
    runtime.shutdown(Duration::from_secs(10));
    drop(left);
    assert!(!folder_path.exists());
}

#[test]
fn a_temporary_file_gets_its_name_when_all_is_in_it_or_is_removed() {
    let folder = Folder::new("persist");
    block_on(async {
        let target = folder.join("target");
        fs::write(&target, "before").await.unwrap();
        let mut file = TempFile::new_in(folder.join("")).await.unwrap();
        file.write_all(b"after").await.unwrap();
        assert_eq!(fs::read(&target).await.unwrap(), b"before");
        let mut file = file.persist(&target).await.unwrap();
        assert_eq!(fs::read(&target).await.unwrap(), b"after");
        file.seek(SeekFrom::Start(0)).await.unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "after");

        let file = TempFile::new_in(folder.join("")).await.unwrap();
        let error = file.persist(folder.join("no/where")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let mut entries = fs::read_dir(folder.join("")).await.unwrap();
        let entry = entries.next_entry().await.unwrap().unwrap();
        assert_eq!(entry.file_name(), "target");
        assert!(
            entries.next_entry().await.unwrap().is_none(),
            "nothing else is left"
        );
    });
}

/// On a file system of 64 KiB, in a name space of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_what_fitted_stays() {
    let folder = Folder::new("full");
    let small = folder.join("small");
    if !support::is_inside() {
        let may_mount = std::process::Command::new("unshare")
            .args(["--map-root-user", "--mount", "true"])
            .output();
        if !may_mount.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED a_full_disk_…: the system does not let tests mount a file system");
            return;
        }
        let test = support::this_test("a_full_disk_is_an_error_and_what_fitted_stays");
        let mut apart = std::process::Command::new("unshare");
        apart.args(["--map-root-user", "--mount"]);
        apart.arg(test.get_program()).args(test.get_args());
        let variables = test.get_envs();
        apart.envs(variables.filter_map(|(key, value)| Some((key, value?))));
        return support::expect_passed(apart);
    }
    std::fs::create_dir(&small).unwrap();
    let mut mount = std::process::Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&small);
    assert!(mount.status().unwrap().success());
    block_on(async {
        let error = fs::write(small.join("whole"), vec![1; 100_000])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        fs::remove_file(small.join("whole")).await.unwrap();

        let mut file = open_both(&small.join("piece by piece")).await;
        let error = loop {
            let written = file.write_all(&[2; 1000]).await;
            if let Err(error) = written.and(file.flush().await) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("piece by piece"), "{error}");
        // It works again when there is room.
        file.set_len(1000).await.unwrap();
        file.seek(SeekFrom::Start(1000)).await.unwrap();
        file.write_all(b"fits").await.unwrap();
        file.sync_all().await.unwrap();
        let read = fs::read(small.join("piece by piece")).await.unwrap();
        assert_eq!((read.len(), &read[999..]), (1004, &b"\x02fits"[..]));
        let copied = fs::copy("/proc/self/exe", small.join("copy")).await;
        assert_eq!(copied.unwrap_err().kind(), ErrorKind::StorageFull);
    });
    std::process::Command::new("umount")
        .arg(&small)
        .status()
        .unwrap();
}
