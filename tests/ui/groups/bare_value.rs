fn main() {
    rt::block_on(async {
        let _ = rt::TaskGroup::scope(async |group| {
            group.spawn(async { 7 });
            Ok(())
        })
        .await;
    });
}
