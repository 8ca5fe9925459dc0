//! Products: what the nest of loops packs and what its register tiles compute.

use std::ops::Range;

use super::finish::{Finish, FinishOp};
use super::nest::{Frame, WORTH_A_THREAD};
use super::pack::{PackPanel, panel_rows};
use super::tile::{Tile, TileArgs, panel_width};
use super::{GemmStage, Strides};
use crate::nest::{Body, Cell};
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

/// f32 of a cache line.
pub(crate) const LINE: usize = 16;

/// Part `number` of `parts` of almost the same length.
pub(crate) fn share<T>(all: &[T], number: usize, parts: usize) -> &[T] {
    &all[number * all.len() / parts..(number + 1) * all.len() / parts]
}

/// Computes `count` products of one frame, `product(i)` each, on all threads of the pool. The scratch holds
/// [`Frame::scratch_len`] values for each of them.
pub(crate) fn products<'a, T: Tile>(
    isa: T::I,
    frame: &Frame<'_>,
    count: usize,
    ctx: Ctx<'_>,
    product: &(dyn Fn(usize) -> Product<'a> + Sync),
) {
    let [m, n, k] = frame.size;
    if count * m * n == 0 {
        return;
    }
    let nest = frame.nest::<T>(count, ctx.pool.threads());
    let (parts, [a_len, b_len]) = (nest.tasks(), frame.scratch::<T>());
    let task = |index: usize, scratch: &mut [f32]| {
        let (a, b) = scratch.split_at_mut(a_len);
        let mut sums = Sums::<T> { isa, p: &product(index / parts), a, first_row: 0, b, first_panel: 0 };
        nest.run(nest.task(index % parts), &mut sums);
    };
    if count * m * n * k < WORTH_A_THREAD {
        (0..count * parts).for_each(|index| task(index, &mut ctx.scratch[..a_len + b_len]));
    } else {
        ctx.run(count * parts, a_len + b_len, &task);
    }
}

/// One part of a product.
struct Sums<'a, T: Tile> {
    isa: T::I,
    p: &'a Product<'a>,
    /// The block of A, where it is packed meanwhile, and its first row.
    a: &'a mut [f32],
    first_row: usize,
    /// The block of B, where it is packed meanwhile, and its first panel.
    b: &'a mut [f32],
    first_panel: usize,
}

/// Panels of rows, panels of columns, and depth of a cell.
fn parts(cell: &Cell, k: usize) -> [Range<usize>; 3] {
    let [rows, cols, ks, _] = cell.clone();
    [rows, cols, ks.start..ks.end.min(k)]
}

