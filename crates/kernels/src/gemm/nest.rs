//! The loops above the register tile of a matrix product.

use super::GemmBlocks;
use super::model::fitted;
use super::product::LINE;
use super::tile::Tile;
use crate::nest::{Kind, Nest, Stage};

/// What the nest of a matrix product is made of. Rows and columns have two loops each, over blocks and over panels; the
/// depth has one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GemmStage {
    /// Rows of A and C: blocks of `mc`, then register tiles.
    M,
    /// Columns of B and C: blocks of `nc`, then register tiles.
    N,
    /// Blocks of `kc` of the depth.
    K,
    /// Packs a block of A, where tiles do not read it in place.
    PackA,
    /// Packs a block of B, where it is not packed already.
    PackB,
}

use GemmStage::{K, M, N, PackA, PackB};

impl Stage for GemmStage {
    const DEFAULT: &'static [Self] = &[N, K, PackB, M, PackA, N, M];
    const LINES: &'static [Self] = &[M, N];

    fn name(self) -> &'static str {
        match self {
            M => "m",
            N => "n",
            K => "k",
            PackA => "pack-a",
            PackB => "pack-b",
        }
    }

    fn kind(self) -> Kind<Self> {
        match self {
            M => Kind::Output(M as usize),
            N => Kind::Output(N as usize),
            K => Kind::Sum(K as usize),
            PackA => Kind::Pack { inside: &[M, K], outside: &[] },
            PackB => Kind::Pack { inside: &[N, K], outside: &[] },
        }
    }
}

/// Orders to try: the block of A passes a panel of B in L1, or the block of B one of A; the blocks of B further out, or
/// those of A.
pub static ORDERS: [&[GemmStage]; 4] = [&[N, K, M, N, M], &[N, K, M, M, N], &[M, K, N, N, M], &[M, K, N, M, N]];

/// What a nest depends on: the product, its blocks made to fit, and which operands are packed meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// `[m, n, k]`.
    pub(crate) size: [usize; 3],
    pub(crate) blocks: &'a GemmBlocks,
    pub(crate) packed: &'a [GemmStage],
}

/// Below this number of multiply-adds a task is over before another thread has woken up.
pub(super) const WORTH_A_THREAD: usize = 1 << 16;

impl Frame<'_> {
    /// The nest of each of `count` products on some threads. Rows and columns count in panels.
    ///
    /// A task is a part of a product with every depth of it: threads meet once, at the end, and pack for themselves what
    /// they share. That is little work for the few threads and the short products of a network.
    pub(crate) fn nest<T: Tile>(&self, count: usize, threads: usize) -> Nest<GemmStage> {
        let [m, n, k] = self.size;
        let panels = [m.div_ceil(T::MR), n.div_ceil(T::NR)];
        let whole = m * n * k < WORTH_A_THREAD || count.is_multiple_of(threads) || count > 4 * threads;
        let [down, across] = grid(panels, if whole { 1 } else { threads }, m > n);
        let shared = [(M, panels[0].div_ceil(down)), (N, panels[1].div_ceil(across))];
        let GemmBlocks { mc, kc, nc, order } = fitted(self.blocks, self.size, [T::MR, T::NR]);
        let step = |stage, nth| match (stage, nth) {
            (M, 0) => mc / T::MR,
            (N, 0) => nc / T::NR,
            (K, _) => kc,
            _ => 1,
        };
        // An empty sum has one empty depth, which writes its zeros.
        Nest::new([panels[0], panels[1], k.max(1), 1], &shared, self.packed, &order, step)
    }

    /// Values of scratch that one thread needs for packed blocks of A and of B: whole cache lines, so that both are
    /// aligned.
    pub(crate) fn scratch<T: Tile>(&self) -> [usize; 2] {
        let nest = self.nest::<T>(1, 1);
        let len = |operand: GemmStage, axis: GemmStage, width: usize| {
            nest.packed(operand).map_or(0, |inside| inside[axis as usize] * width * inside[K as usize])
        };
        [len(PackA, M, T::MR), len(PackB, N, T::NR)].map(|len| len.next_multiple_of(LINE))
    }

    /// Values of scratch of one thread.
    pub(crate) fn scratch_len<T: Tile>(&self) -> usize {
        self.scratch::<T>().iter().sum()
    }
}

/// Cuts the panels of C into a grid of about `pieces` tasks: that with the least work in its largest piece, and of
/// equals the one that cuts the longer side.
fn grid(panels: [usize; 2], pieces: usize, is_high: bool) -> [usize; 2] {
    let largest = |grid: [usize; 2]| panels[0].div_ceil(grid[0]) * panels[1].div_ceil(grid[1]);
    let cuts = (1..=pieces).filter(|across| pieces.is_multiple_of(*across));
    let grids = cuts.map(|across| [pieces / across, across]);
    let shorter = |grid: [usize; 2]| if is_high { grid[1] } else { grid[0] };
    grids.min_by_key(|&grid| (largest(grid), shorter(grid))).unwrap_or([1, 1])
}
