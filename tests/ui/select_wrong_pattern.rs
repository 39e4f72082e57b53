fn main() {
    let _ = async {
        rt::select! {
            Ok(n) = async { Some(1) } => n,
            else => 2,
        }
    };
}
