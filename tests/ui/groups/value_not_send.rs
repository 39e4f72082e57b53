use std::rc::Rc;

fn main() {
    rt::block_on(async {
        let _ = rt::TaskGroup::scope(async |group| {
            group.spawn(async { rt::ok(Rc::new(7)) });
            Ok(())
        })
        .await;
    });
}
