//! Lowering of a depthwise convolution together with the pointwise one that alone reads it.

use tilewise_graph::Op;
use tilewise_kernels::conv::ConvBlocks;
use tilewise_kernels::conv::fused::{self, FusedArgs, FusedKernel};
use tilewise_kernels::{Ctx, DepthwisePointwise};

use super::conv::Operands;
use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::BufferId;
use crate::schedule::{Choice, loops};

/// Lowers a depthwise convolution and the pointwise one behind it as one step; returns false where there is no such
/// pair, and where two steps are faster. The step is the pointwise layer's.
pub(super) fn lower(lowering: &mut Lowering<'_>, first: Layer<'_>, dw: &Operands) -> Result<bool, PlanError> {
    let Some(second) = lowering.sole_reader(first) else { return Ok(false) };
    let Op::Conv(op) = &second.node.op else { return Ok(false) };
    let Some(pw) = Operands::of(lowering, second, op)?.filter(|pw| pw.x == dw.y) else { return Ok(false) };
    let pair = DepthwisePointwise { depthwise: dw.problem, pointwise: pw.problem };
    let (4, Ok(pair)) = (lowering.shape(dw.x).len(), pair.validated()) else { return Ok(false) };
    let Some((kernel, blocks)) = choice(lowering, [first, second], &pair) else { return Ok(false) };
    // What the pair adds to its output must be there before its first layer runs.
    if pw.residual.is_some_and(|id| !lowering.is_made(id)) {
        return Ok(false);
    }
    let x = lowering.buffer(dw.x, Layout::Blocked)?;
    let residual = pw.residual.map_or(Ok(BufferId::NONE), |id| lowering.buffer(id, Layout::Blocked))?;
    let [dw_w, dw_bias] = dw.constants(lowering, kernel.depthwise)?;
    let [pw_w, pw_bias] = pw.constants(lowering, kernel.pointwise)?;
    let scratch = lowering.scratch((kernel.scratch_len)(&pair, &blocks, lowering.cpu.cores));
    let y = lowering.make(pw.y, Layout::Blocked)?;
    let reads = [x, dw_w, dw_bias, pw_w, pw_bias, residual];
    lowering.push(NewStep {
        layer: second,
        with: &[first],
        op: second.node.op.name(),
        kernel: kernel.id.name,
        choice: Some((Choice::Fused(kernel, blocks), loops::fused(&pair, kernel, &blocks))),
        macs: pair.macs(),
        reads: &reads,
        writes: &[y, scratch],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x, dw_w, dw_bias, pw_w, pw_bias, residual], [y, scratch]) = memory.split(reads, [y, scratch]);
            let args = FusedArgs { x, w: [dw_w, pw_w], bias: [dw_bias, pw_bias], residual, y };
            (kernel.run)(&pair, &blocks, args, Ctx { pool, scratch });
            Ok(())
        }),
    });
    Ok(true)
}

/// The schedule's choice for the pair, or the kernel where it pays; `None` where the schedule names a kernel for one of
/// the two by itself.
fn choice(
    lowering: &Lowering<'_>,
    layers: [Layer<'_>; 2],
    pair: &DepthwisePointwise,
) -> Option<(&'static FusedKernel, ConvBlocks)> {
    let cpu = lowering.cpu;
    let [first, second] = layers.map(|layer| lowering.schedule.get(lowering.name(layer)));
    if let Some(&Choice::Fused(kernel, blocks)) = second
        && kernel.id.tier == cpu.tier
    {
        return Some((kernel, blocks));
    }
    let kernel = fused::choose(cpu.tier);
    let free = first.is_none() && second.is_none();
    (free && fused::pays(pair, cpu)).then(|| (kernel, (kernel.blocks)(pair, cpu)))
}
