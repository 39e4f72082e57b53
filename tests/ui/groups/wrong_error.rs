#[derive(Debug)]
struct Ours;

fn main() {
    rt::block_on(async {
        let _ = rt::TaskGroup::<Ours>::builder()
            .scope(async |group| {
                group.spawn(async { std::fs::read_to_string("a file") });
                Ok(())
            })
            .await;
    });
}
