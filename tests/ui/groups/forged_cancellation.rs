fn main() {
    let _ = <rt::Cancelled as Default>::default();
    let _: rt::Cancelled = "no reason".into();
}
