//! Standard input and output, in processes of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt, stderr, stdin, stdout};
use rt_tasks_runtime::{Builder, block_on, sleep, spawn, spawn_blocking};

use super::support::{is_inside, ms, this_test};

/// Starts the program of a test, to talk to it.
fn talk(test: &str) -> Child {
    let mut command = this_test(test);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads the lines of the test harness up to that one.
fn skip_to(reader: &mut impl BufRead, wanted: &str) {
    let mut line = String::new();
    loop {
        line.clear();
        let n_read = reader.read_line(&mut line).unwrap();
        assert!(n_read > 0, "never {wanted:?}");
        if line.ends_with(wanted) {
            return;
        }
    }
}

#[test]
fn what_is_typed_is_read_and_what_is_said_is_written() {
    let test = "standard::what_is_typed_is_read_and_what_is_said_is_written";
    if is_inside() {
        return block_on(async {
            let (mut input, mut output, mut errors) = (stdin(), stdout(), stderr());
            assert!(!input.is_terminal() && !output.is_terminal());
            // What print! has left in its buffer comes first.
            print!("first ");
            output.write_all(b"ready\n").await.unwrap();
            output.flush().await.unwrap();
            let mut buffer = [0; 100];
            loop {
                let n_read = input.read(&mut buffer).await.unwrap();
                if n_read == 0 {
                    break;
                }
                output.write_all(&buffer[..n_read]).await.unwrap();
                output.flush().await.unwrap();
            }
            assert_eq!(input.read(&mut buffer).await.unwrap(), 0, "still the end");
            errors.write_all(b"over\n").await.unwrap();
            errors.flush().await.unwrap();
        });
    }
    let mut child = talk(test);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    skip_to(&mut output, "first ready\n");
    for line in ["one\n", "two\n"] {
        input.write_all(line.as_bytes()).unwrap();
        let mut echo = String::new();
        output.read_line(&mut echo).unwrap();
        assert_eq!(echo, line);
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert!(errors.contains("over\n"), "{errors}");
    assert!(child.wait().unwrap().success(), "{rest}{errors}");
}

#[test]
fn what_was_said_last_is_written_though_nobody_waits_for_it() {
    let test = "standard::what_was_said_last_is_written_though_nobody_waits_for_it";
    if is_inside() {
        let runtime = Builder::new().workers(1).blocking_threads(1);
        let runtime = runtime.build().unwrap();
        return runtime.block_on(async {
            let (began, begin) = mpsc::channel();
            let _busy = spawn_blocking(move || {
                began.send(()).unwrap();
                std::thread::sleep(ms(50));
            });
            begin.recv().unwrap();
            stdout().write_all(b"last words\n").await.unwrap();
        });
    }
    let mut child = talk(test);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    skip_to(&mut output, "last words\n");
    output.read_to_string(&mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_read_that_nobody_ends_keeps_nothing_from_ending_and_loses_nothing() {
    let test = "standard::a_read_that_nobody_ends_keeps_nothing_from_ending_and_loses_nothing";
    if is_inside() {
        let builder = Builder::new().grace(Duration::from_secs(60));
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let mut buffer = [0; 8];
            assert!(poll_once(stdin().read(&mut buffer)).await.is_none());
            spawn(async move { stdin().read(&mut buffer).await.map(drop) });
            sleep(ms(5)).await;
        });
        let began = Instant::now();
        drop(runtime);
        assert!(began.elapsed() < Duration::from_secs(30), "it waited");
        eprintln!("\nready");
        // What the reads of before would have got is still there, also in another runtime.
        let mut line = Vec::new();
        block_on(async {
            // In smaller pieces than those that were asked for then.
            let mut piece = [0; 3];
            while let n_read @ 1.. = stdin().read(&mut piece).await.unwrap() {
                line.extend_from_slice(&piece[..n_read]);
            }
        });
        assert_eq!(line, b"a line\n");
        return;
    }
    let mut child = talk(test);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    skip_to(&mut errors, "ready\n");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a line\n").unwrap();
    drop(input);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

#[test]
fn writing_where_nobody_reads_is_an_error_and_not_the_end() {
    let test = "standard::writing_where_nobody_reads_is_an_error_and_not_the_end";
    if is_inside() {
        block_on(async {
            eprintln!("\nready");
            let mut output = stdout();
            let mut line = String::new();
            stdin().read_to_string(&mut line).await.unwrap();
            // The first is taken over; its error comes with the flush.
            let written = output.write_all(b"into the void\n").await;
            let error = written.and(output.flush().await).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            let mut errors = stderr();
            errors.write_all(b"seen\n").await.unwrap();
            errors.flush().await.unwrap();
        });
        std::process::exit(0);
    }
    let mut child = talk(test);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    skip_to(&mut errors, "ready\n");
    drop(child.stdout.take());
    drop(child.stdin.take());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("seen\n"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
