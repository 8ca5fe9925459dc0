//! Lowering of convolutions: the problem, the choice of a kernel, packed weights and the step.

use tilewise_graph::ValueId;
use tilewise_graph::ops;
use tilewise_kernels::conv::{self, ConvArgs, ConvKernel};
use tilewise_kernels::{Conv2d, Ctx, Epilogue, Pads};

use super::{Layer, Lowering, NewStep, fused};
use crate::PlanError;
use crate::plan::{BufferId, ByRows, Form, Part};
use crate::run::Memory;
use crate::schedule::{Choice, Decision, Problem};

/// Lowers a convolution over one or two spatial axes with constant weights; returns false for others.
pub(super) fn lower(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Conv) -> Result<bool, PlanError> {
    let Some(o) = Operands::of(lowering, layer, op)? else { return Ok(false) };
    if fused::lower(lowering, layer, &o)? {
        return Ok(true);
    }
    let asked = if lowering.shape(o.x).len() == 3 { Problem::FlatConv(o.problem) } else { Problem::Conv(o.problem) };
    lowering.ask(layer, None, asked);
    let Some(choice @ Choice::Conv(kernel, blocks)) = lowering.choose(layer, &asked) else { return Ok(false) };
    let problem = o.problem;
    let x = lowering.buffer(o.x, kernel.x.into())?;
    let residual = o.residual.map_or(Ok(BufferId::NONE), |id| lowering.buffer(id, kernel.y.into()))?;
    let [w, bias] = o.constants(lowering, kernel);
    let scratch = lowering.scratch((kernel.scratch_len)(&problem, &blocks, lowering.cpu.cores));
    let y = lowering.make(o.y, kernel.y.into())?;
    lowering.push(NewStep {
        layer,
        with: &[],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: Some(Decision { problem: asked, choice }),
        macs: problem.macs(),
        reads: &[x, w, bias, residual],
        writes: &[y, scratch],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x, w, bias, residual], [y, scratch]) = memory.split([x, w, bias, residual], [y, scratch]);
            (kernel.run)(&problem, &blocks, ConvArgs { x, w, bias, residual, y }, Ctx { pool, scratch });
            Ok(())
        }),
    });
    if let Some(run_part) = kernel.run_part {
        let cores = lowering.cpu.cores;
        let lanes = [if kernel.x == conv::Layout::Nchwc { lowering.lanes() } else { 1 }, lowering.lanes()];
        let run = move |memory: &mut Memory<'_>, part: &Part| {
            let pool = memory.pool;
            let ([x, w, bias, residual], [y, scratch]) = memory.split([x, w, bias, residual], [y, scratch]);
            let (x, residual, y) = part.operands(lanes, x, residual, y);
            let (problem, _) = problem.rows(part.rows.clone());
            let blocks = blocks.for_rows(part.rows.len(), cores);
            run_part(&problem, &blocks, part.planes, ConvArgs { x, w, bias, residual, y }, Ctx { pool, scratch });
        };
        lowering.by_rows(ByRows {
            problem,
            x,
            y,
            residual,
            weights: w,
            lanes,
            channels: problem.oc,
            band: kernel.band,
            run: Box::new(run),
        });
    }
    Ok(true)
}

/// A convolution that kernels can compute, and its operands.
pub(super) struct Operands {
    pub(super) problem: Conv2d,
    pub(super) x: ValueId,
    w: ValueId,
    bias: Option<ValueId>,
    pub(super) residual: Option<ValueId>,
    pub(super) y: ValueId,
}

impl Operands {
    /// The operands of a layer; `None` where weights or bias are computed, and for more than two spatial axes.
    pub(super) fn of(lowering: &Lowering<'_>, layer: Layer<'_>, op: &ops::Conv) -> Result<Option<Self>, PlanError> {
        let (Some(x), Some(w), Some(&y)) = (layer.input(0), layer.input(1), layer.node.outputs.first()) else {
            return Ok(None);
        };
        let (bias, residual) = (layer.input(2), layer.input(3));
        let constant = |id: ValueId| lowering.graph.constant(id).is_some();
        if !constant(w) || !bias.is_none_or(constant) {
            return Ok(None);
        }
        let problem = problem(lowering, layer, op, [x, w], [bias.is_some(), residual.is_some()])?;
        Ok(problem.map(|problem| Operands { problem, x, w, bias, residual, y }))
    }

    /// The weights as a kernel packs them, and the bias.
    pub(super) fn constants(&self, lowering: &mut Lowering<'_>, kernel: &ConvKernel) -> [BufferId; 2] {
        let p = &self.problem;
        let form = Form { name: kernel.id.name, sizes: vec![p.oc, p.ic, p.kh, p.kw, p.groups] };
        let (problem, pack) = (*p, kernel.pack);
        let w = lowering.packed_f32(self.w, form, (kernel.packed_len)(p), move |w, packed| pack(&problem, w, packed));
        let bias = self.bias.map_or(BufferId::NONE, |id| lowering.bias(id, p.oc));
        [w, bias]
    }
}

fn problem(
    lowering: &Lowering<'_>,
    layer: Layer<'_>,
    op: &ops::Conv,
    [x, w]: [ValueId; 2],
    [bias, residual]: [bool; 2],
) -> Result<Option<Conv2d>, PlanError> {
    let (xs, ws) = (lowering.shape(x), lowering.shape(w));
    let window = op.window(&xs[2..], &ws[2..]).map_err(|error| lowering.fail(layer, error))?;
    let pair = |values: &[usize], lead: usize| match *values {
        [w] => Some([lead, w]),
        [h, w] => Some([h, w]),
        _ => None,
    };
    let spatial = (pair(&window.input, 1), pair(&window.kernel, 1), pair(&window.strides, 1));
    let around = (pair(&window.dilations, 1), pair(&window.before, 0), pair(&window.after, 0));
    let ((Some([ih, iw]), Some([kh, kw]), Some(stride)), (Some(dilation), Some([top, left]), Some([bottom, right]))) =
        (spatial, around)
    else {
        return Ok(None);
    };
    let problem = Conv2d {
        n: xs[0],
        ic: xs[1],
        ih,
        iw,
        oc: ws[0],
        kh,
        kw,
        stride,
        dilation,
        pads: Pads { top, left, bottom, right },
        groups: op.group,
        epilogue: Epilogue { bias, residual, act: op.activation },
    };
    if problem.n == 0 {
        return Ok(None);
    }
    problem.validated().map(Some).map_err(|error| lowering.fail(layer, error))
}

impl Lowering<'_> {
    /// A constant of `len` values, filled up to whole vectors.
    pub(super) fn bias(&mut self, id: ValueId, len: usize) -> BufferId {
        // Kernels of every tier read it: the widest vector decides.
        let padded = len.next_multiple_of(16);
        self.packed_f32(id, Form { name: "bias", sizes: vec![len] }, padded, move |values, packed| {
            packed[..len].copy_from_slice(&values[..len]);
        })
    }
}
