#[rt::test(cancel_on_ctrl_c)]
async fn in_a_test() {}

fn main() {}
