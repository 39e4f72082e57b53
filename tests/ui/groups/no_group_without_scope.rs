fn main() {
    let _group = rt::TaskGroup::<rt::BoxError>::new();
    let _group = rt::TaskGroup::<rt::BoxError> {};
}
