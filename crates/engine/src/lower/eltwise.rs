//! Lowering of elementwise operators: functions of one number, and arithmetic of two operands with broadcasting.

use tilewise_graph::{Op, ValueId, ops};
use tilewise_kernels::eltwise::{self, AffineProblem, BinaryProblem, Broadcast};
use tilewise_kernels::{Ctx, Unary};

use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::BufferId;

/// Lowers `y = f(x)`, in the layout in which x stands.
pub(super) fn lower_unary(lowering: &mut Lowering<'_>, layer: Layer<'_>, f: Unary) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    let layout = lowering.home(x);
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    let kernel = eltwise::choose_unary(lowering.cpu.tier);
    lowering.push_map(layer, kernel.id.name, [x, y], 0, move |x, y, ctx| (kernel.run)(f, x, y, ctx));
    Ok(true)
}

/// Lowers `f(a, b)`; returns false for functions without a kernel and for shapes that take too many loops.
pub(super) fn lower_binary(lowering: &mut Lowering<'_>, layer: Layer<'_>, f: ops::BinaryFn) -> Result<bool, PlanError> {
    let op = match f {
        ops::BinaryFn::Add => eltwise::Binary::Add,
        ops::BinaryFn::Sub => eltwise::Binary::Sub,
        ops::BinaryFn::Mul => eltwise::Binary::Mul,
        ops::BinaryFn::Div => eltwise::Binary::Div,
        ops::BinaryFn::Min => eltwise::Binary::Min,
        ops::BinaryFn::Max => eltwise::Binary::Max,
        ops::BinaryFn::Pow => eltwise::Binary::Pow,
        ops::BinaryFn::PRelu => eltwise::Binary::PRelu,
        ops::BinaryFn::Mod | ops::BinaryFn::FMod => return Ok(false),
    };
    if f == ops::BinaryFn::Mul && lower_affine(lowering, layer)? {
        return Ok(true);
    }
    let (act, last) = lowering.activation(layer);
    let (Some(a), Some(b), Some(&y)) = (layer.input(0), layer.input(1), last.node.outputs.first()) else {
        return Ok(false);
    };
    let layout = common_layout(lowering, [a, b], y);
    let [(a, ashape), (b, bshape)] = [operand(lowering, a, y, layout)?, operand(lowering, b, y, layout)?];
    let Some(broadcast) = Broadcast::new(&ashape, &bshape) else { return Ok(false) };
    let problem = BinaryProblem { op, act, broadcast };
    let y = lowering.make(y, layout)?;
    let kernel = eltwise::choose_binary(lowering.cpu.tier);
    lowering.push(NewStep {
        layer: last,
        with: &[layer][..usize::from(last.id != layer.id)],
        op: layer.node.op.name(),
        kernel: kernel.id.name,
        decision: None,
        macs: 0,
        reads: &[a, b],
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([a, b], [y]) = memory.split([a, b], [y]);
            (kernel.run)(&problem, a, b, y, Ctx { pool, scratch: &mut [] });
            Ok(())
        }),
    });
    Ok(true)
}

/// Lowers a product with one factor a channel, the sum with one offset a channel that alone reads it, and the function
/// that alone reads that, as one step; returns false where the product is none of these.
fn lower_affine(lowering: &mut Lowering<'_>, product: Layer<'_>) -> Result<bool, PlanError> {
    let Some(sum) = lowering.sole_reader(product) else { return Ok(false) };
    let (Some(&made), Op::Binary(ops::Binary(ops::BinaryFn::Add))) = (product.node.outputs.first(), &sum.node.op)
    else {
        return Ok(false);
    };
    let (Some((x, scale)), Some((from, shift))) = (by_channel(lowering, product), by_channel(lowering, sum)) else {
        return Ok(false);
    };
    let (act, last) = lowering.activation(sum);
    let (true, &[n, c, h, w], Some(&y)) = (from == made, &*lowering.shape(x), last.node.outputs.first()) else {
        return Ok(false);
    };
    let (layout, lanes) = (lowering.home(x), lowering.lanes());
    let kernel = eltwise::choose_affine(lowering.cpu.tier);
    let (run, period, scale, shift) = match layout {
        Layout::Plain => {
            let [scale, shift] = [lowering.buffer(scale, layout)?, lowering.buffer(shift, layout)?];
            (kernel.planar, c, scale, shift)
        }
        Layout::Blocked => {
            let shape = [1, c, 1, 1];
            let [scale, shift] = [lowering.blocked_constant(scale, &shape), lowering.blocked_constant(shift, &shape)];
            (kernel.blocked, c.div_ceil(lanes), scale, shift)
        }
    };
    let problem = AffineProblem { planes: n * period, period, pixels: h * w, act };
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    lowering.push(NewStep {
        layer: last,
        with: &[product, sum][..if last.id == sum.id { 1 } else { 2 }],
        op: "Affine",
        kernel: kernel.id.name,
        decision: None,
        macs: 0,
        reads: &[x, scale, shift],
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x, scale, shift], [y]) = memory.split([x, scale, shift], [y]);
            run(&problem, x, scale, shift, y, Ctx { pool, scratch: &mut [] });
            Ok(())
        }),
    });
    Ok(true)
}

