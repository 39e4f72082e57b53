//! Who wants to hear that a scope is asked to stop: futures of `cancelled` and functions of `on_cancel`.
//!
//! A signal is made when somebody first listens; a scope to which nobody listens has none.
//!
//! # Invariants
//!
//! 1. While the signal is raised nobody is in the list: who comes then is told at once.
//! 2. Wakers and functions are called and dropped outside the lock.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use slab::Slab;

use crate::shim::lock_std;
use crate::task::ignore_panic;

/// Who wants to hear.
pub(crate) enum Listener {
    Waker(Waker),
    Call(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct State {
    is_raised: bool,
    listeners: Slab<(u64, Listener)>,
    next_number: u64,
}

/// The part of a scope that tells others of a request to stop.
#[derive(Default)]
pub(crate) struct Signal(Mutex<State>);

/// Those who listened when a signal was raised.
#[must_use]
pub(crate) struct ToCall(Slab<(u64, Listener)>);

impl ToCall {
    /// Calls them, outside any lock.
    pub(crate) fn call(self) {
        for (_, (_, listener)) in self.0 {
            match listener {
                Listener::Waker(waker) => ignore_panic(|| waker.wake()),
                Listener::Call(call) => call(),
            }
        }
    }
}

/// Names a listener that was not called yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerKey {
    slot: usize,
    number: u64,
}

impl Signal {
    /// The signal of a scope, made now if nobody listened before; raised if the scope is asked to stop already.
    pub(crate) fn of(slot: &mut Option<Arc<Self>>, is_asked: bool) -> Arc<Self> {
        let state = State {
            is_raised: is_asked,
            ..State::default()
        };
        slot.get_or_insert_with(|| Arc::new(Self(Mutex::new(state))))
            .clone()
    }

    /// Takes out the functions, which are called before the request is made: whoever finds it may drop them.
    pub(crate) fn take_functions(&self) -> ToCall {
        let mut state = lock_std(&self.0);
        let is_function = |listener: &Listener| matches!(listener, Listener::Call(_));
        let listed = state.listeners.iter();
        let keys = listed
            .filter(|(_, (_, listener))| is_function(listener))
            .map(|(key, _)| key);
        let keys: Vec<_> = keys.collect();
        ToCall(
            keys.into_iter()
                .map(|key| state.listeners.remove(key))
                .enumerate()
                .collect(),
        )
    }

    /// From now on whoever comes is told at once. The caller has those called who listen already, outside its locks.
    pub(crate) fn raise(&self) -> ToCall {
        let mut state = lock_std(&self.0);
        state.is_raised = true;
        ToCall(std::mem::take(&mut state.listeners))
    }

    /// The request was caught by a region: whoever comes from now on waits for the next one.
    pub(crate) fn lower(&self) {
        lock_std(&self.0).is_raised = false;
    }

    /// Adds a listener, or gives it back if the signal is raised.
    pub(crate) fn listen(&self, listener: Listener) -> Result<ListenerKey, Listener> {
        let mut state = lock_std(&self.0);
        if state.is_raised {
            return Err(listener);
        }
        let number = state.next_number;
        state.next_number += 1;
        let slot = state.listeners.insert((number, listener));
        Ok(ListenerKey { slot, number })
    }

    /// Has another waker woken; false if the signal was raised since the listener was added.
    pub(crate) fn update(&self, key: ListenerKey, waker: &Waker) -> bool {
        let mut state = lock_std(&self.0);
        let found = state.listeners.get_mut(key.slot);
        let Some((_, listener)) = found.filter(|(number, _)| *number == key.number) else {
            return false;
        };
        let before = match listener {
            Listener::Waker(before) if before.will_wake(waker) => None,
            other => Some(std::mem::replace(other, Listener::Waker(waker.clone()))),
        };
        drop(state);
        drop(before);
        true
    }

    /// Takes a listener out. False if somebody has it who calls it, or has called it.
    pub(crate) fn unlisten(&self, key: ListenerKey) -> bool {
        let mut state = lock_std(&self.0);
        let found = state.listeners.get(key.slot);
        let gone = match found {
            Some((number, _)) if *number == key.number => Some(state.listeners.remove(key.slot)),
            _ => None,
        };
        drop(state);
        gone.is_some()
    }
}
