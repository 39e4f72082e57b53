fn main() {
    let _ = async {
        rt::select! {
            _ = rt::yield_now(), if true { 1 }
        }
    };
}
