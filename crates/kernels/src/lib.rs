//! How numbers are crunched: kernels for each problem and instruction set, their catalog, and the thread pool.
//!
//! This room knows no network, no file and no environment variable. It is the only room with `unsafe` and
//! `std::arch` (the tensor crate's buffer aside). A kernel is a row of data plus one generic tile function over an
//! instruction-set token ([`Isa`]); beside each stands a naive twin in [`mod@reference`], the oracle of its tests.
//! A hot call allocates nothing: scratch sizes are asked up front and handed in with [`Ctx`].

pub mod catalog;
pub mod conv;
mod cpu;
pub mod eltwise;
pub mod gemm;
mod isa;
pub mod ladder;
mod math;
pub mod measure;
pub mod movement;
pub mod nest;
pub mod norm;
mod parallel;
pub mod pool;
mod problem;
pub mod reduce;
pub mod reference;
pub mod resize;
mod rows;
#[cfg(test)]
mod trial;

pub use cpu::{Cache, Cpu, ReadRates};
pub use isa::{Avx2, Avx512, Isa, MAX_LANES, Scalar, SimdOp, Tier, UnknownTier};
pub use parallel::{Ctx, Pool, Shards, Task};
pub use problem::{Conv2d, ConvTranspose2d, DepthwisePointwise, Epilogue, Pads, ProblemError};
pub use tilewise_tensor::Unary;
