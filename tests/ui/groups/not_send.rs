use std::rc::Rc;

fn main() {
    rt::block_on(async {
        let _ = rt::TaskGroup::scope(async |group| {
            let shared = Rc::new(7);
            group.spawn_ok(async move {
                rt::yield_now().await;
                drop(shared);
            });
            Ok(())
        })
        .await;
    });
}
