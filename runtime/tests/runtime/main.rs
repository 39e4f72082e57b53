//! The runtime by its own surface.

mod robust;
mod smoke;
mod stress;
