fn main() {
    let _ = async {
        rt::select! {
            else => 1
        }
    };
}
