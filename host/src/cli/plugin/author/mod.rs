//! What those who write plugins do on their own machine: begin a package, build it, try it, measure it, and watch it
//! at work while they change it.

pub mod bench;
pub mod build;
mod cases;
pub mod dev;
pub mod new;
pub mod package;
pub mod test;
mod toolchain;