impl<T: Tile> Body<GemmStage> for Sums<'_, T> {
    fn pack(&mut self, operand: GemmStage, cell: &Cell) {
        match operand {
            GemmStage::PackA => self.pack_a(cell),
            GemmStage::PackB => self.pack_b(cell),
            GemmStage::M | GemmStage::N | GemmStage::K => (),
        }
    }

    fn tiles(&mut self, cell: &Cell) {
        let [rows, cols, ks] = parts(cell, self.p.k);
        let (isa, p) = (self.isa, self.p);
        let complete = ks.end == p.k && !p.finish.is_none();
        // A tile finishes whole vectors in its registers, but for the functions that are no limits.
        let rest = if complete { p.finish.rest() } else { None };
        let (shapes, a_pitch) = match p.a {
            Lhs::InPlace(_, pitch) => (T::IN_PLACE, pitch),
            Lhs::Packed(_) | Lhs::Plain(..) => (T::PACKED, 0),
        };
        for q in cols {
            let cols = q * T::NR..((q + 1) * T::NR).min(p.n);
            let heights = shapes[cols.len().div_ceil(<T::I as Isa>::LANES) - 1];
            let whole = cols.len().is_multiple_of(<T::I as Isa>::LANES);
            let (finish, rest) = match (complete, whole) {
                (true, true) => (Some(&p.finish), rest.as_ref()),
                (true, false) => (None, Some(&p.finish)),
                (false, _) => (None, None),
            };
            let b = self.panel_of_b(q, &ks);
            // A panel that one tile reads is streamed: it needs no help, and the next one is too large to wait in L2.
            let next = if rows.len() > 1 { self.panel_ahead(q, &ks) } else { &[] };
            for i in rows.clone() {
                let ahead = share(next, i - rows.start, rows.len());
                let rows = panel_rows(p.m, T::MR, i);
                let tile = TileArgs {
                    a: self.panel_of_a(&rows, &ks),
                    a_pitch,
                    b,
                    ahead,
                    k: ks.len(),
                    c: p.c,
                    at: p.at + rows.start * p.n + cols.start,
                    pitch: p.n,
                    place: [rows.start, cols.start],
                    cols: cols.len(),
                    resume: ks.start > 0,
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

impl<T: Tile> Sums<'_, T> {
    fn pack_a(&mut self, cell: &Cell) {
        let (p, [panels, _, ks]) = (self.p, parts(cell, self.p.k));
        let Lhs::Plain(from, strides) = p.a else { return };
        let mut room = &mut *self.a;
        for i in panels.clone() {
            let rows = panel_rows(p.m, T::MR, i);
            let (to, rest) = room.split_at_mut(rows.len() * ks.len());
            room = rest;
            if to.is_empty() {
                return;
            }
            let from = &from[rows.start * strides.row + ks.start * strides.col..];
            self.isa.dispatch(PackPanel { from, strides, lanes: rows.len(), width: rows.len(), to });
        }
        self.first_row = panel_rows(p.m, T::MR, panels.start).start;
    }

    fn pack_b(&mut self, cell: &Cell) {
        let (p, [_, panels, ks]) = (self.p, parts(cell, self.p.k));
        let Columns::Pack(pack) = p.b else { return };
        self.first_panel = panels.start;
        for q in panels {
            let js = q * T::NR..((q + 1) * T::NR).min(p.n);
            let at = (q - self.first_panel) * ks.len() * T::NR;
            let panel = &mut self.b[at..][..ks.len() * panel_width::<T>(js.len())];
            pack(&Piece { product: p.index, ks: ks.clone(), js }, panel);
        }
    }

    /// The panel of A with the rows `rows`, from the beginning of the depth `ks` on.
    fn panel_of_a(&self, rows: &Range<usize>, ks: &Range<usize>) -> &[f32] {
        match self.p.a {
            Lhs::Packed(panels) => &panels[rows.start * self.p.k + ks.start * rows.len()..],
            Lhs::InPlace(a, pitch) => a.get(rows.start * pitch + ks.start..).unwrap_or_default(),
            Lhs::Plain(..) => &self.a[(rows.start - self.first_row) * ks.len()..],
        }
    }

    /// Panel `q` of B, from the beginning of the depth `ks` on.
    fn panel_of_b(&self, q: usize, ks: &Range<usize>) -> &[f32] {
        match self.p.b {
            Columns::Packed(panels) => {
                let width = panel_width::<T>(T::NR.min(self.p.n - q * T::NR));
                &panels[q * self.p.k * T::NR + ks.start * width..]
            }
            Columns::Pack(_) => &self.b[(q - self.first_panel) * ks.len() * T::NR..],
        }
    }

    /// What is used of a packed B after panel `q` over the depth `ks`: the panel beside it, or the first one further
    /// down.
    fn panel_ahead(&self, q: usize, ks: &Range<usize>) -> &[f32] {
        let Columns::Packed(_) = self.p.b else { return &[] };
        let (q, ks) = match (q + 1) * T::NR < self.p.n {
            true => (q + 1, ks.clone()),
            false => (0, ks.end..self.p.k.min(ks.end + ks.len())),
        };
        let width = panel_width::<T>(T::NR.min(self.p.n - q * T::NR));
        &self.panel_of_b(q, &ks)[..ks.len() * width]
    }
}
