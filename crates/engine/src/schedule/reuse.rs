//! What the loops of a nest use again: how much of each operand is inside each loop, and which cache keeps it.

use std::fmt;

use tilewise_kernels::conv::{ConvBlocks, ConvKernel, ConvStage};
use tilewise_kernels::gemm::{Gemm, GemmBlocks, GemmKernel, GemmStage};
use tilewise_kernels::nest::{AXES, Level, Nest, Stage};
use tilewise_kernels::{Conv2d, Cpu};

use super::cost::last_level;

/// An operand of a nest.
pub(super) struct Operand<S: 'static> {
    pub(super) name: &'static str,
    /// The loops that move it on.
    moved_by: &'static [S],
    /// Its bytes in a part of each axis.
    bytes: Box<dyn Fn([usize; AXES]) -> usize>,
}

/// A nest and its operands: what is multiplied with what, and the output.
pub(super) struct Reuse<S: 'static> {
    pub(super) nest: Nest<S>,
    pub(super) operands: [Operand<S>; 3],
}

/// The input, the weights and the output of one image and group of a convolution, where its loops are a nest.
pub(super) fn convolution(p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks) -> Option<Reuse<ConvStage>> {
    use ConvStage::{Ic, Oc, Pixel, Row};
    let nest = kernel.nest?(p, blocks);
    let p = *p;
    // Where nothing tells rows apart, the axis of pixels has them all.
    let is_flat = nest.extents(0)[Pixel as usize] != p.ow();
    let columns = move |pixels: usize| match pixels {
        _ if is_flat => pixels,
        pixels if pixels == p.ow() => p.iw,
        pixels => ((pixels - 1) * p.stride[1] + p.reach()[1]).min(p.iw),
    };
    let rows = move |rows: usize| ((rows - 1) * p.stride[0] + p.reach()[0]).min(p.ih);
    let part = |extents: [usize; AXES], axis: ConvStage| extents[axis as usize];
    let x = move |e| part(e, Ic) * rows(part(e, Row)) * columns(part(e, Pixel)) * size_of::<f32>();
    let w = move |e| part(e, Oc) * part(e, Ic) * p.kh * p.kw * size_of::<f32>();
    let y = move |e| part(e, Oc) * part(e, Row) * part(e, Pixel) * size_of::<f32>();
    let operands = [
        Operand { name: "input", moved_by: &[Ic, Row, Pixel], bytes: Box::new(x) },
        Operand { name: "weights", moved_by: &[Oc, Ic], bytes: Box::new(w) },
        Operand { name: "output", moved_by: &[Oc, Row, Pixel], bytes: Box::new(y) },
    ];
    Some(Reuse { nest, operands })
}

/// A, B and C of each of `count` products; `packed` tells whether B was packed at load.
pub(super) fn product(
    p: &Gemm,
    (count, packed): (usize, bool),
    (kernel, blocks): (&GemmKernel, &GemmBlocks),
    cpu: &Cpu,
) -> Reuse<GemmStage> {
    use GemmStage::{K, M, N};
    let (p, [mr, nr]) = (*p, kernel.id.tile);
    let nest = (kernel.nest)(&p, blocks, packed, count, cpu.cores.max(1));
    let rows = move |extents: [usize; AXES]| (extents[M as usize] * mr).min(p.m);
    let cols = move |extents: [usize; AXES]| (extents[N as usize] * nr).min(p.n);
    let a = move |e: [usize; AXES]| rows(e) * e[K as usize] * size_of::<f32>();
    let b = move |e: [usize; AXES]| cols(e) * e[K as usize] * size_of::<f32>();
    let c = move |e: [usize; AXES]| rows(e) * cols(e) * size_of::<f32>();
    let operands = [
        Operand { name: "A", moved_by: &[M, K], bytes: Box::new(a) },
        Operand { name: "B", moved_by: &[N, K], bytes: Box::new(b) },
        Operand { name: "C", moved_by: &[M, N], bytes: Box::new(c) },
    ];
    Reuse { nest, operands }
}

/// What all rounds of a loop use.
pub(super) struct Kept {
    operand: &'static str,
    bytes: usize,
    home: &'static str,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} KiB) from {}", self.operand, self.bytes.div_ceil(1024), self.home)
    }
}

