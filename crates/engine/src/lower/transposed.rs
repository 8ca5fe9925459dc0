//! Lowering of transposed convolutions over one or two axes.

use tilewise_graph::ops;
use tilewise_kernels::conv::transposed::{self, TransposedArgs};
use tilewise_kernels::{ConvTranspose2d, Ctx, Epilogue, Pads};

use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::{BufferId, Form};

/// Lowers a transposed convolution with constant weights; returns false for others.
pub(super) fn lower(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::ConvTranspose) -> Result<bool, PlanError> {
    let (Some(x), Some(w), Some(&y)) = (layer.input(0), layer.input(1), layer.node.outputs.first()) else {
        return Ok(false);
    };
    let bias = layer.input(2);
    if lowering.graph.constant(w).is_none() || bias.is_some_and(|id| lowering.graph.constant(id).is_none()) {
        return Ok(false);
    }
    let Some(problem) = problem(lowering, layer, op)? else { return Ok(false) };
    let Some(kernel) = transposed::ROWS.iter().find(|row| row.id.tier == lowering.cpu.tier) else { return Ok(false) };
    let blocks = (kernel.blocks)(&problem, lowering.cpu);
    let sizes = vec![problem.oc, problem.ic, problem.kh, problem.kw, problem.groups];
    let form = Form { name: kernel.id.name, sizes };
    let w = lowering
        .packed_f32(w, form, (kernel.packed_len)(&problem), move |w, packed| (kernel.pack)(&problem, w, packed));
    let bias = bias.map_or(BufferId::NONE, |id| lowering.bias(id, problem.oc));
    let scratch = lowering.scratch((kernel.scratch_len)(&problem, &blocks, lowering.cpu.cores));
    let (x, y) = (lowering.buffer(x, Layout::Plain)?, lowering.make(y, Layout::Plain)?);
    lowering.push(NewStep {
        layer,
        with: &[],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: None,
        macs: problem.macs(),
        reads: &[x, w, bias],
        writes: &[y, scratch],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x, w, bias], [y, scratch]) = memory.split([x, w, bias], [y, scratch]);
            (kernel.run)(&problem, &blocks, TransposedArgs { x, w, bias, residual: &[], y }, Ctx { pool, scratch });
            Ok(())
        }),
    });
    Ok(true)
}

fn problem(
    lowering: &Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::ConvTranspose,
) -> Result<Option<ConvTranspose2d>, PlanError> {
    let [x, w, y] = [layer.input(0), layer.input(1), layer.node.outputs.first().copied()]
        .map(|id| id.map(|id| lowering.shape(id)).unwrap_or_default());
    let (&[n, ic, ih, iw], &[_, ocg, kh, kw], &[_, oc, oh, ow]) = (&*x, &*w, &*y) else { return Ok(None) };
    let window = op.window(&[ih, iw], &[kh, kw]).map_err(|error| lowering.fail(layer, error))?;
    let (&[sh, sw], &[dh, dw]) = (&*window.strides, &*window.dilations) else { return Ok(None) };
    let (&[top, left], &[bottom, right]) = (&*window.before, &*window.after) else { return Ok(None) };
    // The output is as long as its type says; what the pads leave open is padding of the output.
    let span = |input: usize, stride: usize, kernel: usize, dilation: usize| {
        (input - 1) * stride + (kernel - 1) * dilation + 1
    };
    let extra = |out: usize, around: usize, span: usize| (out + around).checked_sub(span);
    let (Some(eh), Some(ew)) =
        (extra(oh, top + bottom, span(ih, sh, kh, dh)), extra(ow, left + right, span(iw, sw, kw, dw)))
    else {
        return Ok(None);
    };
    let problem = ConvTranspose2d {
        n,
        ic,
        ih,
        iw,
        oc,
        kh,
        kw,
        stride: [sh, sw],
        dilation: [dh, dw],
        pads: Pads { top, left, bottom, right },
        output_pads: [eh, ew],
        groups: oc / ocg.max(1),
        epilogue: Epilogue { bias: layer.input(2).is_some(), residual: false, act: op.activation },
    };
    // What the kernel does not take is still defined: the reference computes it.
    Ok(problem.validated().ok().filter(|p| p.n > 0 && (p.oh(), p.ow()) == (oh, ow)))
}
