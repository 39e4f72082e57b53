#[rt::test]
async fn tested<T: Default>()
where
    T: Send,
{
    let _ = T::default();
}

fn main() {}
