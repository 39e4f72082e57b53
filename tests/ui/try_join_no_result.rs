fn main() {
    let _ = async {
        let _ = rt::try_join!(rt::yield_now(), async { Ok::<_, ()>(1) });
    };
}
