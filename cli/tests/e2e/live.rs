//! `rt top`, on a terminal.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::subject::{Subject, printed};
use crate::terminal::Terminal;

/// Starts `rt top` for a program.
fn top(terminal: &Terminal, subject: &Subject) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rt"));
    command.args(["top", &subject.id(), "--interval", "0.1"]);
    terminal.start(command.env("XDG_RUNTIME_DIR", subject.folder()))
}

#[test]
fn it_shows_the_tasks_and_leaves_the_terminal_as_it_was() {
    let subject = Subject::start("idle");
    let terminal = Terminal::open();
    let mut command = top(&terminal, &subject);
    for text in [
        "rt top", "ticker", "sleeper", "a timer", "block_on", "POLLS/S", "quit",
    ] {
        terminal.await_text(text);
    }
    terminal.press("p");
    terminal.await_text("paused");
    terminal.press("q");
    assert!(command.wait().unwrap().success());
    terminal.assert_restored();
}

#[test]
fn an_interrupt_from_the_keyboard_quits() {
    let subject = Subject::start("idle");
    let terminal = Terminal::open();
    let mut command = top(&terminal, &subject);
    terminal.await_text("ticker");
    terminal.press("\x03");
    assert!(command.wait().unwrap().success());
    terminal.assert_restored();
}

#[test]
fn a_signal_that_ends_it_leaves_the_terminal_as_it_was() {
    let subject = Subject::start("idle");
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let terminal = Terminal::open();
        let mut command = top(&terminal, &subject);
        terminal.await_text("ticker");
        kill_process(Pid::from_child(&command), signal).unwrap();
        let status = command.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        terminal.assert_restored();
    }
}

#[test]
fn a_deadlock_is_shown_while_it_lasts() {
    let subject = Subject::start("two_locks");
    let terminal = Terminal::open();
    let mut command = top(&terminal, &subject);
    terminal.await_text(" deadlock ");
    terminal.await_text("transfer");
    terminal.press("q");
    assert!(command.wait().unwrap().success());
}

#[test]
fn the_end_of_the_process_is_told_and_the_last_picture_stays() {
    let mut subject = Subject::start("idle");
    let terminal = Terminal::open();
    let mut command = top(&terminal, &subject);
    terminal.await_text("ticker");
    subject.kill();
    terminal.await_text("there is no process");
    terminal.clear();
    terminal.press("r");
    terminal.press("q");
    assert!(command.wait().unwrap().success());
    terminal.assert_restored();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let subject = Subject::start("idle");
    let error = printed(&subject.rt(&["top", &subject.id()]), 2);
    assert!(
        error.contains("needs a terminal") && error.contains("rt ps"),
        "{error}"
    );
}

#[test]
fn a_process_that_is_not_there_leaves_the_terminal_alone() {
    let subject = Subject::start("idle");
    let terminal = Terminal::open();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rt"));
    command
        .args(["top", "999999999"])
        .env("XDG_RUNTIME_DIR", subject.folder());
    assert_eq!(terminal.start(&mut command).wait().unwrap().code(), Some(2));
    terminal.await_text("there is no process 999999999");
    assert!(!terminal.text().contains("\x1b[?1049h"));
}
