//! Part of rt.
