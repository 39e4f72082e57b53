#[rt::main(workers = "four", debug = 1, crate = 5)]
async fn main() {}

#[rt::test(workers, debug, virtual_time = true, crate)]
async fn tested() {}

#[rt::test(current_thread = true)]
async fn on_one_thread() {}
