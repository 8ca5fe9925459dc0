//! The five loops around a register tile: one product, or the part of it that is one task.

use std::ops::Range;

use super::finish::{Finish, FinishOp};
use super::pack::{PackPanel, panel_rows};
use super::tile::{Tile, TileArgs, panel_width};
use super::{GemmBlocks, Strides, model};
use crate::{Ctx, Isa, Shards};

/// The left operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Lhs<'a> {
    /// In memory, element (i, p) at `i * row + p * col`.
    Plain(&'a [f32], Strides),
    /// Dense rows in memory, a pitch apart, that tiles read where they stand.
    InPlace(&'a [f32], usize),
    /// Panels over the whole depth, as [`pack_lhs`] writes them.
    Packed(&'a [f32]),
}

/// A piece of a right operand that is wanted as a panel: [`panel_width`] values a step, zeros past the last column.
pub(crate) struct Piece {
    /// Which of the products.
    pub product: usize,
    /// Steps of the panel.
    pub ks: Range<usize>,
    /// Columns of the panel.
    pub js: Range<usize>,
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Columns<'a> {
    /// Panels of `NR` columns, the last of the [`panel_width`] of its rest, over the whole depth, one after the other.
    Packed(&'a [f32]),
    /// Packed panel by panel when a block is taken up.
    Pack(&'a (dyn Fn(&Piece, &mut [f32]) + Sync)),
}

/// One product `C[m, n] = finish(A[m, k] B[k, n])`, C row-major and dense.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// Which of the products, for [`Piece`].
    pub index: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Lhs<'a>,
    pub b: Columns<'a>,
    pub c: &'a Shards<'a, f32>,
    /// Where C begins.
    pub at: usize,
    pub finish: Finish<'a>,
}

/// The size of a product, its blocks made to fit, and how its operands come: what the scratch depends on.
pub(crate) struct Frame {
    m: usize,
    n: usize,
    blocks: GemmBlocks,
    packs_a: bool,
    packs_b: bool,
}

impl Frame {
    /// A product of `[m, n, k]`; `packs_a` and `packs_b` tell whether A and B come unpacked.
    pub(crate) fn new<T: Tile>(size: [usize; 3], blocks: &GemmBlocks, packs_a: bool, packs_b: bool) -> Self {
        let [m, n, _] = size;
        Frame { m, n, blocks: model::fitted(blocks, size, [T::MR, T::NR]), packs_a, packs_b }
    }

    /// Values of scratch that hold a block of A; whole cache lines, so that the block of B behind is aligned.
    fn a_len(&self) -> usize {
        let GemmBlocks { mc, kc, .. } = self.blocks;
        if self.packs_a { (mc * kc).next_multiple_of(LINE) } else { 0 }
    }

    /// Values of scratch that one thread needs.
    pub(crate) fn scratch_len(&self) -> usize {
        let GemmBlocks { kc, nc, .. } = self.blocks;
        self.a_len() + if self.packs_b { (kc * nc).next_multiple_of(LINE) } else { 0 }
    }

    /// Cuts the panels of C into a grid of about `pieces` tasks: that with the least work in its largest piece, and
    /// of equals the one that cuts the longer side.
    fn grid<T: Tile>(&self, pieces: usize) -> [usize; 2] {
        let panels = [self.m.div_ceil(T::MR), self.n.div_ceil(T::NR)];
        let largest = |grid: [usize; 2]| panels[0].div_ceil(grid[0]) * panels[1].div_ceil(grid[1]);
        let cuts = (1..=pieces).filter(|across| pieces.is_multiple_of(*across));
        let grids = cuts.map(|across| [pieces / across, across].map(|cut| cut.max(1)));
        let shorter = |grid: [usize; 2]| if self.m > self.n { grid[1] } else { grid[0] };
        let best = grids.min_by_key(|&grid| (largest(grid), shorter(grid))).unwrap_or([1, 1]);
        [best[0].min(panels[0]), best[1].min(panels[1])]
    }
}

/// f32 of a cache line.
pub(crate) const LINE: usize = 16;

/// Below this number of multiply-adds a task is over before another thread has woken up.
const WORTH_A_THREAD: usize = 1 << 16;

/// Computes `count` products of one frame, `product(i)` each, on all threads of the pool. The scratch
/// holds [`Frame::scratch_len`] values for each of them.
///
/// A task is a part of a product with every depth of it: threads meet once, at the end, and pack for themselves what
/// they share. That is little work for the few threads and the short products of a network.
pub(crate) fn products<'a, T: Tile>(
    isa: T::I,
    frame: &Frame,
    count: usize,
    ctx: Ctx<'_>,
    product: &(dyn Fn(usize) -> Product<'a> + Sync),
) {
    if count * frame.m * frame.n == 0 {
        return;
    }
    let threads = ctx.pool.threads();
    let k = product(0).k;
    let small = frame.m * frame.n * k < WORTH_A_THREAD;
    let whole = small || count.is_multiple_of(threads) || count > 4 * threads;
    let [down, across] = if whole { [1, 1] } else { frame.grid::<T>(threads) };
    let [rows, cols] = [frame.m.div_ceil(T::MR), frame.n.div_ceil(T::NR)];
    let len = frame.scratch_len();
    let scratch = Shards::new(ctx.scratch);
    let task = |index: usize, worker: usize| {
        let (i, piece) = (index / (down * across), index % (down * across));
        let (y, x) = (piece / across, piece % across);
        // SAFETY: a worker does one task at a time, and each has its own part.
        let scratch = unsafe { scratch.range(worker * len..(worker + 1) * len) };
        let part =
            Part { rows: y * rows / down..(y + 1) * rows / down, cols: x * cols / across..(x + 1) * cols / across };
        multiply::<T>(isa, &product(i), frame, part, scratch);
    };
    let tasks = count * down * across;
    if small && count * frame.m * frame.n * k < WORTH_A_THREAD {
        (0..tasks).for_each(|index| task(index, 0));
    } else {
        ctx.pool.run(tasks, &|t| task(t.index, t.worker));
    }
}

/// Panels of C that one task computes.
struct Part {
    rows: Range<usize>,
    cols: Range<usize>,
}

/// Pieces of at most `step` of a range.
fn steps(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + step).min(end))
}

fn multiply<T: Tile>(isa: T::I, p: &Product<'_>, frame: &Frame, part: Part, scratch: &mut [f32]) {
    let GemmBlocks { mc, kc, nc } = frame.blocks;
    let (a_block, b_block) = scratch.split_at_mut(frame.a_len());
    for cols in steps(part.cols, nc / T::NR) {
        // An empty sum has one empty depth, which writes its zeros.
        for ks in steps(0..p.k.max(1), kc).map(|ks| ks.start..ks.end.min(p.k)) {
            if let Columns::Pack(pack) = p.b {
                for (q, i) in cols.clone().zip(0..) {
                    let js = q * T::NR..((q + 1) * T::NR).min(p.n);
                    let panel = &mut b_block[i * ks.len() * T::NR..][..ks.len() * panel_width::<T>(js.len())];
                    pack(&Piece { product: p.index, ks: ks.clone(), js }, panel);
                }
            }
            for rows in steps(part.rows.clone(), mc / T::MR) {
                let mut block = Block { a: a_block, b: b_block, rows, cols: cols.clone(), ks: ks.clone() };
                block.pack_rows::<T>(isa, p);
                block.sum::<T>(isa, p);
            }
        }
    }
}

/// The operands of the inner two loops.
struct Block<'a> {
    /// Room for the block of A, where it is to be packed.
    a: &'a mut [f32],
    /// The block of B, where it was packed.
    b: &'a [f32],
    /// Panels of A and C.
    rows: Range<usize>,
    /// Panels of B and C.
    cols: Range<usize>,
    /// The depth.
    ks: Range<usize>,
}

