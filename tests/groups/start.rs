//! The contract of `TaskGroup::start`: the child is ready, or it has ended and the starter knows why.

use std::future::pending;
use std::io;

use crate::support::{Count, Flag, each_body, ms};
use rt::{BoxError, Policy, StartError, TaskGroup};

/// N5: the start returns the value once the child is ready, and the child goes on as one of the group.
#[test]
fn n5_a_start_returns_what_the_child_is_ready_with_and_the_child_goes_on() {
    each_body(|| async {
        let n_served = Count::default();
        let served = n_served.clone();
        let start = rt::Instant::now();
        TaskGroup::scope(|group| async move {
            let port = group
                .start(|ready| async move {
                    rt::sleep(ms(10)).await;
                    ready.set(8080);
                    rt::sleep(ms(30)).await;
                    served.add();
                })
                .await;
            assert_eq!((port, start.elapsed(), group.len()), (8080, ms(10), 1));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((n_served.get(), start.elapsed()), (1, ms(40)));
    });
}

/// N5: a child that fails first fails the group, once, and the body does not go on.
#[test]
fn n5_a_child_that_fails_before_it_is_ready_fails_its_group() {
    each_body(|| async {
        let went_on = Flag::default();
        let theirs = went_on.clone();
        let error = TaskGroup::scope(|group| async move {
            let started = group.start(|ready| async move {
                rt::sleep(ms(10)).await;
                drop::<rt::Ready<()>>(ready);
                Err::<(), _>(io::Error::other("address in use"))
            });
            started.await;
            theirs.raise();
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.len(), 1, "{error}");
        assert_eq!(error.first().unwrap().kind.to_string(), "address in use");
        assert!(!went_on.is_up());
    });
}

/// N5, G12: where failures do not end the body it sees how the child ended, and passing that on counts once.
#[test]
fn n5_g12_a_body_that_goes_on_sees_that_the_child_failed() {
    each_body(|| async {
        let collect = || TaskGroup::options().policy(Policy::CollectAll);
        for panics in [false, true] {
            let error = collect()
                .scope(|group| async move {
                    let started = group.try_start(|ready: rt::Ready<u16>| async move {
                        assert!(!panics, "address in use");
                        drop(ready);
                        Err::<(), _>(io::Error::other("address in use"))
                    });
                    let id = started.id();
                    let error = started.await.unwrap_err();
                    assert_eq!(
                        error.to_string(),
                        format!("task #{id} failed before it was ready")
                    );
                    assert!(error.join_error().unwrap().is_failed());
                    Err::<(), BoxError>(error.into())
                })
                .await
                .unwrap_err();
            assert_eq!(error.len(), 1, "{error}");
            assert!(error.to_string().contains("address in use"), "{error}");
        }
    });
}

/// N5: a child that returns without being ready is no failure of the group but of the start.
#[test]
fn n5_a_child_that_returns_without_being_ready_is_an_error_of_the_start() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            let started = group.try_start(|ready| async move {
                rt::sleep(ms(1)).await;
                drop::<rt::Ready<()>>(ready);
            });
            let id = started.id();
            let error = started.await.unwrap_err();
            assert!(matches!(&error, StartError::NotReady { id: theirs, .. } if *theirs == id));
            assert!(error.join_error().is_none());
            Ok(Err::<(), _>(error)?)
        })
        .await
        .unwrap_err();
        let message = error.first().unwrap().kind.to_string();
        assert!(message.starts_with("task #"), "{message}");
        assert!(message.ends_with(" returned without saying that it was ready"));
    });
}

/// N5, G16: a start on a group that is cancelled, before or meanwhile, neither hangs nor panics.
#[test]
fn n5_g16_a_start_in_a_cancelled_group_is_cancelled() {
    each_body(|| async {
        TaskGroup::scope(|group| async move {
            let canceller = group.clone();
            group.spawn_ok(async move {
                rt::sleep(ms(5)).await;
                canceller.cancel();
            });
            for _ in 0..2 {
                let error = group
                    .try_start(|ready| async move {
                        rt::sleep(ms(10)).await;
                        ready.set(());
                    })
                    .await
                    .unwrap_err();
                assert!(error.join_error().unwrap().is_cancelled());
                assert!(
                    error
                        .to_string()
                        .ends_with("was cancelled before it was ready"),
                    "{error}"
                );
            }
            Ok(())
        })
        .await
        .unwrap();
    });
}

/// N5: a start that is given up cancels the child; who gave it up waits for the child's cleanup.
#[test]
fn n5_a_start_that_is_given_up_cancels_the_child_and_awaits_its_cleanup() {
    each_body(|| async {
        let start = rt::Instant::now();
        let cleaned = Flag::default();
        let theirs = cleaned.clone();
        TaskGroup::scope(|group| async move {
            let clean = theirs.clone();
            let never_ready = group.try_start(|ready: rt::Ready<()>| async move {
                let _ready = ready;
                let cleanup = async move {
                    rt::sleep(ms(20)).await;
                    clean.raise();
                };
                rt::finally(pending::<()>(), cleanup).await;
            });
            assert!(rt::timeout(ms(10), never_ready).await.is_err());
            assert!(
                theirs.is_up(),
                "the timeout returned before the cleanup was through"
            );
            assert_eq!((start.elapsed(), group.is_closing()), (ms(30), false));
            Ok(())
        })
        .await
        .unwrap();
        assert!(cleaned.is_up());
    });
}

/// N5: what is set after the start was given up is dropped, and so is what nobody awaits.
#[test]
fn n5_a_value_that_nobody_takes_is_dropped() {
    each_body(|| async {
        let n_dropped = Count::default();
        let value = n_dropped.on_drop();
        TaskGroup::scope(|group| async move {
            let started = group.try_start(|ready| async move {
                ready.set(value);
                pending::<()>().await;
            });
            rt::sleep(ms(1)).await;
            drop(started);
            rt::sleep(ms(1)).await;
            assert!(group.is_empty(), "the child was cancelled");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(n_dropped.get(), 1);
    });
}

/// N5, N3: a child of a full group is started when its turn comes.
#[test]
fn n5_n3_a_start_waits_for_its_turn() {
    each_body(|| async {
        let start = rt::Instant::now();
        TaskGroup::options()
            .limit(1)
            .scope(|group| async move {
                group.spawn(rt::sleep(ms(20)));
                group
                    .try_start(|ready| async move { ready.set(()) })
                    .await?;
                assert_eq!(start.elapsed(), ms(20));
                Ok(())
            })
            .await
            .unwrap();
    });
}

/// N5: without a `Result` to tell it in, a child that ends early while the group goes on is a panic that names it
/// and the line.
#[test]
fn n5_a_start_without_a_result_panics_when_the_group_goes_on() {
    each_body(|| async {
        let scope = TaskGroup::options().policy(Policy::CollectAll);
        let body = scope.scope(|group| async move {
            let never = |_ready: rt::Ready<u16>| async { rt::sleep(ms(1)).await };
            group.start_named("server", never).await;
            Ok(())
        });
        let panic = rt::spawn(body).await.unwrap_err().into_panic();
        let message = panic.message();
        assert!(message.starts_with("task `server` returned"), "{message}");
        assert!(message.contains(file!()), "{message}");
    });
}
