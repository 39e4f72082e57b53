#[rt::main]
async unsafe fn main() {}

#[rt::test]
async extern "C" fn tested() {}
