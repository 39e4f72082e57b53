fn main() {
    let _ = rt::Cancelled::new(None, std::panic::Location::caller());
    let _ = rt::Cancelled {};
}
