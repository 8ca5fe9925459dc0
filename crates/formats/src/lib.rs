//! How networks, tensors and photos come in and go out.

pub mod npy;
pub mod onnx;
pub mod image;
