//! Lowering of normalisations: softmax, local response, layer and instance normalisation.

use tilewise_graph::ops;
use tilewise_kernels::Ctx;
use tilewise_kernels::norm::{self, Affine, Lrn, NormRows, NormRowsArgs, Softmax};

use super::pool::planes;
use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::BufferId;

/// Lowers softmax and its logarithm along one axis, or along all from `axis` on where `flattened`.
pub(super) fn lower_softmax(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    axis: i64,
    flattened: bool,
    log: bool,
) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let shape = lowering.shape(x);
    let Some(axis) = resolve(axis, shape.len()) else { return Ok(false) };
    let end = if flattened { shape.len() } else { axis + 1 };
    let product = |lengths: &[usize]| lengths.iter().product();
    let problem =
        Softmax { outer: product(&shape[..axis]), len: product(&shape[axis..end]), inner: product(&shape[end..]), log };
    let kernel = norm::choose_softmax(lowering.cpu.tier);
    let (x, y) = (lowering.buffer(x, Layout::Plain)?, lowering.make(y, Layout::Plain)?);
    lowering.push_map(layer, kernel.id.name, [x, y], 0, move |x, y, ctx| (kernel.run)(&problem, x, y, ctx));
    Ok(true)
}

/// Lowers local response normalisation, in the layout in which x stands.
pub(super) fn lower_lrn(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::LRN) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let &[n, c, ref places @ ..] = &*lowering.shape(x) else { return Ok(false) };
    // The kernel divides by a power of the sum, which the definition does not keep from zero.
    if op.bias <= 0.0 || op.alpha < 0.0 {
        return Ok(false);
    }
    let layout = lowering.home(x);
    let (size, alpha, beta, bias) = (op.size, op.alpha, op.beta, op.bias);
    let problem = Lrn { n, c, pixels: places.iter().product(), size, alpha, beta, bias, layout: planes(layout) };
    let kernel = norm::choose_lrn(lowering.cpu.tier);
    let scratch = (kernel.scratch_len)(&problem, lowering.cpu.cores);
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    lowering.push_map(layer, kernel.id.name, [x, y], scratch, move |x, y, ctx| (kernel.run)(&problem, x, y, ctx));
    Ok(true)
}

/// Lowers layer normalisation; returns false where mean and deviation are read, or where scale and bias broadcast.
pub(super) fn lower_layer(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::LayerNormalization,
) -> Result<bool, PlanError> {
    let (Some(x), &[_]) = (layer.input(0), &*layer.node.outputs) else { return Ok(false) };
    let shape = lowering.shape(x);
    let Some(axis) = resolve(op.axis, shape.len()) else { return Ok(false) };
    let fits = |i: usize| layer.input(i).is_none_or(|id| lowering.shape(id) == shape[axis..]);
    if !fits(1) || !fits(2) {
        return Ok(false);
    }
    let (outer, len) = (shape[..axis].iter().product(), shape[axis..].iter().product());
    push_rows(lowering, layer, NormRows { outer, len, epsilon: op.epsilon, affine: Affine::Element })
}

/// Lowers instance normalisation.
pub(super) fn lower_instance(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::InstanceNormalization,
) -> Result<bool, PlanError> {
    let Some(x) = layer.input(0) else { return Ok(false) };
    let &[n, c, ref places @ ..] = &*lowering.shape(x) else { return Ok(false) };
    let affine = Affine::Row { channels: c };
    push_rows(lowering, layer, NormRows { outer: n * c, len: places.iter().product(), epsilon: op.epsilon, affine })
}

fn push_rows(lowering: &mut Lowering<'_>, layer: Layer<'_>, problem: NormRows) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let optional = |lowering: &mut Lowering<'_>, i: usize| match layer.input(i) {
        Some(id) => lowering.buffer(id, Layout::Plain),
        None => Ok(BufferId::NONE),
    };
    let (scale, shift) = (optional(lowering, 1)?, optional(lowering, 2)?);
    let kernel = norm::choose_rows(lowering.cpu.tier);
    let (x, y) = (lowering.buffer(x, Layout::Plain)?, lowering.make(y, Layout::Plain)?);
    lowering.push(NewStep {
        layer,
        with: &[],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: None,
        macs: 0,
        reads: &[x, scale, shift],
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x, scale, shift], [y]) = memory.split([x, scale, shift], [y]);
            (kernel.run)(&problem, NormRowsArgs { x, scale, shift, y }, Ctx { pool, scratch: &mut [] });
            Ok(())
        }),
    });
    Ok(true)
}

/// The axis that `axis`, negative from the end, names among `rank`.
pub(super) fn resolve(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}
