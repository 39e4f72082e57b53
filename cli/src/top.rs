//! `rt top`: the loop between the keyboard, the process and the terminal.
//!
//! Two threads wait, one for keys and one for answers, so that a process which is slow to answer does not make the
//! keys slow. The thread that draws gets what they bring. The terminal is as it was before when the view ends, also by
//! a panic on whichever thread, and by a signal that asks the command to end, for which a third thread waits.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::client::{Error, Question, ask};
use crate::draw::draw;
use crate::model::Dumps;
use crate::view::{Action, Order, View};

/// Rows that page keys move by.
const PAGE: isize = 10;

/// What the threads bring.
enum News {
    /// Something of the terminal: a key, another size.
    Terminal(Event),
    Answer(Result<Dumps, Error>, Instant),
    /// The command is asked to end.
    Signal(i32),
    /// One of the threads has ended, which none does unless something is wrong.
    Ended,
}

/// Shows a process until somebody quits.
pub(crate) fn run(id: u32, interval: Duration) -> Result<ExitCode, Error> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Error::Terminal(io::Error::other(
            "this is a file or a pipe; use `rt ps` there",
        )));
    }
    // Before the terminal changes: what is wrong is told as by the other commands.
    let mut view = View::new(id, interval);
    let first = look(id)?;
    view.take(first, Instant::now());
    let asked = requests_to_end()
        .and_then(|signals| with_terminal(|terminal| show(terminal, &mut view, signals)))
        .map_err(Error::Terminal)?;
    if let Some(signal) = asked {
        // Whoever sent it is told that it had its effect.
        low_level::emulate_default_handler(signal).map_err(Error::Terminal)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The signals that ask the command to end. A second one ends it whatever it does, as if nobody listened: it may be
/// stuck in a terminal that takes nothing.
fn requests_to_end() -> io::Result<Signals> {
    let signals = [SIGTERM, SIGHUP, SIGINT];
    for signal in signals {
        let is_second = Arc::new(AtomicBool::new(false));
        flag::register_conditional_default(signal, is_second.clone())?;
        flag::register(signal, is_second)?;
    }
    Signals::new(signals)
}

/// Lends the terminal to `body`, and takes it back whatever happens.
fn with_terminal<T>(body: impl FnOnce(&mut DefaultTerminal) -> io::Result<T>) -> io::Result<T> {
    // This also sees to it that a panic restores the terminal before it is printed.
    let mut terminal = ratatui::try_init()?;
    let shown = body(&mut terminal);
    ratatui::try_restore()?;
    shown
}

fn look(id: u32) -> Result<Dumps, Error> {
    ask(id, Question::Dump)?.read()
}

/// Tells that a thread has ended, also by a panic.
struct Reports(Sender<News>);

impl Reports {
    /// False: nobody is interested any more.
    fn tell(&self, news: News) -> bool {
        self.0.send(news).is_ok()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.tell(News::Ended);
    }
}

/// Shows the view until somebody quits; returns the signal, if it was one.
fn show(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    mut signals: Signals,
) -> io::Result<Option<i32>> {
    let (id, interval) = (view.process, view.interval);
    let (sender, news) = mpsc::channel();
    let keys = Reports(sender.clone());
    thread::spawn(
        move || while event::read().is_ok_and(|event| keys.tell(News::Terminal(event))) {},
    );
    let requests = Reports(sender.clone());
    thread::spawn(move || {
        for signal in signals.forever() {
            requests.tell(News::Signal(signal));
        }
    });
    let (wants, wanted) = mpsc::channel();
    let answers = Reports(sender);
    thread::spawn(move || {
        for () in wanted {
            answers.tell(News::Answer(look(id), Instant::now()));
        }
    });

    let mut next_look = Instant::now() + interval;
    let mut is_asking = false;
    loop {
        terminal.draw(|frame| draw(frame, view))?;
        let patience = next_look.saturating_duration_since(Instant::now());
        match news.recv_timeout(patience) {
            Ok(News::Terminal(event)) => {
                if react(view, &event).is_break() {
                    return Ok(None);
                }
            }
            Ok(News::Answer(answer, at)) => {
                is_asking = false;
                match answer {
                    Ok(answer) => view.take(answer, at),
                    Err(error) => view.trouble = Some(error.to_string()),
                }
            }
            Ok(News::Signal(signal)) => return Ok(Some(signal)),
            Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                next_look = Instant::now() + interval;
                // A process that is slow is not asked again meanwhile.
                if !is_asking && !view.is_paused {
                    is_asking = wants.send(()).is_ok();
                }
            }
        }
    }
}

/// Does what an event of the terminal asks for; a break ends the view.
fn react(view: &mut View, event: &Event) -> ControlFlow<()> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            if is_quit(key) {
                return ControlFlow::Break(());
            }
            if let Some(action) = action(key.code) {
                view.act(action);
            }
        }
        // Everything is drawn again anyhow.
        _ => {}
    }
    ControlFlow::Continue(())
}

fn is_quit(key: &KeyEvent) -> bool {
    let is_interrupt =
        key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn action(key: KeyCode) -> Option<Action> {
    Some(match key {
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('s') => Action::NextOrder,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('c') => Action::Order(Order::Rate),
        KeyCode::Char('b') => Action::Order(Order::Busy),
        KeyCode::Char('a') => Action::Order(Order::Age),
        KeyCode::Char('t') => Action::Order(Order::State),
        KeyCode::Char('n') => Action::Order(Order::Name),
        KeyCode::Char('i') => Action::Order(Order::Id),
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::PageUp => Action::Move(-PAGE),
        KeyCode::PageDown => Action::Move(PAGE),
        KeyCode::Home => Action::First,
        KeyCode::End => Action::Last,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "../tests/e2e/terminal.rs"]
#[allow(dead_code)] // The tests of the whole command use the rest.
mod terminal;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::terminal::Terminal;
    use super::*;

    /// Says that this test binary was started again, to panic on a terminal.
    const PART: &str = "RT_TEST_PANICS";

    #[test]
    fn panics_on_a_terminal() {
        if std::env::var_os(PART).is_some() {
            let ended: io::Result<()> = with_terminal(|terminal| {
                terminal.draw(|_| {})?;
                panic!("this is on purpose");
            });
            ended.unwrap();
        }
    }

    #[test]
    fn a_panic_restores_the_terminal_before_it_is_told() {
        let terminal = Terminal::open();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "top::tests::panics_on_a_terminal", "--nocapture"]);
        let status = terminal.start(command.env(PART, "1")).wait().unwrap();
        assert!(!status.success());
        terminal.await_text("this is on purpose");
        terminal.assert_restored();
        let text = terminal.text();
        let (left, told) = (text.find("\x1b[?1049l"), text.find("this is on purpose"));
        assert!(
            left < told,
            "it would be told on a screen that goes away: {text:?}"
        );
    }

    #[test]
    fn every_key_in_the_last_line_does_something() {
        for key in "pscbatnir ".chars() {
            assert!(action(KeyCode::Char(key)).is_some(), "{key}");
        }
        assert_eq!(action(KeyCode::Char('x')), None);
        let mut view = View::new(7, Duration::from_secs(1));
        let press = |code| Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
        assert!(react(&mut view, &press(KeyCode::Char('p'))).is_continue());
        assert!(view.is_paused);
        assert!(react(&mut view, &press(KeyCode::Char('q'))).is_break());
        assert!(react(&mut view, &Event::Resize(1, 1)).is_continue());
    }
}
