//! Lowering of poolings over windows and over whole planes.

use tilewise_graph::{ValueId, ops};
use tilewise_kernels::conv::Layout as Planes;
use tilewise_kernels::pool::{self, Pool2d, PoolKernel, PoolKind};
use tilewise_kernels::reduce::{self, Reduce, ReduceOp};
use tilewise_kernels::{Conv2d, Ctx, Epilogue, Pads};
use tilewise_tensor::DType;

use super::{Layer, Layout, Lowering};
use crate::PlanError;
use crate::plan::{BufferId, ByRows, Part};
use crate::run::Memory;

/// Lowers maxima under a window; returns false where their indices are read, and for other than two axes.
pub(super) fn lower_max(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::MaxPool) -> Result<bool, PlanError> {
    let window = op.window(&spatial(lowering, layer)).map_err(|error| lowering.fail(layer, error))?;
    lower_window(lowering, layer, PoolKind::Max, &window, false)
}

/// Lowers means under a window; returns false for other than two axes.
pub(super) fn lower_average(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::AveragePool,
) -> Result<bool, PlanError> {
    let window = op.window(&spatial(lowering, layer)).map_err(|error| lowering.fail(layer, error))?;
    lower_window(lowering, layer, PoolKind::Average, &window, op.count_include_pad)
}

fn spatial(lowering: &Lowering<'_>, layer: Layer<'_>) -> Vec<usize> {
    let shape = layer.input(0).map(|id| lowering.shape(id)).unwrap_or_default();
    shape.get(2..).unwrap_or_default().to_vec()
}

fn lower_window(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    kind: PoolKind,
    window: &ops::Window,
    count_include_pad: bool,
) -> Result<bool, PlanError> {
    let (Some(x), &[y]) = (layer.input(0), &*layer.node.outputs) else { return Ok(false) };
    let (&[n, c, ih, iw], &[_, _, oh, ow]) = (&*lowering.shape(x), &*lowering.shape(y)) else { return Ok(false) };
    let (&[kh, kw], &[sh, sw], &[dh, dw]) = (&*window.kernel, &*window.strides, &*window.dilations) else {
        return Ok(false);
    };
    let (&[top, left], &[bottom, right]) = (&*window.before, &*window.after) else { return Ok(false) };
    // A vector of channels at a time is many times as fast as pixel by pixel, and worth the change of layout, unless
    // most of a vector would be empty.
    let layout = if 2 * c > lowering.lanes() { Layout::Blocked } else { lowering.home(x) };
    let problem = Pool2d {
        n,
        c,
        ih,
        iw,
        oh,
        ow,
        kernel: [kh, kw],
        stride: [sh, sw],
        dilation: [dh, dw],
        pads: Pads { top, left, bottom, right },
        count_include_pad,
        layout: planes(layout),
    };
    let kernel = pool::choose(kind, lowering.cpu.tier);
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    lowering.push_map(layer, kernel.id.name, [x, y], 0, move |x, y, ctx| (kernel.run)(&problem, x, y, ctx));
    // Parts do not know the places of the padding that a mean's divisor may count.
    let knows = kind == PoolKind::Max || !count_include_pad;
    if layout == Layout::Blocked && knows && n * oh * ow > 0 {
        by_rows(lowering, kernel, problem, [x, y]);
    }
    Ok(true)
}

