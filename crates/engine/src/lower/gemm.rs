//! Lowering of matrix products: Gemm and MatMul.

use tilewise_graph::{ValueId, ops};
use tilewise_kernels::gemm::{Gemm, GemmArgs, Offsets, Rhs, Strides};
use tilewise_kernels::{Ctx, Epilogue};
use tilewise_tensor::{broadcast, broadcast_position, numel};

use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::{BufferId, Form};
use crate::schedule::{Choice, Decision, Problem};

/// Values of a right operand that are packed at a time: 16 MiB.
const PACKED_AT_ONCE: usize = 4 << 20;

/// A matrix product of the graph, ready for a kernel.
struct Product {
    problem: Gemm,
    batch: Vec<Offsets>,
    a: ValueId,
    b: ValueId,
    bias: Option<ValueId>,
    residual: Option<ValueId>,
}

/// Lowers `act(alpha A B + beta C)` of two matrices; returns false where C broadcasts in a way that is neither a
/// value a column nor a whole matrix.
pub(super) fn lower_gemm(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Gemm) -> Result<bool, PlanError> {
    let (Some(a), Some(b)) = (layer.input(0), layer.input(1)) else { return Ok(false) };
    let (&[ar, ac], &[br, bc]) = (&*lowering.shape(a), &*lowering.shape(b)) else { return Ok(false) };
    let ([m, k], [_, n]) = (op.left([ar, ac]), op.right([br, bc]));
    let c = layer.input(2).filter(|_| op.beta != 0.0);
    let shape = c.map(|c| lowering.shape(c)).unwrap_or_default();
    let row = shape == [n] || shape == [1, n];
    let constant = c.is_some_and(|c| lowering.graph.constant(c).is_some());
    let (bias, residual) = match c {
        None => (None, None),
        Some(c) if op.beta == 1.0 && row && constant => (Some(c), None),
        Some(c) if op.beta == 1.0 && shape == [m, n] => (None, Some(c)),
        Some(_) => return Ok(false),
    };
    let strides = |transposed: bool, columns: usize| match transposed {
        true => Strides { row: 1, col: columns },
        false => Strides { row: columns, col: 1 },
    };
    let epilogue = Epilogue { bias: bias.is_some(), residual: residual.is_some(), act: op.activation };
    let problem = Gemm { m, n, k, a: strides(op.transA, ac), b: strides(op.transB, bc), alpha: op.alpha, epilogue };
    push(lowering, layer, Product { problem, batch: vec![Offsets::default()], a, b, bias, residual })
}

/// Lowers a batch of products with NumPy's broadcasting; returns false for operands of one axis.
pub(super) fn lower_matmul(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::MatMul) -> Result<bool, PlanError> {
    let (Some(a), Some(b)) = (layer.input(0), layer.input(1)) else { return Ok(false) };
    let (bias, residual) = (layer.input(2), layer.input(3));
    let (ashape, bshape) = (lowering.shape(a), lowering.shape(b));
    let (&[ref abatch @ .., m, k], &[ref bbatch @ .., _, n]) = (&*ashape, &*bshape) else { return Ok(false) };
    if bias.is_some_and(|id| lowering.graph.constant(id).is_none() || lowering.shape(id) != [n]) {
        return Ok(false);
    }
    let epilogue = Epilogue { bias: bias.is_some(), residual: residual.is_some(), act: op.activation };
    let mut problem =
        Gemm { m, n, k, a: Strides { row: k, col: 1 }, b: Strides { row: n, col: 1 }, alpha: 1.0, epilogue };
    let batch = if bbatch.iter().all(|&d| d == 1) && bbatch.len() <= abatch.len() {
        // One right operand for all: the batch is more rows.
        problem.m *= numel(abatch).unwrap_or(0);
        vec![Offsets::default()]
    } else {
        let Some(shape) = broadcast(abatch, bbatch) else { return Ok(false) };
        let start = |from: &[usize], at: usize, size: usize| broadcast_position(from, &shape, at) * size;
        let count = numel(&shape).unwrap_or(0);
        (0..count).map(|i| Offsets { a: start(abatch, i, m * k), b: start(bbatch, i, k * n), c: i * m * n }).collect()
    };
    push(lowering, layer, Product { problem, batch, a, b, bias, residual })
}

fn push(lowering: &mut Lowering<'_>, layer: Layer<'_>, product: Product) -> Result<bool, PlanError> {
    let Product { problem, batch, a, b, bias, residual } = product;
    let Some(&y) = layer.node.outputs.first() else { return Ok(false) };
    let packed = lowering.graph.constant(b).is_some() && batch.len() == 1;
    let asked = Problem::Gemm { problem, count: batch.len(), packed };
    lowering.ask(layer, None, asked);
    let Some(choice @ Choice::Gemm(kernel, blocks)) = lowering.choose(layer, &asked) else { return Ok(false) };
    let a = lowering.buffer(a, Layout::Plain)?;
    let b = if packed {
        let Strides { row, col } = problem.b;
        let form = Form { name: kernel.id.name, sizes: vec![problem.k, problem.n, row, col] };
        // Columns that stand one after the other are packed in parts of whole panels.
        let panel = kernel.id.tile[1];
        let step = if row == 1 { (PACKED_AT_ONCE / problem.k.max(1) / panel).max(1) * panel } else { usize::MAX };
        lowering.packed_by_rows(b, form, (kernel.packed_b_len)(&problem), step, move |part, b, packed| {
            let (n, at) = if row == 1 { (part.len(), part.start * problem.k) } else { (problem.n, 0) };
            (kernel.pack_b)(&Gemm { n, ..problem }, b, &mut packed[at..]);
        })
    } else {
        lowering.buffer(b, Layout::Plain)?
    };
    let bias = bias.map_or(BufferId::NONE, |id| lowering.bias(id, problem.n));
    let residual = residual.map_or(Ok(BufferId::NONE), |id| lowering.buffer(id, Layout::Plain))?;
    let scratch = lowering.scratch((kernel.scratch_len)(&problem, &blocks, packed, lowering.cpu.cores));
    let c = lowering.make(y, Layout::Plain)?;
    lowering.push(NewStep {
        layer,
        with: &[],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: Some(Decision { problem: asked, choice }),
        macs: asked.macs(),
        reads: &[a, b, bias, residual],
        writes: &[c, scratch],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([a, b, bias, residual], [c, scratch]) = memory.split([a, b, bias, residual], [c, scratch]);
            let b = if packed { Rhs::Packed(b) } else { Rhs::Plain(b) };
            let args = GemmArgs { a, b, bias, residual, c, batch: &batch };
            (kernel.run)(&problem, &blocks, args, Ctx { pool, scratch });
            Ok(())
        }),
    });
    Ok(true)
}
