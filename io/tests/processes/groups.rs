//! Programs that start others, which keep what they have inherited.

use rt_tasks_io::io::AsyncReadExt;
use rt_tasks_io::process::{Child, Stdio};
use rt_tasks_runtime::{block_on, spawn, timeout};
use rustix::process::{Pid, Signal, kill_process_group};

use super::shell;
use super::support::ms;

/// Kills everybody in the group of a child that leads one.
fn kill_group(child: &Child) {
    let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process_group(id, Signal::KILL).unwrap();
}

/// The pipe is open as long as anybody has its other end; the program is at its end before.
#[test]
fn waiting_ends_with_the_program_though_another_one_keeps_its_pipe() {
    block_on(async {
        let mut command = shell("sleep 1000 & echo begun; exit 3");
        command.process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 6]).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let mut reading = spawn(async move { stdout.read(&mut [0; 8]).await });
        assert!(timeout(ms(20), &mut reading).await.is_err(), "it is open");
        // While anybody is in the group, nobody else gets its number.
        kill_group(&child);
        assert_eq!(reading.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn output_is_there_when_everybody_who_may_write_it_has_ended() {
    block_on(async {
        // What runs in the background has no input, unless it keeps that under another number.
        let script = "exec 3<&0; (read line <&3; echo late) & echo early; exit 3";
        let mut command = shell(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let mut output = child.wait_with_output();
        let early = timeout(ms(50), &mut output).await;
        assert!(early.is_err(), "somebody may still write");
        drop(stdin);
        let output = output.await.unwrap();
        assert_eq!(output.stdout, b"early\nlate\n");
        assert_eq!(output.status.code(), Some(3));
    });
}

#[test]
fn a_group_is_killed_as_a_whole_and_nobody_else() {
    block_on(async {
        let mut command = shell("sleep 1000 | sleep 1000");
        command.process_group(0).stdout(Stdio::piped());
        let mut group = command.spawn().unwrap();
        let mut apart = shell("exec sleep 1000").kill_on_drop(true).spawn().unwrap();
        kill_group(&group);
        assert_eq!(group.wait().await.unwrap().code(), None);
        let mut stdout = group.stdout.take().unwrap();
        assert_eq!(stdout.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(apart.try_wait().unwrap().is_none());
    });
}
