//! Loop blocks of the direct kernels: what stays in which cache, and how work is cut for the cores.

use super::nest::ConvStage;
use super::strip::Input;
use crate::conv::ConvBlocks;
use crate::nest::Order;
use crate::{Conv2d, Cpu};

/// Bytes of an f32.
const F32: usize = size_of::<f32>();

/// Cycles until another core has taken up a task: about a microsecond.
const DISPATCH: u64 = 4000;

/// Blocks for tiles of `pixels` pixels by `width` output channels in vectors of `lanes`, over input pixels of `x_lanes`
/// elements.
///
/// The input channels are those of a [`pass`]. The strips are those of [`strips`]. Where the cores are not evenly busy, strips
/// become shorter or output channels are shared out, whichever costs less.
pub(super) fn blocks(p: &Conv2d, cpu: &Cpu, x_lanes: usize, [pixels, width]: [usize; 2], lanes: usize) -> ConvBlocks {
    let ocg = p.oc / p.groups;
    let ic = pass(p, cpu, x_lanes, [pixels, width]);
    let (most, order) = strips(p, cpu, ic);
    let fewest = p.oh().div_ceil(most);
    let input = Input::new(p, x_lanes);
    let mut best = (u64::MAX, ConvBlocks::default());
    for strips in fewest..=p.oh().min(fewest + 4 * cpu.cores.saturating_sub(1)) {
        let rows = p.oh().div_ceil(strips);
        for parts in 1..=cpu.cores.max(1) {
            let oc = ocg.div_ceil(parts).next_multiple_of(width);
            let tasks = p.n * p.groups * p.oh().div_ceil(rows) * ocg.div_ceil(oc);
            let rounds = tasks.div_ceil(cpu.cores.max(1)) as u64;
            let start = if tasks > 1 { DISPATCH } else { 0 };
            let time = start + rounds * task_cost(p, &input, rows, oc.min(ocg), lanes);
            if time < best.0 {
                best = (time, ConvBlocks { rows, oc, ic, order });
            }
        }
    }
    best.1
}

/// The most output rows of a strip, and the order of the loops.
///
/// By default all input of a strip fills at most half of L2, so that it stays while the weights pass. A deep image is cut
/// into many such strips, each of which reads all weights again. Where these do not stay in L2, input channels go
/// outermost if that makes fewer strips: then a pass of the input and the sums fill that half.
fn strips(p: &Conv2d, cpu: &Cpu, ic: usize) -> (usize, Order<ConvStage>) {
    let (icg, ocg, near) = (p.ic / p.groups, p.oc / p.groups, cpu.l2.size / 2);
    let row = |channels: usize| channels * p.iw * p.stride[0] * F32;
    let most = |row: usize, beside: usize| (near / row).saturating_sub(beside).clamp(1, p.oh());
    let whole = most(row(icg), p.reach()[0] - 1);
    let passes = most(row(ic) + ocg * p.ow() * F32, (p.reach()[0] - 1).min(1));
    let is_again = p.oh().div_ceil(passes) < p.oh().div_ceil(whole) && icg * ocg * p.kh * p.kw * F32 > near;
    match is_again {
        true => {
            (passes, Order::of(&[ConvStage::Ic, ConvStage::PackX, ConvStage::Oc, ConvStage::Row, ConvStage::Pixel]))
        }
        false => (whole, Order::default()),
    }
}

/// Input channels that a block of output channels takes at a time: their weights stay in L1 while the pixels of a strip
/// pass, beside the rows of pixels of a tile and of the next, which come near meanwhile.
pub(in crate::conv) fn pass(p: &Conv2d, cpu: &Cpu, x_lanes: usize, [pixels, width]: [usize; 2]) -> usize {
    let icg = p.ic / p.groups;
    let near = (p.kh * p.kw * width + 2 * p.kh * pixels) * F32;
    let most = (cpu.l1d.size / near).max(x_lanes) / x_lanes * x_lanes;
    icg.div_ceil(icg.div_ceil(most)).next_multiple_of(x_lanes)
}

/// Vector operations of one task: its multiply-adds, the copy of its strip (a load and a store count as three, being
/// mostly misses of L1), and reading its weights from L3 (a vector takes about four).
fn task_cost(p: &Conv2d, input: &Input, rows: usize, oc: usize, lanes: usize) -> u64 {
    let depth = p.ic / p.groups * p.kh * p.kw;
    let vectors = oc.div_ceil(lanes);
    let macs = rows * p.ow() * depth * vectors;
    (macs + 3 * input.strip_len(rows) / lanes + 4 * depth * vectors) as u64
}
