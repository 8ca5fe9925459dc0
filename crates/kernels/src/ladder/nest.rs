//! Bytes that a loop nest moves between the levels of a memory: counted from its loops, not measured.

use crate::Cpu;

/// Levels that serve bytes to the one before them: L1 serves registers, L2 serves L1, and so on.
pub const LEVELS: [&str; 4] = ["L1", "L2", "L3", "DRAM"];

/// Bytes of an f32.
const F32: f64 = size_of::<f32>() as f64;

/// One loop: it walks a dimension in pieces of `piece`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    /// Which dimension.
    pub(super) dim: usize,
    /// Its extent inside the loop.
    pub(super) piece: usize,
}

/// Shorthand for a list of loops, outermost first.
pub(super) fn loops<const N: usize>(pairs: [(usize, usize); N]) -> Vec<Loop> {
    pairs.into_iter().map(|(dim, piece)| Loop { dim, piece }).collect()
}

/// An array that a nest reads or writes.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// Its axes, the one of neighbouring elements last: each a sum of dimensions with factors. The rows of a
    /// convolution's input are `stride * oh + kh`.
    pub(super) axes: Vec<Vec<(usize, usize)>>,
    /// True where the nest adds to it: every visit but the first also reads.
    pub(super) written: bool,
}

impl Operand {
    /// An array with one dimension an axis.
    pub(super) fn plain<const N: usize>(dims: [usize; N]) -> Self {
        Operand { axes: dims.into_iter().map(|dim| vec![(dim, 1)]).collect(), written: false }
    }

    pub(super) fn written(self) -> Self {
        Operand { written: true, ..self }
    }

    /// Bytes of the part that pieces of `extents` touch, where whole lines of `line` elements are moved.
    fn bytes(&self, extents: &[usize], line: usize) -> f64 {
        let length = |axis: &Vec<(usize, usize)>| {
            axis.iter().map(|&(dim, factor)| (extents[dim].max(1) - 1) * factor).sum::<usize>() + 1
        };
        let Some((last, outer)) = self.axes.split_last() else { return 0.0 };
        let elements = outer.iter().map(|axis| length(axis) as f64).product::<f64>();
        elements * length(last).next_multiple_of(line) as f64 * F32
    }

    fn is_contiguous_in(&self, dim: usize) -> bool {
        self.axes.last().is_some_and(|axis| axis.iter().any(|&(other, _)| other == dim))
    }

    fn depends_on(&self, dim: usize) -> bool {
        self.axes.iter().flatten().any(|&(other, _)| other == dim)
    }
}

/// A loop nest over arrays. What is inside the innermost loop stands in registers.
#[derive(Clone, Debug)]
pub(super) struct Nest {
    /// Extents of the dimensions.
    pub(super) extents: Vec<usize>,
    /// The loops, outermost first.
    pub(super) loops: Vec<Loop>,
    /// The arrays.
    pub(super) operands: Vec<Operand>,
    /// How many of the outer loops walk over blocks: what the rest touches is the working set.
    pub(super) blocked: usize,
}

/// What a rung moves.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Traffic {
    /// Bytes that each of [`LEVELS`] serves or takes.
    pub served: [f64; 4],
    /// Bytes that the loops inside the blocks touch.
    pub working_set: f64,
}

impl Traffic {
    /// Both, one after the other.
    #[must_use]
    pub fn then(self, other: Traffic) -> Traffic {
        Traffic {
            served: std::array::from_fn(|level| self.served[level] + other.served[level]),
            working_set: self.working_set.max(other.working_set),
        }
    }

    /// Arrays of `floats` elements in all that come from memory, or go there: every level serves them once, and nothing
    /// of them has to stay.
    pub(super) fn first(floats: usize) -> Traffic {
        Traffic { served: [floats as f64 * F32; 4], working_set: 0.0 }
    }

    /// A pass over arrays of `floats` elements in all that were just made, or will be read at once: they come from the
    /// first level that holds them.
    pub(super) fn again(floats: usize, cpu: &Cpu) -> Traffic {
        let mut traffic = Traffic::first(floats);
        for (level, cache) in [cpu.l1d, cpu.l2, cpu.l3].into_iter().enumerate() {
            if traffic.served[0] <= cache.size as f64 {
                traffic.served[level + 1] = 0.0;
            }
        }
        traffic
    }
}

