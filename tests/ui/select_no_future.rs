fn main() {
    let _ = async {
        rt::select! {
            n = 7 => n,
            _ = rt::yield_now() => 2,
        }
    };
}
