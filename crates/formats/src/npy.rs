//! Tensors in NumPy's files.
