#![deny(unused_must_use)]

async fn fetch() -> u32 {
    42
}

#[rt::main]
async fn main() {
    fetch();
    rt::sleep(std::time::Duration::from_secs(1));
    rt::join_all([fetch()]);
}
