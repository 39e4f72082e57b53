fn main() {
    let _ = async {
        rt::select! {
            _ = rt::yield_now() => 1
            _ = rt::yield_now() => 2
        }
    };
}
