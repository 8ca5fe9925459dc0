//! How networks, tensors and photos come in and go out.
