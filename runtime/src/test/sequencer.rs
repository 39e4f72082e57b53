//! Making tasks take their steps in an order that the test chose.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::shim::lock_std;

/// Numbered turns: turn 0 comes first, turn 1 when turn 0 is over, and so on, whichever task each is in.
///
/// A cheap handle: clones share the sequence. Each number is for one turn. It works on any executor.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use rt::test::Sequencer;
/// # use std::sync::{Arc, Mutex};
/// let log = Arc::new(Mutex::new(vec![]));
/// let (sequencer, theirs) = (Sequencer::new(), log.clone());
/// rt::block_on(async move {
///     let (their_turns, log) = (sequencer.clone(), theirs.clone());
///     let task = rt::spawn(async move {
///         let _turn = their_turns.turn(1).await;
///         log.lock().unwrap().push("second");
///     });
///     {
///         let _turn = sequencer.turn(0).await;
///         theirs.lock().unwrap().push("first");
///     }
///     let _turn = sequencer.turn(2).await;
///     theirs.lock().unwrap().push("third");
///     task.await.unwrap();
/// });
/// assert_eq!(*log.lock().unwrap(), ["first", "second", "third"]);
/// ```
#[derive(Clone, Default)]
pub struct Sequencer {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The turn that is on, or may begin.
    current: u64,
    is_on: bool,
    waiting: BTreeMap<u64, Waker>,
    /// The lowest turn that was given up before it came: those after it will never come.
    given_up: Option<(u64, &'static Location<'static>)>,
}

impl Sequencer {
    /// A sequence that waits for turn 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for turn `number`. The turn lasts until the guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// A turn that is given up, by dropping this before it is through, never comes, nor do those after it: they
    /// panic instead of hanging the test.
    ///
    /// # Panics
    ///
    /// If the turn was had or asked for before, or can never come.
    #[track_caller]
    pub fn turn(&self, number: u64) -> AwaitTurn {
        AwaitTurn {
            sequencer: self.clone(),
            number,
            is_waiting: false,
            is_through: false,
            place: Location::caller(),
        }
    }
}

/// The future of [`Sequencer::turn`].
#[must_use = "futures do nothing unless awaited"]
pub struct AwaitTurn {
    sequencer: Sequencer,
    number: u64,
    is_waiting: bool,
    is_through: bool,
    place: &'static Location<'static>,
}

impl Future for AwaitTurn {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        let (number, place) = (self.number, self.place);
        let state = self.sequencer.state.clone();
        let mut state = lock_std(&state);
        let is_twice = number < state.current
            || (number == state.current && state.is_on)
            || (!self.is_waiting && state.waiting.contains_key(&number));
        if is_twice {
            drop(state);
            self.is_through = true;
            panic!("turn {number} at {place} was taken before: each number is for one turn");
        }
        if let Some((lost, at)) = state.given_up.filter(|(lost, _)| *lost <= number) {
            drop(state);
            self.is_through = true;
            panic!(
                "turn {number} at {place} cannot come: turn {lost} at {at} was given up before it came"
            );
        }
        if number > state.current {
            state.waiting.insert(number, cx.waker().clone());
            self.is_waiting = true;
            return Poll::Pending;
        }
        state.waiting.remove(&number);
        state.is_on = true;
        drop(state);
        self.is_through = true;
        Poll::Ready(Turn {
            sequencer: self.sequencer.clone(),
        })
    }
}

impl Drop for AwaitTurn {
    fn drop(&mut self) {
        if self.is_through || !self.is_waiting {
            return;
        }
        let woken = {
            let mut state = lock_std(&self.sequencer.state);
            state.waiting.remove(&self.number);
            if state.given_up.is_none_or(|(lost, _)| lost > self.number) {
                state.given_up = Some((self.number, self.place));
            }
            state.waiting.split_off(&self.number)
        };
        woken.into_values().for_each(Waker::wake);
    }
}

/// A turn of a [`Sequencer`], over when it is dropped.
#[must_use = "a turn is over as soon as it is dropped"]
pub struct Turn {
    sequencer: Sequencer,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = lock_std(&self.sequencer.state);
            state.is_on = false;
            state.current += 1;
            let current = state.current;
            state.waiting.get(&current).cloned()
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer")
            .field("current", &lock_std(&self.state).current)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AwaitTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitTurn")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}
