//! Names: directories, links, what belongs to a name, and files that are removed again.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_lite::StreamExt;
use rt_tasks_io::fs::{self, FileTimes, OpenOptions, Permissions, TempDir, TempFile};
use rt_tasks_io::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use rt_tasks_runtime::{Builder, block_on};

use crate::{Folder, support};

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
        // It is a file to whoever reads and writes one.
        assert_eq!(
            rt_tasks_io::io::copy(&b"copied"[..], &mut file)
                .await
                .unwrap(),
            6
        );
        file.set_len(0).await.unwrap();
        file.seek(SeekFrom::Start(0)).await.unwrap();
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
