//! What goes into programs and what comes out of them.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt_tasks_io::process::{Command, Stdio};
use rt_tasks_runtime::{block_on, sleep, timeout};

use super::support::ms;
use super::{piped, shell};

/// More than any pipe takes.
const MUCH: usize = 3 << 20;

#[test]
fn both_outputs_are_read_at_once_so_that_a_full_pipe_stops_nobody() {
    block_on(async {
        let script = "head -c 3145728 /dev/zero >&2; head -c 3145728 /dev/zero; exit 6";
        let output = shell(script).output().await.unwrap();
        assert_eq!(output.stdout.len(), MUCH);
        assert_eq!(output.stderr.len(), MUCH);
        assert_eq!(output.status.code(), Some(6));
    });
}

#[test]
fn communicate_writes_and_reads_at_the_same_time() {
    block_on(async {
        let input: Vec<u8> = (0..MUCH).map(|i| (i * 7 % 251) as u8).collect();
        let output = piped("cat").communicate(input.clone()).await.unwrap();
        assert!(output.stdout == input);
        assert!(output.status.success());
    });
}

#[test]
fn a_program_that_does_not_read_its_input_is_no_error_for_communicate() {
    block_on(async {
        let child = piped("exec 0<&-; echo enough; exit 2");
        let output = child.communicate(vec![0; MUCH]).await.unwrap();
        assert_eq!(output.stdout, b"enough\n");
        assert_eq!(output.status.code(), Some(2));
    });
}

#[test]
fn writing_to_a_program_that_has_gone_fails() {
    block_on(async {
        let mut child = piped("exit 0");
        let mut stdin = child.stdin.take().unwrap();
        child.wait().await.unwrap();
        let error = stdin.write_all(&vec![0; MUCH]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn closing_the_input_is_its_end_for_the_program() {
    block_on(async {
        let mut child = piped("cat; echo over");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\n").await.unwrap();
        stdin.close().await.unwrap();
        let error = stdin.write(b"two\n").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        stdin.close().await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.stdout, b"one\nover\n");
    });
}

#[test]
fn a_conversation_line_by_line() {
    block_on(async {
        let mut child = piped("while read line; do echo \"<$line>\"; done");
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for i in 0..100 {
            stdin.write_all(format!("{i}\n").as_bytes()).await.unwrap();
            let mut line = String::new();
            stdout.read_line(&mut line).await.unwrap();
            assert_eq!(line, format!("<{i}>\n"));
        }
        drop(stdin);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_program_that_writes_more_than_is_read_waits_and_loses_nothing() {
    block_on(async {
        let mut child = piped("head -c 3145728 /dev/zero; echo end");
        let mut ended = child.wait();
        assert!(
            timeout(ms(50), &mut ended).await.is_err(),
            "it waits for a reader"
        );
        let mut stdout = child.stdout.take().unwrap();
        let mut bytes = Vec::new();
        let mut piece = vec![0; 100_000];
        loop {
            let n_read = stdout.read(&mut piece).await.unwrap();
            if n_read == 0 {
                break;
            }
            bytes.extend_from_slice(&piece[..n_read]);
            if bytes.len() < 1_000_000 {
                sleep(ms(1)).await;
            }
        }
        assert_eq!(bytes.len(), MUCH + 4);
        assert!(ended.await.unwrap().success());
    });
}

#[test]
fn a_dropped_read_takes_no_byte() {
    block_on(async {
        let mut child = piped("cat");
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut buffer = [0; 8];
        assert!(poll_once(stdout.read(&mut buffer)).await.is_none());
        stdin.write_all(b"kept").await.unwrap();
        let n_read = stdout.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..n_read], b"kept");
    });
}

#[test]
fn one_program_reads_what_another_writes() {
    block_on(async {
        let mut first = piped("printf 'b\\na\\n'");
        let from_first = Stdio::try_from(first.stdout.take().unwrap()).unwrap();
        let mut sort = Command::new("sort");
        let sorted = sort.stdin(from_first).output();
        let (first, sorted) = zip(first.wait(), sorted).await;
        assert!(first.unwrap().success());
        assert_eq!(sorted.unwrap().stdout, b"a\nb\n");
    });
}

#[test]
fn what_was_set_for_input_and_output_counts() {
    block_on(async {
        let mut command = shell("cat; echo there >&2");
        command.stderr(Stdio::null());
        let output = command.output().await.unwrap();
        assert!(output.stdout.is_empty(), "nothing comes in by default");
        assert!(output.stderr.is_empty());
        let mut child = shell("true").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().await.unwrap();
    });
}

#[test]
fn a_program_that_is_given_no_input_reads_its_end() {
    block_on(async {
        let output = piped("cat; echo over").communicate("").await.unwrap();
        assert_eq!(output.stdout, b"over\n");
        let output = piped("cat; echo over").wait_with_output().await.unwrap();
        assert_eq!(output.stdout, b"over\n");
    });
}

#[test]
fn both_outputs_may_go_into_one_pipe() {
    block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let mut command = shell("echo one; echo two >&2; echo three");
        command.stdout(OwnedFd::from(far.try_clone().unwrap()));
        command.stderr(OwnedFd::from(far));
        assert!(command.status().await.unwrap().success());
        // The command keeps what the next program would be given.
        drop(command);
        let mut near = rt_tasks_io::net::UnixStream::from_std(near).unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "one\ntwo\nthree\n");
    });
}
