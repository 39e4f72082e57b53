#[rt::main]
#[rt::main(workers = 2)]
async fn main() {}

mod tests {
    #[rt::test]
    #[test]
    async fn tested() {}
}
