//! How networks, tensors and photos come in and go out.

pub mod image;
pub mod npy;
pub mod onnx;
pub mod safetensors;
mod shown;
