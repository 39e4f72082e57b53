//! Whatever is awaited in a task may lie in a time limit, borrow, and fail with a boxed error: the task stays `Send`.

use crate::support::ms;
use rt::{BoxError, TaskGroup, TaskSet};

rt::task_local! { static KEY: u32; }

fn send<F: Future + Send + 'static>(_: F) {}

fn limited<F: Future>(body: F) -> rt::time::Timeout<F> {
    rt::timeout(ms(1), body)
}

async fn one(n: &u32) -> Result<u32, BoxError> {
    rt::yield_now().await;
    Ok(*n)
}

#[test]
fn scopes_in_a_time_limit_leave_a_task_send() {
    send(async { limited(rt::catch_cancel(rt::shield(one(&1)))).await });
    send(async { limited(rt::CancelScope::new().run(rt::finally(one(&1), async {}))).await });
    send(async { limited(KEY.scope(1, one(&1))).await });
    send(async {
        let guard = rt::guard(1, |_| async { Ok::<(), BoxError>(()) });
        limited(guard.close()).await
    });
}

#[test]
fn groups_in_a_time_limit_leave_a_task_send() {
    send(async {
        let n = 1;
        let group = TaskGroup::scope(async |group| {
            let ready = group.start(|ready| async move {
                ready.set(1);
                Ok::<(), BoxError>(())
            });
            ready.await;
            group.spawn_in_turn(one(&1)).await;
            one(&n).await
        });
        drop(limited(group).await);
    });
    send(async {
        let n = 1;
        let group = rt::local_group(async |group| {
            group.spawn(one(&n));
            one(&n).await
        });
        drop(limited(group).await);
    });
    send(async {
        let mut set = TaskSet::new();
        set.spawn(1, one(&1));
        drop(limited(set.next()).await);
    });
}

#[test]
fn waiting_for_several_in_a_time_limit_leaves_a_task_send() {
    send(async {
        let n = 1;
        drop(limited(rt::race([one(&n), one(&n)])).await);
        drop(limited(rt::race_ok([one(&n), one(&n)])).await);
        drop(limited(rt::race_staggered([one(&n), one(&n)], ms(1))).await);
    });
    send(async { limited(rt::gather([one(&1)])).await });
    send(async { limited(rt::try_gather([one(&1)])).await });
    send(async { limited(rt::gather_settled([one(&1)])).await });
    send(async { limited(rt::join_all([one(&1)])).await });
    send(async {
        let tasks = vec![rt::spawn(one(&1))];
        drop(limited(rt::wait(tasks, rt::Until::FirstError)).await);
    });
    send(async {
        let both = async { rt::try_join!(one(&1), one(&2)) };
        drop(limited(both).await);
    });
    send(async {
        let items = rt::stream::generate(|items| async move { items.put(1).await });
        let each =
            rt::stream::for_each_concurrent(items, 2, |n| async move { drop(one(&n).await) });
        drop(limited(each).await);
    });
}
