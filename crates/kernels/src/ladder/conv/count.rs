//! What convolutions move, by count.

use crate::conv::ConvKernel;
use crate::gemm::Gemm;
use crate::ladder::gemm::packed_traffic;
use crate::ladder::nest::{Loop, Nest, Operand, Traffic, loops};
use crate::{Conv2d, Cpu};

const OC: usize = 0;
const OH: usize = 1;
const OW: usize = 2;
const IC: usize = 3;
const KH: usize = 4;
const KW: usize = 5;

/// How an image and its weights stand in memory.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Rows of pixels.
    Planar,
    /// Pixels of channels, as in blocks of a vector.
    Blocked,
}

/// A nest over one image; planes of a depthwise convolution are its output channels.
fn nest(p: &Conv2d, order: Order, loops: Vec<Loop>, blocked: usize) -> Nest {
    let channel = if p.is_depthwise() { OC } else { IC };
    let axis = |out, tap, a: usize| vec![(out, p.stride[a]), (tap, p.dilation[a])];
    let mut x = Operand { axes: vec![vec![(channel, 1)], axis(OH, KH, 0), axis(OW, KW, 1)], written: false };
    let mut w = Operand::plain([OC, IC, KH, KW]);
    let mut y = Operand::plain([OC, OH, OW]).written();
    if order == Order::Blocked {
        [&mut x, &mut w, &mut y].into_iter().for_each(|operand| operand.axes.rotate_left(1));
    }
    Nest { extents: vec![p.oc, p.oh(), p.ow(), p.ic / p.groups, p.kh, p.kw], loops, operands: vec![x, w, y], blocked }
}

/// Each output one sum.
pub(in crate::ladder) fn naive(p: &Conv2d) -> Nest {
    nest(p, Order::Planar, loops([(OC, 1), (OH, 1), (OW, 1), (IC, 1), (KH, 1), (KW, 1)]), 0)
}

/// Rows of outputs innermost.
pub(in crate::ladder) fn direct(p: &Conv2d) -> Nest {
    nest(p, Order::Planar, loops([(OC, 1), (OH, 1), (IC, 1), (KH, 1), (KW, 1), (OW, 1)]), 0)
}

/// The image is read and the columns are written, and read by the product.
pub(super) fn im2col(p: &Conv2d, product: &Gemm, cpu: &Cpu) -> Traffic {
    let made = Traffic::first(p.ic * p.ih * p.iw).then(Traffic::again(product.k * product.n, cpu));
    made.then(packed_traffic(product, cpu))
}

/// A kernel of the engine: register tiles in its blocks, or transforms around such. `None` for a transform whose size
/// its name does not tell.
pub(in crate::ladder) fn kernel(p: &Conv2d, row: &ConvKernel, cpu: &Cpu) -> Option<Traffic> {
    let (blocks, [pixels, width]) = ((row.blocks)(p, cpu), row.id.tile);
    let op = row.id.op;
    if op.starts_with("conv-winograd") || op.starts_with("conv-fft") {
        return transformed(p, square(op, p.kh)?, row, cpu);
    }
    // A depthwise kernel has the taps of a vector of channels in registers.
    let (width, pixels) = if p.is_depthwise() { (row.id.tier.lanes(), pixels) } else { (width, pixels) };
    let order = [
        (OH, blocks.rows.max(1)),
        (OC, blocks.oc.max(width)),
        (OC, width),
        (IC, blocks.ic.max(1)),
        (OH, 1),
        (OW, pixels),
        (IC, 1),
        (KH, 1),
        (KW, 1),
    ];
    Some(nest(p, Order::Blocked, loops(order), 4).traffic(cpu))
}

/// Outputs and inputs along one side of a transformed square, from a name such as `conv-winograd4`,
/// `conv-winograd4r5` (both 4 outputs) or `conv-fft16` (16 inputs).
fn square(op: &str, taps: usize) -> Option<[usize; 2]> {
    let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok();
    if let Some(outputs) = op.strip_prefix("conv-winograd").and_then(number) {
        return Some([outputs, outputs + taps - 1]);
    }
    let inputs = op.strip_prefix("conv-fft").and_then(number)?;
    Some([(inputs + 1).checked_sub(taps).filter(|&outputs| outputs > 0)?, inputs])
}

/// Squares of inputs are transformed, multiplied at each of their `n x n` positions, and transformed back. What stands
/// between the parts stays in L2.
fn transformed(p: &Conv2d, [m, n]: [usize; 2], row: &ConvKernel, cpu: &Cpu) -> Option<Traffic> {
    const SQUARE: usize = 0;
    const CHANNEL: usize = 1;
    const DEPTH: usize = 2;
    const POSITION: usize = 3;
    let squares = p.oh().div_ceil(m) * p.ow().div_ceil(m);
    let blocks = (row.blocks)(p, cpu);
    let ([high, wide], block) = (row.id.tile, blocks.rows.clamp(1, squares));
    let operands = vec![
        Operand::plain([POSITION, SQUARE, DEPTH]),
        Operand::plain([POSITION, CHANNEL, DEPTH]),
        Operand::plain([POSITION, SQUARE, CHANNEL]).written(),
    ];
    let order = [(SQUARE, block), (CHANNEL, wide), (POSITION, 1), (SQUARE, high), (DEPTH, 1)];
    let extents = vec![squares, p.oc, p.ic, n * n];
    let mut products = Nest { extents, loops: loops(order), operands, blocked: 1 }.traffic(cpu);
    let weights = n * n * p.ic * p.oc;
    let image = p.ic * p.ih * p.iw + p.oc * p.oh() * p.ow();
    let values = squares * n * n * (p.ic + p.oc);
    // Beyond L2 there are the weights, again for each block of squares where the level before does not hold them.
    let readings = |cache: usize| if weights * 4 > cache { squares.div_ceil(block) } else { 1 };
    products.served[2] = (weights * 4 * readings(cpu.l2.size)) as f64;
    products.served[3] = (weights * 4 * readings(cpu.l3.size)) as f64;
    let mut all = products.then(Traffic::first(image));
    all.served[..2].iter_mut().for_each(|bytes| *bytes += (values * 4) as f64);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_squares() {
        let cases = [
            ("conv-winograd2", 3, Some([2, 4])),
            ("conv-winograd4r5", 5, Some([4, 8])),
            ("conv-fft16", 7, Some([10, 16])),
            ("conv-fft8", 11, None),
            ("conv-fft", 3, None),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(op, taps, want)| square(op, *taps) != *want).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