impl Nest {
    /// Bytes that each level serves. All arrays come from memory and go there.
    ///
    /// A cache keeps what the outermost loops touch whose arrays fit in it together. Each array is brought in again
    /// whenever a loop further out moves it on; of the loops just outside, those that it does not depend on find it
    /// still there. Sets, replacement and prefetching are left out.
    pub(super) fn traffic(&self, cpu: &Cpu) -> Traffic {
        let line = cpu.l1d.line / size_of::<f32>();
        let inside: Vec<Vec<usize>> = (0..=self.loops.len()).map(|depth| self.extents_inside(depth)).collect();
        let held = |depth: usize| self.operands.iter().map(|o| o.bytes(&inside[depth], line)).sum::<f64>();
        let fits = |size: usize| (0..=self.loops.len()).find(|&depth| held(depth) <= size as f64);
        let innermost = self.loops.len();
        let mut served = [self.moved(&inside, innermost, 1), 0.0, 0.0, 0.0];
        // No level is asked for more than the one before it: at most a line for each element that registers load.
        for (level, cache) in [cpu.l1d, cpu.l2, cpu.l3].into_iter().enumerate() {
            let moved = self.moved(&inside, fits(cache.size).unwrap_or(innermost), line);
            served[level + 1] = moved.min(served[level] * if level == 0 { line as f64 } else { 1.0 });
        }
        Traffic { served, working_set: held(self.blocked) }
    }

    /// Extents inside the first `depth` loops.
    fn extents_inside(&self, depth: usize) -> Vec<usize> {
        let mut extents = self.extents.clone();
        for one in &self.loops[..depth] {
            extents[one.dim] = extents[one.dim].min(one.piece.max(1));
        }
        extents
    }

    /// Bytes moved into and out of a memory that holds what the loops from `depth` on touch.
    fn moved(&self, inside: &[Vec<usize>], depth: usize, line: usize) -> f64 {
        let trips = |at: usize, dim: usize| inside[at][dim] as f64 / inside[at + 1][dim] as f64;
        let one = |operand: &Operand| {
            let stays = |at: &usize| !operand.depends_on(self.loops[*at].dim);
            let outer: Vec<usize> = (0..depth).rev().skip_while(stays).collect();
            let visits: f64 = outer.iter().map(|&at| trips(at, self.loops[at].dim)).product();
            // A loop that walks along a line finds its next elements there.
            let along = outer.first().is_some_and(|&at| operand.is_contiguous_in(self.loops[at].dim));
            let bytes = operand.bytes(&inside[depth], if along { 1 } else { line }) * visits;
            let first = operand.bytes(&inside[0], line).min(bytes);
            if operand.written { 2.0 * bytes - first } else { bytes }
        };
        self.operands.iter().map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    const I: usize = 0;
    const J: usize = 1;
    const K: usize = 2;

    /// `C[i, j] += A[i, k] B[k, j]`, all of length `n`.
    fn product(n: usize, loops: Vec<Loop>) -> Nest {
        let operands = vec![Operand::plain([I, K]), Operand::plain([K, J]), Operand::plain([I, J]).written()];
        Nest { extents: vec![n; 3], loops, operands, blocked: 0 }
    }

    #[test]
    fn bytes_are_those_of_the_arithmetic() {
        let (n, cpu) = (1024, Cpu::zen5());
        let cube = (n * n * n) as f64;
        let square = (n * n) as f64;
        let naive = product(n, loops([(I, 1), (J, 1), (K, 1)]));
        let blocked = product(n, loops([(I, 32), (J, 32), (K, 32), (I, 1), (J, 1), (K, 1)]));
        let tile = product(n, loops([(I, 8), (J, 16), (K, 1)]));
        let cases = [
            // Two loads a multiply-add, one store a sum.
            ("naive, registers", naive.traffic(&cpu).served[0], F32 * (2.0 * cube + square)),
            // A column of B is 1024 lines of 64 bytes, more than L1 holds: each load brings one. A row of A is pushed out.
            ("naive, L1", naive.traffic(&cpu).served[1], F32 * (cube + 16.0 * cube + square)),
            // 12 MiB in all.
            ("naive, L3", naive.traffic(&cpu).served[3], F32 * 3.0 * square),
            // Each block of A and B once a pair of blocks; C's block stays over k.
            ("blocked, L1", blocked.traffic(&cpu).served[1], F32 * (2.0 * cube / 32.0 + square)),
            // Each load of A serves 16 multiply-adds, each of B 8.
            ("tile, registers", tile.traffic(&cpu).served[0], F32 * (cube / 16.0 + cube / 8.0 + square)),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(_, got, want)| (got / want - 1.0).abs() > 1e-9).collect();
        assert!(wrong.is_empty(), "(what, got, want): {wrong:#?}");
    }

    #[test]
    fn what_fits_is_read_once_and_the_working_set_is_that_of_the_block() {
        let cpu = Cpu::zen5();
        let nest = Nest { blocked: 3, ..product(64, loops([(I, 16), (J, 16), (K, 16), (I, 1), (J, 1), (K, 1)])) };
        let traffic = nest.traffic(&cpu);
        assert_eq!(traffic.served[1..], [3.0 * 64.0 * 64.0 * F32; 3]);
        assert_eq!(traffic.working_set, 3.0 * 16.0 * 16.0 * F32);
    }

    #[test]
    fn rows_of_a_convolution_overlap() {
        let [oh, kh] = [0, 1];
        let x = Operand { axes: vec![vec![(oh, 2), (kh, 1)]], written: false };
        assert_eq!(x.bytes(&[10, 3], 1), 21.0 * F32);
        assert_eq!(x.bytes(&[10, 3], 16), 32.0 * F32);
    }
}
