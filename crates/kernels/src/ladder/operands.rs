//! Numbers to compute with, and room for results.

use tilewise_tensor::AlignedBuffer;

/// `len` numbers between -1 and 1 that look random; other seeds give others.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // The 64-bit linear congruential generator of Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A copy at the beginning of a cache line, as kernels get their operands.
pub(super) fn aligned(values: &[f32]) -> AlignedBuffer {
    let mut buffer = zeros(values.len());
    buffer.as_mut_slice().copy_from_slice(values);
    buffer
}

/// `len` zeros at the beginning of a cache line.
pub(super) fn zeros(len: usize) -> AlignedBuffer {
    AlignedBuffer::zeroed(len * size_of::<f32>())
}
