//! Lowering of operators that only move elements: strided copies, of any element type.

use tilewise_graph::{ValueId, ops};
use tilewise_kernels::Ctx;
use tilewise_kernels::movement::{self, CopyAxis, StridedCopy};
use tilewise_tensor::strides;

use super::norm::resolve;
use super::{Layer, Layout, Lowering, NewStep};
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
    push(lowering, layer, vec![copy], &[x], y);
    Ok(true)
}

/// Lowers concatenation: along the channels in whole blocks where the inputs stand blocked, else row-major.
pub(super) fn lower_concat(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Concat) -> Result<bool, PlanError> {
    let Some(&y) = layer.node.outputs.first() else { return Ok(false) };
    let shape = lowering.shape(y);
    let Some(axis) = resolve(op.axis, shape.len()) else { return Ok(false) };
    let inputs: Vec<ValueId> = layer.node.inputs.iter().flatten().copied().collect();
    let whole = |&id: &ValueId| axis != 1 || lowering.shape(id)[1].is_multiple_of(lowering.lanes());
    let blocked = inputs.iter().any(|&id| lowering.home(id) == Layout::Blocked)
        && inputs.iter().all(whole)
        && lowering.element_size(y) == size_of::<f32>();
    let layout = if blocked { Layout::Blocked } else { Layout::Plain };
    let to = strides(&lowering.stored_shape(y, layout));
    let (mut copies, mut sources, mut start) = (Vec::new(), Vec::new(), 0);
    for id in inputs {
        let part = lowering.stored_shape(id, layout);
        let Some(copy) = dense_to(lowering.element_size(y), &part, &to, start * to[axis]) else { return Ok(false) };
        start += part[axis];
        copies.push(copy);
        sources.push(lowering.buffer(id, layout)?);
    }
    let y = lowering.make(y, layout)?;
    push(lowering, layer, copies, &sources, y);
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
    let layout = if whole { lowering.home(x) } else { Layout::Plain };
    let from = strides(&lowering.stored_shape(x, layout));
    let size = lowering.element_size(x);
    let mut copies = Vec::new();
    let mut start = 0;
    for &y in &layer.node.outputs {
        let part = lowering.stored_shape(y, layout);
        let Some(copy) = dense_from(size, &part, &from, start * from[axis]) else { return Ok(false) };
        start += part[axis];
        copies.push((copy, y));
    }
    let x = lowering.buffer(x, layout)?;
    for (copy, y) in copies {
        let y = lowering.make(y, layout)?;
        push(lowering, layer, vec![copy], &[x], y);
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
    push(lowering, layer, vec![copy], &[x], y);
    Ok(true)
}

/// A copy of a dense array of `shape` to the element `start` on of an array with the strides `to`.
fn dense_to(size: usize, shape: &[usize], to: &[usize], start: usize) -> Option<StridedCopy> {
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

/// One step that makes all copies, each from its own source.
fn push(lowering: &mut Lowering<'_>, layer: Layer<'_>, copies: Vec<StridedCopy>, sources: &[BufferId], y: BufferId) {
    let kernel = movement::choose_copy(lowering.cpu.tier);
    let pairs: Vec<(StridedCopy, BufferId)> = copies.into_iter().zip(sources.iter().copied()).collect();
    lowering.push(NewStep {
        layer,
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        choice: None,
        macs: 0,
        reads: sources,
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            for (copy, x) in &pairs {
                let ([x], [y]) = memory.split::<u8, 1, 1>([*x], [y]);
                (kernel.run)(copy, x, y, Ctx { pool, scratch: &mut [] });
            }
            Ok(())
        }),
    });
}
