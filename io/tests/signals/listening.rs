//! Who listens hears of each signal, on any thread and any executor.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::thread;

use futures_lite::future::{self, poll_once};
use futures_lite::{StreamExt, stream};
use rt_tasks_io::signal::{SignalKind, Signals, ctrl_c, unix};
use rt_tasks_runtime::{Builder, block_on, spawn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::low_level::raise;

use super::support::{alone, eventually, n_open, n_threads};

/// Tells when what was raised before has come to its listeners.
///
/// The thread looks for signals in the order of their numbers, again and again. It has been past a number when it was at a
/// larger one, then at a smaller one, and at the larger one again.
struct Fence {
    small: Signals,
    large: Signals,
}

impl Fence {
    fn new() -> Self {
        Self {
            small: unix(SignalKind::QUIT).unwrap(),
            large: unix(SignalKind::USER_2).unwrap(),
        }
    }

    async fn passed(&mut self) {
        raise(SIGUSR2).unwrap();
        self.large.recv().await;
        raise(SIGQUIT).unwrap();
        self.small.recv().await;
        raise(SIGUSR2).unwrap();
        self.large.recv().await;
    }
}

/// Whether there is something to receive.
async fn has_come(signals: &mut Signals) -> bool {
    poll_once(signals.recv()).await.is_some()
}

#[test]
fn every_listener_learns_of_a_signal_once() {
    alone("listening::every_listener_learns_of_a_signal_once", || {
        block_on(async {
            let mut here = ctrl_c();
            assert!(poll_once(&mut here).await.is_none());
            let there = spawn(ctrl_c());
            let not_yet_polled = ctrl_c();
            // The spawned one listens since it was made, on this thread.
            raise(SIGINT).unwrap();
            here.await.unwrap();
            there.await.unwrap().unwrap();
            not_yet_polled.await.unwrap();
            assert!(poll_once(ctrl_c()).await.is_none(), "a signal of the past");
        });
    });
}

#[test]
fn signals_between_two_looks_are_one_and_are_not_lost() {
    alone(
        "listening::signals_between_two_looks_are_one_and_are_not_lost",
        || {
            block_on(async {
                let mut signals = unix(SignalKind::USER_1).unwrap();
                let mut others = unix(SignalKind::HANGUP).unwrap();
                let mut fence = Fence::new();
                for _ in 0..30 {
                    raise(SIGUSR1).unwrap();
                    raise(SIGUSR1).unwrap();
                    fence.passed().await;
                    assert!(has_come(&mut signals).await);
                    assert!(!has_come(&mut signals).await, "both were one");
                }
                // A look that is given up takes nothing with it.
                assert!(!has_come(&mut signals).await);
                raise(SIGUSR1).unwrap();
                drop(signals.recv());
                fence.passed().await;
                assert!(has_come(&mut signals).await);
                assert!(!has_come(&mut others).await, "it was another signal");
                raise(SIGHUP).unwrap();
                assert_eq!(others.next().await, Some(()), "also a stream");
            });
        },
    );
}

#[test]
fn any_thread_and_any_executor_may_listen() {
    alone("listening::any_thread_and_any_executor_may_listen", || {
        let (ready, is_ready) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let ready = ready.clone();
                thread::spawn(move || {
                    let mut signals = unix(SignalKind::TERMINATE).unwrap();
                    ready.send(()).unwrap();
                    match i {
                        0 => block_on(signals.recv()),
                        1 => {
                            let runtime = Builder::current_thread().build().unwrap();
                            runtime.block_on(async move { signals.recv().await });
                        }
                        // Not ours.
                        _ => future::block_on(signals.recv()),
                    }
                })
            })
            .collect();
        is_ready.iter().take(3).for_each(drop);
        raise(SIGTERM).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn many_listeners_share_one_thread_which_ends_with_them() {
    alone(
        "listening::many_listeners_share_one_thread_which_ends_with_them",
        || {
            let (threads, open) = (n_threads(), n_open());
            for _ in 0..3 {
                let listeners: Vec<_> = (0..1000)
                    .map(|_| unix(SignalKind::USER_1).unwrap())
                    .collect();
                assert_eq!(n_threads(), threads + 1);
                assert_eq!(n_open(), open + 2);
                raise(SIGUSR1).unwrap();
                let heard = future::block_on(async {
                    let each = stream::iter(listeners);
                    each.then(|mut listener| async move { listener.recv().await })
                        .count()
                        .await
                });
                assert_eq!(heard, 1000);
                eventually("the thread ends", || n_threads() == threads);
                assert_eq!(n_open(), open);
            }
        },
    );
}

#[test]
fn a_listener_may_come_and_go_while_signals_come() {
    alone(
        "listening::a_listener_may_come_and_go_while_signals_come",
        || {
            // The process must not die between the listeners below.
            drop(unix(SignalKind::USER_1).unwrap());
            let (stop, is_over) = mpsc::channel::<()>();
            let raising = thread::spawn(move || {
                while is_over.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    raise(SIGUSR1).unwrap();
                }
            });
            block_on(async {
                for _ in 0..300 {
                    let mut signals = unix(SignalKind::USER_1).unwrap();
                    signals.recv().await;
                }
            });
            drop(stop);
            raising.join().unwrap();
        },
    );
}

#[test]
fn a_listener_that_goes_as_a_signal_comes_takes_it_from_nobody() {
    alone(
        "listening::a_listener_that_goes_as_a_signal_comes_takes_it_from_nobody",
        || {
            block_on(async {
                let mut fence = Fence::new();
                let mut stays = unix(SignalKind::USER_1).unwrap();
                for _ in 0..100 {
                    // One that waits, one that was told and has not looked, one that never does.
                    let mut waits = unix(SignalKind::USER_1).unwrap();
                    assert!(!has_come(&mut waits).await);
                    let told = unix(SignalKind::USER_1).unwrap();
                    raise(SIGUSR1).unwrap();
                    drop(waits);
                    fence.passed().await;
                    drop(told);
                    assert!(has_come(&mut stays).await);
                    assert!(!has_come(&mut stays).await);
                }
            });
        },
    );
}

#[test]
fn what_was_listened_to_once_does_not_end_the_process() {
    alone(
        "listening::what_was_listened_to_once_does_not_end_the_process",
        || {
            drop(unix(SignalKind::TERMINATE).unwrap());
            drop(ctrl_c());
            raise(SIGTERM).unwrap();
            raise(SIGINT).unwrap();
        },
    );
}

#[test]
fn what_cannot_be_caught_is_refused() {
    for number in [-1, 0, 9, 11, 19, 128, 1000] {
        let error = unix(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
    }
    // The system has the last word.
    assert!(unix(SignalKind::from_raw(100)).is_err());
}
