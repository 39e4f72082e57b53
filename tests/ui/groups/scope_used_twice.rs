fn main() {
    rt::block_on(async {
        let builder = rt::TaskGroup::options();
        let scope = builder.scope(async |_group| Ok(()));
        scope.await.unwrap();
        scope.await.unwrap();
        builder.scope(async |_group| Ok(())).await.unwrap();
    });
}
