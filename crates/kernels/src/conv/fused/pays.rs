//! Where fusing pays, and how large its strips are: functions of problem and machine, in cycles of one vector
//! multiply-add each.

use crate::conv::ConvBlocks;
use crate::conv::direct::blocks::pass;
use crate::{Cpu, DepthwisePointwise};

/// Bytes of an f32.
const F32: usize = size_of::<f32>();

/// Cycles of reading a vector from L3, as weights are when a strip reads them for the first time.
fn vector(cpu: &Cpu) -> usize {
    cpu.tier.lanes() * F32 / cpu.read_rates.l3
}

/// Blocks for register tiles of `tile`, pixels by output channels, in vectors of `lanes`.
///
/// The input channels are those of the pointwise kernel. A strip fills at most a fifth of L2, which leaves room for the input rows that it is made of (at stride 2
/// twice as many numbers), for the output and for the weights that pass. It is as high as that allows, since each strip
/// reads all weights, unless cores would be idle.
pub(super) fn blocks(p: &DepthwisePointwise, cpu: &Cpu, tile: [usize; 2], lanes: usize) -> ConvBlocks {
    let (ic, oh) = (p.pointwise.ic, p.pointwise.ih);
    let row_bytes = ic.next_multiple_of(lanes) * p.pointwise.iw * F32;
    let fewest = oh.div_ceil((cpu.l2.size / 5 / row_bytes).max(1));
    let heights = (fewest..=oh.min(fewest + 4 * cpu.cores.saturating_sub(1))).map(|strips| oh.div_ceil(strips));
    let rows = heights.min_by_key(|&rows| fused(p, cpu, rows)).unwrap_or(oh);
    let ic = pass(&p.pointwise, cpu, lanes, tile);
    ConvBlocks { rows, oc: p.pointwise.oc, ic, ..ConvBlocks::default() }
}

/// True where the fused kernel of the machine's tier is expected to beat the depthwise and the pointwise kernel one
/// after the other by more than a hundredth: below that the two are left their own choices of tiles and blocks.
///
/// These write what stands between them, and read it again: in L2, which hardly costs, or in L3 where the input that is read
/// meanwhile drives it out. In return they may share the output channels out among the cores, where the fused kernel has only strips of rows, each
/// of which reads all weights: many cores on a small image with many channels are better off with two steps.
pub fn pays(p: &DepthwisePointwise, cpu: &Cpu) -> bool {
    let kernel = super::choose(cpu.tier);
    let together = fused(p, cpu, (kernel.blocks)(p, cpu).rows);
    100 * together < 99 * apart(p, cpu, &(kernel.pointwise.blocks)(&p.pointwise, cpu))
}

/// Cycles of the fused kernel with strips of `rows`.
fn fused(p: &DepthwisePointwise, cpu: &Cpu, rows: usize) -> usize {
    let task = |rows| sweep(p, cpu, rows) + multiply(p, cpu, rows, p.pointwise.oc);
    spread(cpu, p.pointwise.n, [p.pointwise.ih, rows], task)
}

/// Cycles of the two kernels, and of what they hand over, with the blocks of the pointwise one.
fn apart(p: &DepthwisePointwise, cpu: &Cpu, blocks: &ConvBlocks) -> usize {
    let (n, oc, oh) = (p.pointwise.n, p.pointwise.oc, p.pointwise.ih);
    let planes = n * p.pointwise.ic.div_ceil(cpu.tier.lanes());
    let (read, vectors) = (planes * p.depthwise.ih * p.depthwise.iw, planes * oh * p.pointwise.iw);
    // A store and a load where they reach L3. In L2 they pass beside the multiply-adds.
    let far = (read + vectors) * cpu.tier.lanes() * F32 > cpu.l2.size;
    let between = if far { 2 * vectors * vector(cpu) } else { 0 };
    let first = (n * sweep(p, cpu, oh) + between).div_ceil(cpu.cores.max(1));
    let task = |rows| multiply(p, cpu, rows, blocks.oc.min(oc));
    first + spread(cpu, n * oc.div_ceil(blocks.oc), [oh, blocks.rows.min(oh)], task)
}

/// Time until all cores are done with `copies` of `oh` rows each, in tasks of `rows` and one of what is left over.
fn spread(cpu: &Cpu, copies: usize, [oh, rows]: [usize; 2], task: impl Fn(usize) -> usize) -> usize {
    let cores = cpu.cores.max(1);
    let full = copies * (oh / rows);
    if oh % rows == 0 {
        return full.div_ceil(cores) * task(rows);
    }
    // Shorter tasks go to cores that are idle in the last round of the others.
    let idle = full.next_multiple_of(cores) - full;
    full.div_ceil(cores) * task(rows) + copies.saturating_sub(idle).div_ceil(cores) * task(oh % rows)
}

/// Cycles of some rows of the depthwise output.
fn sweep(p: &DepthwisePointwise, cpu: &Cpu, rows: usize) -> usize {
    let vectors = p.depthwise.oc.div_ceil(cpu.tier.lanes());
    rows * p.depthwise.ow() * p.depthwise.kh * p.depthwise.kw * vectors
}

/// Cycles of some output channels of some rows of the pointwise output.
fn multiply(p: &DepthwisePointwise, cpu: &Cpu, rows: usize, oc: usize) -> usize {
    let weights = p.pointwise.ic * oc.div_ceil(cpu.tier.lanes());
    rows * p.pointwise.iw * weights + vector(cpu) * weights
}
