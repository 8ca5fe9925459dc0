//! Lowering of what moves channels of images that stand blocked: concatenation and split where no block begins, and
//! channel shuffle.

use tilewise_graph::{Op, ValueId};
use tilewise_kernels::Ctx;
use tilewise_kernels::movement::{self, ChannelCopy};

use super::{Layer, Layout, Lowering, NewStep};
use crate::PlanError;
use crate::plan::BufferId;

/// Lowers the concatenation of channels of images, each part with its number of channels: one step a part.
pub(super) fn lower_ragged_concat(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    parts: &[(ValueId, usize)],
    y: ValueId,
) -> Result<bool, PlanError> {
    let &[n, channels, h, w] = &*lowering.shape(y) else { return Ok(false) };
    let sources: Vec<BufferId> =
        parts.iter().map(|&(id, _)| lowering.buffer(id, Layout::Blocked)).collect::<Result<_, _>>()?;
    let whole = lowering.make(y, Layout::Blocked)?;
    let mut start = 0;
    for (&(_, count), source) in parts.iter().zip(sources) {
        let from = |c: usize| c.checked_sub(start).filter(|&c| c < count);
        let copy = ChannelCopy::new(lowering.cpu.tier, [n, h * w], [count, channels], from);
        push(lowering, layer, &[], copy, [source, whole]);
        start += count;
    }
    Ok(true)
}

/// Lowers the cut of an image's channels into parts of given lengths: one step a part.
pub(super) fn lower_ragged_split(
    lowering: &mut Lowering<'_>,
    layer: Layer<'_>,
    x: ValueId,
    parts: &[usize],
) -> Result<bool, PlanError> {
    let &[n, channels, h, w] = &*lowering.shape(x) else { return Ok(false) };
    let source = lowering.buffer(x, Layout::Blocked)?;
    let mut start = 0;
    for (&y, &count) in layer.node.outputs.iter().zip(parts) {
        let copy = ChannelCopy::new(lowering.cpu.tier, [n, h * w], [channels, count], |c| Some(start + c));
        let y = lowering.make(y, Layout::Blocked)?;
        push(lowering, layer, &[], copy, [source, y]);
        start += count;
    }
    Ok(true)
}

/// Lowers a channel shuffle as networks write it: a reshape that parts the channels in groups, a transpose that
/// exchanges groups and members, and a reshape back; returns false for other reshapes.
pub(super) fn lower_shuffle(lowering: &mut Lowering<'_>, layer: Layer<'_>) -> Result<bool, PlanError> {
    let Some((groups, x, layers)) = shuffle(lowering, layer) else { return Ok(false) };
    let [parted, exchanged, joined] = layers;
    let (&[n, channels, h, w], Some(&y)) = (&*lowering.shape(x), joined.node.outputs.first()) else {
        return Ok(false);
    };
    let members = channels / groups;
    let from = |c: usize| Some(c % groups * members + c / groups);
    let copy = ChannelCopy::new(lowering.cpu.tier, [n, h * w], [channels, channels], from);
    let (x, y) = (lowering.buffer(x, Layout::Blocked)?, lowering.make(y, Layout::Blocked)?);
    push(lowering, joined, &[parted, exchanged], copy, [x, y]);
    Ok(true)
}

/// The groups, the input and the three layers of a channel shuffle of a blocked value that begins with `parted`.
fn shuffle<'l>(lowering: &Lowering<'l>, parted: Layer<'l>) -> Option<(usize, ValueId, [Layer<'l>; 3])> {
    let x = parted.input(0)?;
    let exchanged = lowering.sole_reader(parted)?;
    let joined = lowering.sole_reader(exchanged)?;
    let shape = lowering.shape(x);
    let [n, channels, ..] = shape[..] else { return None };
    let middle = lowering.shape(*parted.node.outputs.first()?);
    let [_, groups, members, ref pixels @ ..] = middle[..] else { return None };
    let (Op::Transpose(op), Op::Reshape(_)) = (&exchanged.node.op, &joined.node.op) else { return None };
    let order = op.order(middle.len()).ok()?;
    let exchanges = order.iter().copied().eq([0, 2, 1].into_iter().chain(3..middle.len()));
    let fits = middle[0] == n
        && groups * members == channels
        && shape[2..].iter().product::<usize>() == pixels.iter().product::<usize>();
    let back = lowering.shape(*joined.node.outputs.first()?) == shape;
    let blocked = shape.len() == 4 && lowering.home(x) == Layout::Blocked;
    (exchanges && fits && back && blocked).then_some((groups, x, [parted, exchanged, joined]))
}

fn push(lowering: &mut Lowering<'_>, layer: Layer<'_>, with: &[Layer<'_>], copy: ChannelCopy, [x, y]: [BufferId; 2]) {
    let kernel = movement::choose_channels(lowering.cpu.tier);
    lowering.push(NewStep {
        layer,
        with,
        op: with.first().map_or(layer.node.op.name(), |_| "Shuffle"),
        kernel: kernel.id.name,
        decision: None,
        macs: 0,
        reads: &[x],
        writes: &[y],
        run: Box::new(move |memory| {
            let pool = memory.pool;
            let ([x], [y]) = memory.split([x], [y]);
            (kernel.run)(&copy, x, y, Ctx { pool, scratch: &mut [] });
            Ok(())
        }),
    });
}
