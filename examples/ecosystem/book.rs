//! The chapters of the book whose programs need libraries that the others do without, run as documentation tests.

/// Names the chapters: files in `docs/src` without their ending.
#[cfg(doctest)]
macro_rules! chapters {
    ($($name:ident)*) => {$(
        #[doc = include_str!(concat!("../../docs/src/", stringify!($name), ".md"))]
        mod $name {}
    )*};
}

#[cfg(doctest)]
chapters! {
    ecosystem
}
