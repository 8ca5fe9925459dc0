//! Lowering of a depthwise convolution together with the pointwise one that alone reads it.

use tilewise_graph::Op;
use tilewise_kernels::conv::fused::FusedArgs;
use tilewise_kernels::{Ctx, DepthwisePointwise};

use super::conv::Operands;
use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::{BufferId, ByRows, Part};
use crate::run::Memory;
use crate::schedule::{self, Choice, Decision, Problem};

/// Lowers a depthwise convolution and the pointwise one behind it as one step; returns false where there is no such
/// pair, and where two steps are faster. The step is the pointwise layer's.
pub(super) fn lower(lowering: &mut Lowering<'_>, first: Layer<'_>, dw: &Operands) -> Result<bool, PlanError> {
    let Some(second) = lowering.sole_reader(first) else { return Ok(false) };
    let Op::Conv(op) = &second.node.op else { return Ok(false) };
    let Some(pw) = Operands::of(lowering, second, op)?.filter(|pw| pw.x == dw.y) else { return Ok(false) };
    let pair = DepthwisePointwise { depthwise: dw.problem, pointwise: pw.problem };
    let (4, Ok(pair)) = (lowering.shape(dw.x).len(), pair.validated()) else { return Ok(false) };
    // What the pair adds to its output must be there before its first layer runs.
    if pw.residual.is_some_and(|id| !lowering.is_made(id)) {
        return Ok(false);
    }
    let asked = Problem::Pair(pair);
    lowering.ask(second, Some(first), asked);
    let Some(choice @ Choice::Fused(kernel, blocks)) = choice(lowering, [first, second], &asked) else {
        return Ok(false);
    };
    lowering.ask(first, None, Problem::Conv(dw.problem));
    lowering.ask(second, None, Problem::Conv(pw.problem));
    let x = lowering.buffer(dw.x, Layout::Blocked)?;
    let residual = pw.residual.map_or(Ok(BufferId::NONE), |id| lowering.buffer(id, Layout::Blocked))?;
    let [dw_w, dw_bias] = dw.constants(lowering, kernel.depthwise);
    let [pw_w, pw_bias] = pw.constants(lowering, kernel.pointwise);
    let scratch = lowering.scratch((kernel.scratch_len)(&pair, &blocks, lowering.cpu.cores));
    let y = lowering.make(pw.y, Layout::Blocked)?;
    let reads = [x, dw_w, dw_bias, pw_w, pw_bias, residual];
    lowering.push(NewStep {
        layer: second,
        with: &[first],
        op: second.node.op.name(),
        kernel: kernel.id.name,
        decision: Some(Decision { problem: asked, choice }),
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
    let (cores, lanes) = (lowering.cpu.cores, [lowering.cpu.tier.lanes(); 2]);
    let run = move |memory: &mut Memory<'_>, part: &Part| {
        let pool = memory.pool;
        let ([x, dw_w, dw_bias, pw_w, pw_bias, residual], [y, scratch]) = memory.split(reads, [y, scratch]);
        let (x, residual, y) = part.operands(lanes, x, residual, y);
        let args = FusedArgs { x, w: [dw_w, pw_w], bias: [dw_bias, pw_bias], residual, y };
        let (pair, _) = pair.rows(part.rows.clone());
        let blocks = blocks.for_rows(part.rows.len(), cores);
        (kernel.run_part)(&pair, &blocks, part.planes, args, Ctx { pool, scratch });
    };
    lowering.by_rows(ByRows {
        problem: pair.depthwise,
        x,
        y,
        residual,
        weights: pw_w,
        lanes,
        channels: pair.pointwise.oc,
        band: 1,
        run: Box::new(run),
    });
    Ok(true)
}

/// The schedule's choice for the pair, or the chooser's; `None` where the schedule names a kernel for one of the two by
/// itself.
fn choice(lowering: &mut Lowering<'_>, layers: [Layer<'_>; 2], pair: &Problem) -> Option<Choice> {
    match layers.map(|layer| lowering.schedule.get(lowering.name(layer))) {
        [_, Some(Choice::Fused(..))] => lowering.choose(layers[1], pair),
        [None, None] => schedule::default(pair, lowering.cpu),
        [_, _] => None,
    }
}
