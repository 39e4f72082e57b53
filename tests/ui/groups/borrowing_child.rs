fn main() {
    rt::block_on(async {
        let text = String::from("the body may borrow it, its children may not");
        let _ = rt::TaskGroup::scope(async |group| {
            group.spawn_ok(async { println!("{text}") });
            Ok(())
        })
        .await;
    });
}
