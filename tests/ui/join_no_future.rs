fn main() {
    let _ = async {
        rt::join!(rt::yield_now(), 7);
        rt::join!();
    };
}
