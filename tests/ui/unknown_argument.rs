#[rt::main(threads = 4)]
async fn main() {}

#[rt::test(flavour)]
async fn tested() {}