impl Block<'_> {
    fn pack_rows<T: Tile>(&mut self, isa: T::I, p: &Product<'_>) {
        let Lhs::Plain(from, strides) = p.a else { return };
        let mut room = &mut *self.a;
        for i in self.rows.clone() {
            let rows = panel_rows(p.m, T::MR, i);
            let (to, rest) = room.split_at_mut(rows.len() * self.ks.len());
            room = rest;
            if to.is_empty() {
                return;
            }
            let from = &from[rows.start * strides.row + self.ks.start * strides.col..];
            isa.dispatch(PackPanel { from, strides, lanes: rows.len(), width: rows.len(), to });
        }
    }

    /// The panel of A with the rows `rows`.
    fn panel_of_a<'a, T: Tile>(&'a self, p: &Product<'a>, rows: &Range<usize>) -> &'a [f32] {
        match p.a {
            Lhs::Packed(panels) => &panels[rows.start * p.k + self.ks.start * rows.len()..],
            Lhs::InPlace(a, pitch) => a.get(rows.start * pitch + self.ks.start..).unwrap_or_default(),
            Lhs::Plain(..) => {
                let first = panel_rows(p.m, T::MR, self.rows.start).start;
                &self.a[(rows.start - first) * self.ks.len()..]
            }
        }
    }

    /// Panel `q` of B.
    fn panel_of_b<'a, T: Tile>(&'a self, p: &Product<'a>, q: usize) -> &'a [f32] {
        match p.b {
            Columns::Packed(panels) => {
                let width = panel_width::<T>(T::NR.min(p.n - q * T::NR));
                &panels[q * p.k * T::NR + self.ks.start * width..]
            }
            Columns::Pack(_) => &self.b[(q - self.cols.start) * self.ks.len() * T::NR..],
        }
    }

    /// A panel of B stays in the first-level cache while the panels of A pass by.
    fn sum<T: Tile>(&self, isa: T::I, p: &Product<'_>) {
        let complete = self.ks.end == p.k && !p.finish.is_none();
        // A tile finishes whole vectors in its registers, but for the functions that are no limits.
        let rest = if complete { p.finish.rest() } else { None };
        let (shapes, a_pitch) = match p.a {
            Lhs::InPlace(_, pitch) => (T::IN_PLACE, pitch),
            Lhs::Packed(_) | Lhs::Plain(..) => (T::PACKED, 0),
        };
        for q in self.cols.clone() {
            let cols = q * T::NR..((q + 1) * T::NR).min(p.n);
            let heights = shapes[cols.len().div_ceil(<T::I as Isa>::LANES) - 1];
            let whole = cols.len().is_multiple_of(<T::I as Isa>::LANES);
            let (finish, rest) = match (complete, whole) {
                (true, true) => (Some(&p.finish), rest.as_ref()),
                (true, false) => (None, Some(&p.finish)),
                (false, _) => (None, None),
            };
            let b = self.panel_of_b::<T>(p, q);
            for i in self.rows.clone() {
                let rows = panel_rows(p.m, T::MR, i);
                let tile = TileArgs {
                    a: self.panel_of_a::<T>(p, &rows),
                    a_pitch,
                    b,
                    k: self.ks.len(),
                    c: p.c,
                    at: p.at + rows.start * p.n + cols.start,
                    pitch: p.n,
                    place: [rows.start, cols.start],
                    cols: cols.len(),
                    resume: self.ks.start > 0,
                    finish,
                };
                heights[rows.len() - 1](isa, &tile);
                if let Some(finish) = rest {
                    let cols = cols.clone();
                    isa.dispatch(FinishOp { finish, c: p.c, at: p.at, pitch: p.n, rows, cols });
                }
            }
        }
    }
}