/// The operand with many pixels, and the constant with one value for each of its channels.
fn by_channel(lowering: &Lowering<'_>, layer: Layer<'_>) -> Option<(ValueId, ValueId)> {
    let (a, b) = (layer.input(0)?, layer.input(1)?);
    [(a, b), (b, a)].into_iter().find(|&(x, constant)| {
        let (shape, of_constant) = (lowering.shape(x), lowering.shape(constant));
        let wanted = |&[_, c, _, _]: &[usize; 4]| channel_shape(&of_constant, 4) == [1, c, 1, 1];
        lowering.graph.constant(constant).is_some()
            && lowering.graph.constant(x).is_none()
            && <&[usize; 4]>::try_from(&*shape).is_ok_and(wanted)
    })
}

/// Blocked where an operand of the output's shape stands so and the other one can be brought to that.
fn common_layout(lowering: &Lowering<'_>, operands: [ValueId; 2], y: ValueId) -> Layout {
    let shape = lowering.shape(y);
    let full = |id: ValueId| lowering.shape(id) == shape && lowering.home(id) == Layout::Blocked;
    let fits = |id: ValueId| match *channel_shape(&lowering.shape(id), shape.len()) {
        // One value a channel, or the same for all channels.
        [_, c, _, _] => c == 1 || c == shape[1],
        _ => false,
    };
    let constant_or_rank4 = |id: ValueId| {
        let rank = lowering.shape(id).len();
        rank == 4 || lowering.graph.constant(id).is_some() || rank == 0
    };
    let blocked = operands.iter().any(|&id| full(id)) && operands.iter().all(|&id| fits(id) && constant_or_rank4(id));
    if blocked { Layout::Blocked } else { Layout::Plain }
}

/// A shape with axes of length 1 before it up to `rank`, as broadcasting sees it.
fn channel_shape(shape: &[usize], rank: usize) -> Vec<usize> {
    let lead = rank.saturating_sub(shape.len());
    std::iter::repeat_n(1, lead).chain(shape.iter().copied()).collect()
}

/// An operand as a buffer and the shape of the array in it.
fn operand(
    lowering: &mut Lowering<'_>,
    id: ValueId,
    y: ValueId,
    layout: Layout,
) -> Result<(BufferId, Vec<usize>), PlanError> {
    let shape = lowering.shape(id);
    if layout == Layout::Plain {
        return Ok((lowering.buffer(id, Layout::Plain)?, shape));
    }
    let full = channel_shape(&shape, lowering.shape(y).len());
    let &[n, c, h, w] = &*full else { return Ok((BufferId::NONE, shape)) };
    if c == 1 {
        // A row-major array is the same with a fifth axis of length 1.
        return Ok((lowering.buffer(id, Layout::Plain)?, vec![n, 1, h, w, 1]));
    }
    let lanes = lowering.lanes();
    let buffer =
        if shape.len() == 4 { lowering.buffer(id, Layout::Blocked)? } else { lowering.blocked_constant(id, &full) };
    Ok((buffer, vec![n, c.div_ceil(lanes), h, w, lanes]))
}
