//! Moving elements without looking at them: an element is so many bytes, so that one loop serves every type.

use tilewise_tensor::{AlignedBuffer, Tensor};

use super::support::buffer;
use crate::OpError;

/// Calls `visit` with each index of `shape` in row-major order.
pub(crate) fn each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&axis| index[axis] + 1 < shape[axis]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// The position of an element: index times stride, over the axes.
pub(crate) fn position(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// A tensor of `shape` whose element at each index is the one of `data` at the position that `source` gives. The
/// positions must lie inside `data`.
pub(crate) fn pick(
    data: &Tensor,
    shape: &[usize],
    mut source: impl FnMut(&[usize]) -> usize,
) -> Result<Tensor, OpError> {
    pick_or(data, None, shape, |index| Some(source(index)))
}

/// As [`pick`]; where `source` gives no position, the element is `fill` (one element of the type of `data`; zero
/// without).
pub(crate) fn pick_or(
    data: &Tensor,
    fill: Option<&Tensor>,
    shape: &[usize],
    mut source: impl FnMut(&[usize]) -> Option<usize>,
) -> Result<Tensor, OpError> {
    let (size, bytes) = (data.dtype().size(), data.bytes());
    let mut out = buffer(data.dtype(), shape)?;
    let mut places = out.bytes_mut().chunks_exact_mut(size);
    each_index(shape, |index| {
        let Some(place) = places.next() else { return };
        match (source(index), fill) {
            (Some(at), _) => place.copy_from_slice(&bytes[at * size..(at + 1) * size]),
            (None, Some(fill)) => place.copy_from_slice(fill.bytes()),
            (None, None) => (),
        }
    });
    Ok(Tensor::from_bytes(data.dtype(), shape, out.into())?)
}

/// As [`pick`] for a result of as many axes as `data`, where the place along an axis depends on the place along the
/// same axis of the result only: `source(axis, place)`.
pub(crate) fn pick_by_axis(
    data: &Tensor,
    shape: &[usize],
    source: impl Fn(usize, usize) -> usize,
) -> Result<Tensor, OpError> {
    let strides = tilewise_tensor::strides(data.shape());
    pick(data, shape, |index| {
        index.iter().zip(&strides).enumerate().map(|(axis, (&i, stride))| source(axis, i) * stride).sum()
    })
}

/// A copy of the bytes of a tensor, to be changed.
pub(crate) fn copied(data: &Tensor) -> Result<AlignedBuffer, OpError> {
    let mut out = buffer(data.dtype(), data.shape())?;
    out.bytes_mut().copy_from_slice(data.bytes());
    Ok(out)
}
