//! Lowering of operators that only move elements: strided copies, of any element type.

use tilewise_graph::ops;
use tilewise_kernels::Ctx;
use tilewise_kernels::movement::{self, CopyAxis, StridedCopy};
use tilewise_tensor::{ALIGN, strides};

use super::norm::resolve;
use super::{Layer, Layout, Lowering, NewStep, Storage, channels};
use crate::PlanError;
use crate::plan::BufferId;

/// Lowers a permutation of axes.
pub(super) fn lower_transpose(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::Transpose,
) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let shape = lowering.shape(x);
    let order = op.order(shape.len()).map_err(|error| lowering.fail(layer, error))?;
    let Some(copy) = StridedCopy::permute(lowering.element_size(x), &shape, &order) else { return Ok(false) };
    let (x, y) = (lowering.buffer(x, Layout::Plain)?, lowering.make(y, Layout::Plain)?);
    push_copy(lowering, layer, copy, [x, y]);
    Ok(true)
}

/// Lowers the cut of one input into parts along an axis.
pub(super) fn lower_split(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Split) -> Result<bool, PlanError> {
    let Some(x) = layer.input(0) else { return Ok(false) };
    let shape = lowering.shape(x);
    let Some(axis) = resolve(op.axis, shape.len()) else { return Ok(false) };
    let lanes = lowering.lanes();
    let parts: Vec<usize> = layer.node.outputs.iter().map(|&id| lowering.shape(id)[axis]).collect();
    let whole = axis != 1 || parts.iter().all(|part| part.is_multiple_of(lanes));
    if !whole && lowering.home(x) == Layout::Blocked {
        return channels::lower_ragged_split(lowering, layer, x, &parts);
    }
    let layout = if whole { lowering.home(x) } else { Layout::Plain };
    let from = strides(&lowering.stored_shape(x, layout));
    let size = lowering.element_size(x);
    let mut parts = Vec::new();
    let mut start = 0;
    for &y in &layer.node.outputs {
        let part = lowering.stored_shape(y, layout);
        let at = start * from[axis];
        let Some(copy) = dense_from(size, &part, &from, at) else { return Ok(false) };
        start += part[axis];
        parts.push((y, copy, at * size));
    }
    let x = lowering.buffer(x, layout)?;
    let contiguous = shape[..axis].iter().all(|&n| n == 1)
        && parts.iter().all(|(_, _, at)| at.is_multiple_of(ALIGN))
        && lowering.is_in_arena(x);
    for (y, copy, at) in parts {
        if contiguous {
            let bytes = lowering.bytes(y, layout)?;
            let part = lowering.add(Storage::Part { of: x, offset: at, bytes });
            lowering.hold(y, layout, part);
        } else {
            let y = lowering.make(y, layout)?;
            push_copy(lowering, layer, copy, [x, y]);
        }
    }
    Ok(true)
}

/// Lowers a slice with constant starts, axes and steps.
pub(super) fn lower_slice(lowering: &mut Lowering<'_>, layer: Layer<'_>) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let (shape, out) = (lowering.shape(x), lowering.shape(y));
    let Some(starts) = layer.input(1).and_then(|id| lowering.ints(id)) else { return Ok(false) };
    let list = |i: usize, default: Vec<i64>| layer.input(i).map_or(Some(default), |id| lowering.ints(id));
    let count = starts.len();
    let (Some(axes), Some(steps)) = (list(3, (0..count as i64).collect()), list(4, vec![1; count])) else {
        return Ok(false);
    };
    let from = strides(&shape);
    let mut axes_of_copy: Vec<CopyAxis> = out
        .iter()
        .zip(&from)
        .zip(strides(&out))
        .map(|((&extent, &from), to)| CopyAxis { extent, from: from as isize, to: to as isize })
        .collect();
    let mut source = 0;
    for ((start, axis), step) in starts.into_iter().zip(axes).zip(steps) {
        let Some(axis) = resolve(axis, shape.len()) else { return Ok(false) };
        let (length, start) = (shape[axis] as i64, start.max(-(1 << 62)));
        let start = if start < 0 { start + length } else { start };
        let last = if step < 0 { length - 1 } else { length };
        let Ok(step) = isize::try_from(step) else { return Ok(false) };
        source += start.clamp(0, last.max(0)) as usize * from[axis];
        axes_of_copy[axis].from = from[axis] as isize * step;
    }
    let copy = StridedCopy::new(lowering.element_size(x), &axes_of_copy, source, 0);
    let Some(copy) = copy else { return Ok(false) };
    let (x, y) = (lowering.buffer(x, Layout::Plain)?, lowering.make(y, Layout::Plain)?);
    push_copy(lowering, layer, copy, [x, y]);
    Ok(true)
}

/// A copy of a dense array of `shape` to the element `start` on of an array with the strides `to`.
pub(super) fn dense_to(size: usize, shape: &[usize], to: &[usize], start: usize) -> Option<StridedCopy> {
    let axes = shape.iter().zip(strides(shape)).zip(to);
    let axes = axes.map(|((&extent, from), &to)| CopyAxis { extent, from: from as isize, to: to as isize });
    StridedCopy::new(size, &axes.collect::<Vec<_>>(), 0, start)
}

/// A copy from the element `start` on of an array with the strides `from` to a dense array of `shape`.
fn dense_from(size: usize, shape: &[usize], from: &[usize], start: usize) -> Option<StridedCopy> {
    let axes = shape.iter().zip(strides(shape)).zip(from);
    let axes = axes.map(|((&extent, to), &from)| CopyAxis { extent, from: from as isize, to: to as isize });
    StridedCopy::new(size, &axes.collect::<Vec<_>>(), start, 0)
}

/// A step that copies.
pub(super) fn push_copy(lowering: &mut Lowering<'_>, layer: Layer<'_>, copy: StridedCopy, [x, y]: [BufferId; 2]) {
    let kernel = movement::choose_copy(lowering.cpu.tier);
    lowering.push(NewStep {
        layer,
        with: &[],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: None,
        macs: 0,
        reads: &[x],
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x], [y]) = memory.split::<u8, 1, 1>([x], [y]);
            (kernel.run)(&copy, x, y, Ctx { pool, scratch: &mut [] });
            Ok(())
        }),
    });
}