impl<S: Stage> Reuse<S> {
    /// Bytes of an operand in the levels from number `depth` on.
    pub(super) fn bytes(&self, operand: usize, depth: usize) -> usize {
        (self.operands[operand].bytes)(self.nest.extents(depth))
    }

    /// Bytes of all operands in the levels from number `depth` on.
    fn held(&self, depth: usize) -> usize {
        (0..self.operands.len()).map(|operand| self.bytes(operand, depth)).sum()
    }

    /// True where the rounds of a level use the same part of an operand.
    fn stays(&self, operand: usize, level: usize) -> bool {
        !self.operands[operand].moved_by.contains(&self.nest.levels()[level].stage)
    }

    /// The operands that the rounds of a level use again, and what keeps them meanwhile.
    pub(super) fn kept(&self, level: usize, cpu: &Cpu) -> impl Iterator<Item = Kept> {
        let held = self.held(level + 1);
        let caches = [("L1", cpu.l1d.size), ("L2", cpu.l2.size), ("L3", last_level(cpu))];
        let home = caches.into_iter().find(|(_, size)| held <= *size).map_or("memory", |(name, _)| name);
        let kept = (0..self.operands.len()).filter(move |&operand| self.stays(operand, level));
        kept.map(move |operand| Kept {
            operand: self.operands[operand].name,
            bytes: self.bytes(operand, level + 1),
            home,
        })
    }

    /// Bytes of an operand that come into a cache of `size` bytes, a quarter of which is left to what passes by.
    ///
    /// The cache keeps what the outermost levels use whose operands fit in it together. An operand comes in again
    /// whenever a level further out moves it on; of the levels just outside, those that do not find it still there.
    pub(super) fn moved(&self, operand: usize, size: usize) -> f64 {
        let levels = self.nest.levels();
        let fits = (0..=levels.len()).find(|&depth| self.held(depth) <= size * 3 / 4);
        let depth = fits.unwrap_or(levels.len());
        let found = |level: &usize| fits.is_some() && self.stays(operand, *level);
        let outer = (0..depth).rev().skip_while(found);
        self.bytes(operand, depth) as f64 * outer.map(|level| self.rounds(level)).product::<f64>()
    }

    /// Bytes of the first operand that are packed while the nest runs.
    pub(super) fn packed(&self, pack: S) -> f64 {
        let Some(depth) = self.nest.levels().iter().position(|level| level.stage == pack) else { return 0.0 };
        self.bytes(0, depth) as f64 * (0..depth).map(|level| self.rounds(level)).product::<f64>()
    }

    /// Rounds of a level, the last of which may be a part; 1 where an operand is packed.
    fn rounds(&self, level: usize) -> f64 {
        let Level { step, of, .. } = self.nest.levels()[level];
        if step == 0 { 1.0 } else { of as f64 / step as f64 }
    }
}

#[cfg(test)]
mod tests {
    use tilewise_kernels::conv;

    use super::super::space::tests::conv;
    use super::*;

    #[test]
    fn what_is_read_again_depends_on_the_order_of_the_loops() {
        let p = conv("ic256 oc256 i28 p1");
        let kernel = conv::ROWS.iter().find(|row| row.id.name == "conv-direct_f32_14x32_avx512").unwrap();
        let bytes = |order: &str, operand: usize, size: usize| {
            let blocks = ConvBlocks { rows: 28, oc: 256, ic: 32, order: order.parse().unwrap() };
            convolution(&p, kernel, &blocks).unwrap().moved(operand, size)
        };
        let weights = (256 * 256 * 9 * 4) as f64;
        let l1 = 64 << 10;
        let cases = [
            // A pass of weights stays in L1 while all pixels go by.
            ("oc,ic,row,pixel", 1, l1, weights),
            // All weights go by each row.
            ("row,oc,ic,pixel", 1, l1, 28.0 * weights),
            // The input of each pass is used by all output channels one after the other.
            ("oc,ic,row,pixel", 2, l1, (256 * 28 * 28 * 4 * 8) as f64),
            ("ic,oc,row,pixel", 0, 1 << 20, (256 * 28 * 28 * 4) as f64),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .map(|(order, operand, size, want)| (order, operand, bytes(order, operand, size), want))
            .filter(|(_, _, got, want)| got != want)
            .collect();
        assert!(wrong.is_empty(), "(order, operand, got, want): {wrong:?}");
    }
}
