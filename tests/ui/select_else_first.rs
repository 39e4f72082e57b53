fn main() {
    let _ = async {
        rt::select! {
            else => 1,
            _ = rt::yield_now() => 2,
        }
    };
}
