//! Faults: each is an error of its kind that names the path, nothing hangs, and no descriptor is left.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rt_tasks_io::fs::{self, File, OpenOptions, TempFile};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use rt_tasks_runtime::{Builder, block_on, spawn, timeout};

use crate::{Folder, drop_a_read, open_both, support};

#[test]
fn the_error_of_a_write_comes_with_the_next_call_and_names_the_file() {
    if !Path::new("/dev/full").exists() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the_error_of_a_write_…: no /dev/full"
        );
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
    support::alone("faults::no_fault_leaves_a_descriptor_open_or_hangs", || {
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
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED a_full_disk_…: the system does not let tests mount a file system"
            );
            return;
        }
        let test = support::this_test("faults::a_full_disk_is_an_error_and_what_fitted_stays");
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