/// Tells how the last step, which pools, computes some of its output rows.
fn by_rows(lowering: &mut Lowering<'_>, kernel: &'static PoolKernel, problem: Pool2d, [x, y]: [BufferId; 2]) {
    let Pool2d { n, c, ih, iw, kernel: [kh, kw], stride, dilation, pads, .. } = problem;
    // The convolution with the same windows: in ceil mode the last one may reach past the padding.
    let mut windows =
        Conv2d { n, ic: c, ih, iw, oc: c, kh, kw, stride, dilation, pads, groups: c, epilogue: Epilogue::default() };
    let [down, across] = windows.reach();
    windows.pads.bottom = ((problem.oh - 1) * stride[0] + down).saturating_sub(ih + pads.top);
    windows.pads.right = ((problem.ow - 1) * stride[1] + across).saturating_sub(iw + pads.left);
    let lanes = [lowering.lanes(); 2];
    let run = move |memory: &mut Memory<'_>, part: &Part| {
        let pool = memory.pool;
        let ([x], [y]) = memory.split([x], [y]);
        let (x, _, y) = part.operands(lanes, x, &[], y);
        let (windows, _) = windows.rows(part.rows.clone());
        let pads = Pads { top: windows.pads.top, bottom: windows.pads.bottom, ..pads };
        let problem = Pool2d { n: 1, ih: windows.ih, oh: part.rows.len(), pads, ..problem };
        (kernel.run_part)(&problem, part.planes, x, y, Ctx { pool, scratch: &mut [] });
    };
    let (residual, weights) = (BufferId::NONE, BufferId::NONE);
    lowering.by_rows(ByRows {
        problem: windows,
        x,
        y,
        residual,
        weights,
        lanes,
        channels: c,
        band: 1,
        run: Box::new(run),
    });
}

/// Lowers pooling over all places of a plane, with any number of spatial axes.
pub(super) fn lower_global(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: ReduceOp) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let &[n, c, ref places @ ..] = &*lowering.shape(x) else { return Ok(false) };
    let layout = lowering.home(x);
    let problem = Reduce::global(op, planes(layout), [n, c, places.iter().product()], lowering.lanes());
    push_reduce(lowering, layer, problem, [x, y], layout)
}

/// Lowers a reduction over axes that stand side by side; returns false for others.
pub(super) fn lower_reduce(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Reduce) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    if lowering.graph.value(x).ty.dtype != DType::F32 {
        return Ok(false);
    }
    let shape = lowering.shape(x);
    let axes = match layer.input(1) {
        None if op.noop_with_empty_axes => return Ok(false),
        None => (0..shape.len()).collect(),
        Some(id) => match lowering.axes(id, shape.len()) {
            Some(axes) if !axes.is_empty() => axes,
            _ => return Ok(false),
        },
    };
    let (first, last) = (axes[0], axes[axes.len() - 1]);
    if last - first + 1 != axes.len() {
        return Ok(false);
    }
    let product = |axes: &[usize]| axes.iter().product();
    let function = match op.function {
        ops::ReduceFn::Sum => ReduceOp::Sum,
        ops::ReduceFn::Mean => ReduceOp::Mean,
        ops::ReduceFn::Max => ReduceOp::Max,
        ops::ReduceFn::Min => ReduceOp::Min,
        ops::ReduceFn::Prod => ReduceOp::Prod,
        ops::ReduceFn::SumSquare => ReduceOp::SumSquare,
        ops::ReduceFn::L1 => ReduceOp::L1,
        ops::ReduceFn::L2 => ReduceOp::L2,
        ops::ReduceFn::LogSum => ReduceOp::LogSum,
        ops::ReduceFn::LogSumExp => ReduceOp::LogSumExp,
    };
    let (outer, len, inner) = (product(&shape[..first]), product(&shape[first..=last]), product(&shape[last + 1..]));
    push_reduce(lowering, layer, Reduce { op: function, outer, len, inner }, [x, y], Layout::Plain)
}

fn push_reduce(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    problem: Reduce,
    [x, y]: [ValueId; 2],
    layout: Layout,
) -> Result<bool, PlanError> {
    let kernel = reduce::choose(lowering.cpu.tier);
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    lowering.push_map(layer, kernel.id.name, [x, y], 0, move |x, y, ctx| (kernel.run)(&problem, x, y, ctx));
    Ok(true)
}

/// The kernels' name of a layout.
pub(super) fn planes(layout: Layout) -> Planes {
    match layout {
        Layout::Plain => Planes::Nchw,
        Layout::Blocked => Planes::Nchwc,
    }
}
