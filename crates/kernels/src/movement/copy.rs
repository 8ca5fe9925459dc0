//! Strided copies and fills of elements of any type, as bytes.

use std::ops::Range;

use super::CHUNK;
use super::strided::{AXES, StridedCopy};
use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp, Tier};

/// One row of the table of copy kernels.
pub struct CopyKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Copies between two arrays, given as bytes. Panics when one is too short for the problem.
    pub run: fn(&StridedCopy, x: &[u8], y: &mut [u8], Ctx<'_>),
    /// Fills an array with copies of one element. Panics when the array is no whole number of elements, or the
    /// element not 1, 2, 4 or 8 bytes long.
    pub fill: fn(element: &[u8], y: &mut [u8], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [CopyKernel; 3] = tiered!(CopyKernel, "copy", "u8", U8, { run: run, fill: fill });

/// The kernel of a tier.
pub fn choose_copy(tier: Tier) -> &'static CopyKernel {
    &ROWS[tier as usize]
}

fn run<I: Isa>(p: &StridedCopy, x: &[u8], y: &mut [u8], ctx: Ctx<'_>) {
    match p.element_size {
        1 => copy::<I, 1>(p, x, y, ctx),
        2 => copy::<I, 2>(p, x, y, ctx),
        4 => copy::<I, 4>(p, x, y, ctx),
        _ => copy::<I, 8>(p, x, y, ctx),
    }
}

fn fill<I: Isa>(element: &[u8], y: &mut [u8], ctx: Ctx<'_>) {
    let size = element.len();
    assert!([1, 2, 4, 8].contains(&size) && y.len().is_multiple_of(size));
    let (isa, len, y) = (I::require(), y.len(), Shards::new(y));
    let mut pattern = [0; 8];
    pattern.chunks_exact_mut(size).for_each(|part| part.copy_from_slice(element));
    ctx.pool.run(len.div_ceil(CHUNK), &|task| {
        // SAFETY: chunks of different tasks do not overlap.
        let y = unsafe { y.range(task.index * CHUNK..len.min((task.index + 1) * CHUNK)) };
        isa.dispatch(Fill { pattern, y });
    });
}

struct Fill<'a> {
    pattern: [u8; 8],
    y: &'a mut [u8],
}

impl SimdOp for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, _: I) {
        let (whole, rest) = self.y.as_chunks_mut::<8>();
        whole.fill(self.pattern);
        rest.copy_from_slice(&self.pattern[..rest.len()]);
    }
}

fn copy<I: Isa, const E: usize>(p: &StridedCopy, x: &[u8], y: &mut [u8], ctx: Ctx<'_>) {
    let (x, y) = (x.as_chunks::<E>().0, y.as_chunks_mut::<E>().0);
    assert!(p.needed[0] <= x.len() && p.needed[1] <= y.len());
    if p.elements() == 0 {
        return;
    }
    let (turned, transpose) = p.transposed().map_or((*p, false), |turned| (turned, true));
    let p = &turned;
    // A task is rows of one matrix (the last two axes), or a part of one long row, or several small matrices.
    let [.., rows, columns] = p.axes.map(|axis| axis.extent);
    let outer: usize = p.axes[..AXES - 2].iter().map(|axis| axis.extent).product();
    let chunk = CHUNK / E;
    // Tiles are as high as a vector is long.
    let row_step = (chunk / columns).max(1).next_multiple_of(if transpose { MAX_LANES } else { 1 }).min(rows);
    let column_step = columns.min(chunk);
    let outer_step = if row_step == rows { (chunk / (rows * columns)).clamp(1, outer) } else { 1 };
    let (across, down) = (columns.div_ceil(column_step), rows.div_ceil(row_step));
    let (isa, y) = (I::require(), Shards::new(y));
    ctx.pool.run(outer.div_ceil(outer_step) * down * across, &|task| {
        let part = |i: usize, step: usize, end: usize| i * step..end.min((i + 1) * step);
        let rows = part(task.index / across % down, row_step, rows);
        let columns = part(task.index % across, column_step, columns);
        for outer in part(task.index / across / down, outer_step, outer) {
            let [from, to] = p.offsets(outer);
            isa.dispatch(Matrix { p, transpose, x, from, y: &y, to, rows: rows.clone(), columns: columns.clone() });
        }
    });
}

/// A part of one matrix. `StridedCopy::new` made sure that no two elements of a copy have the same place in `y`, and
/// each element belongs to one task.
struct Matrix<'a, const E: usize> {
    p: &'a StridedCopy,
    transpose: bool,
    x: &'a [[u8; E]],
    from: usize,
    y: &'a Shards<'a, [u8; E]>,
    to: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<const E: usize> SimdOp for Matrix<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        if !self.transpose {
            return self.rows.clone().for_each(|row| self.row(row, self.columns.clone()));
        }
        let v = I::LANES;
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        for row in rows.clone().step_by(v) {
            let height = v.min(rows.end - row);
            let whole = if E == 4 && height == v { columns.len() / v } else { 0 };
            for tile in 0..whole {
                self.tile(isa, row, columns.start + tile * v);
            }
            for row in row..row + height {
                self.row(row, columns.start + whole * v..columns.end);
            }
        }
    }
}

impl<const E: usize> Matrix<'_, E> {
    /// Where an element stands in the source and in the destination.
    #[inline(always)]
    fn place(&self, row: usize, column: usize) -> [usize; 2] {
        let [.., down, along] = self.p.axes;
        let (row, column) = (row as isize, column as isize);
        [
            self.from.wrapping_add_signed(row * down.from + column * along.from),
            self.to.wrapping_add_signed(row * down.to + column * along.to),
        ]
    }

    #[inline(always)]
    fn row(&self, row: usize, columns: Range<usize>) {
        let along = self.p.axes[AXES - 1];
        let (len, [from, to]) = (columns.len(), self.place(row, columns.start));
        if len == 0 {
            return;
        }
        if along.to != 1 {
            for column in columns {
                let [from, to] = self.place(row, column);
                // SAFETY: this place belongs to this element alone (see `Matrix`).
                let y = unsafe { self.y.range(to..to + 1) };
                y[0] = self.x[from];
            }
            return;
        }
        // SAFETY: these places belong to these elements alone (see `Matrix`).
        let y = unsafe { self.y.range(to..to + len) };
        match along.from {
            1 => y.copy_from_slice(&self.x[from..from + len]),
            0 => y.fill(self.x[from]),
            -1 => y.iter_mut().zip(self.x[from + 1 - len..=from].iter().rev()).for_each(|(y, x)| *y = *x),
            step => {
                for (i, y) in y.iter_mut().enumerate() {
                    *y = self.x[from.wrapping_add_signed(i as isize * step)];
                }
            }
        }
    }

    /// A square of 4-byte elements: rows of the source, which are contiguous over the matrix' rows, become rows of the
    /// destination.
    #[inline(always)]
    fn tile<I: Isa>(&self, isa: I, row: usize, column: usize) {
        let word = |x: &[u8; E]| f32::from_ne_bytes(std::array::from_fn(|i| x[i % E]));
        let mut square = [isa.zero(); MAX_LANES];
        for (i, to) in square.iter_mut().enumerate().take(I::LANES) {
            let [from, _] = self.place(row, column + i);
            let mut lanes = [0.0; MAX_LANES];
            for (lane, x) in lanes.iter_mut().zip(&self.x[from..from + I::LANES]) {
                *lane = word(x);
            }
            *to = isa.load(&lanes);
        }
        for (i, from) in isa.transpose(square).into_iter().enumerate().take(I::LANES) {
            let mut lanes = [0.0f32; MAX_LANES];
            isa.store(&mut lanes, from);
            let [_, to] = self.place(row + i, column);
            // SAFETY: these places belong to these elements alone (see `Matrix`).
            let y = unsafe { self.y.range(to..to + I::LANES) };
            for (y, lane) in y.iter_mut().zip(lanes) {
                let bytes = lane.to_ne_bytes();
                *y = std::array::from_fn(|i| bytes[i % 4]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CopyAxis;
    use super::*;
    use crate::reference;
    use crate::trial::each_tier;

    fn check(element_size: usize, axes: &[CopyAxis], [source, destination]: [usize; 2], lens: [usize; 2]) {
        let p = StridedCopy::new(element_size, axes, source, destination).unwrap();
        let x: Vec<u8> = (0..lens[0] * element_size).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut want = vec![0xee; lens[1] * element_size];
        reference::strided_copy(element_size, axes, (&x, source), (&mut want, destination));
        each_tier(0, |tier, ctx| {
            let mut y = vec![0xee; want.len()];
            (choose_copy(tier).run)(&p, &x, &mut y, ctx);
            assert!(y == want, "{} {element_size} {axes:?}", choose_copy(tier).id.name);
        });
    }

    fn axis(extent: usize, from: isize, to: isize) -> CopyAxis {
        CopyAxis { extent, from, to }
    }

    #[test]
    fn every_kind_of_run_equals_the_reference_for_every_element_size() {
        for size in [1, 2, 4, 8] {
            check(size, &[], [2, 3], [5, 5]);
            check(size, &[axis(0, 1, 1)], [0, 0], [0, 0]);
            check(size, &[axis(40_000, 1, 1)], [1, 2], [40_001, 40_002]);
            // Backwards, repeated, every third, and to every second place.
            check(size, &[axis(3, 50, 37), axis(37, -1, 1)], [40, 0], [200, 111]);
            check(size, &[axis(3, 1, 37), axis(37, 0, 1)], [0, 0], [3, 111]);
            check(size, &[axis(2, 0, 39), axis(3, 2, 13), axis(13, 3, 1)], [1, 4], [60, 90]);
            check(size, &[axis(5, 7, 20), axis(7, 1, 2)], [0, 1], [35, 120]);
        }
    }

    #[test]
    fn transposed_matrices_equal_the_reference_for_every_element_size() {
        for size in [1, 2, 4, 8] {
            for (rows, columns) in [(3, 50), (50, 3), (33, 47), (16, 16), (700, 90)] {
                let axes = [
                    axis(2, (rows * columns) as isize, (rows * columns) as isize),
                    axis(rows, 1, columns as isize),
                    axis(columns, rows as isize, 1),
                ];
                check(size, &axes, [0, 0], [2 * rows * columns; 2]);
            }
        }
    }

    #[test]
    fn a_fill_repeats_the_element() {
        each_tier(0, |tier, ctx| {
            let mut y = vec![0; 3 * CHUNK + 12];
            (choose_copy(tier).fill)(&[1, 2, 3, 4], &mut y, ctx);
            assert!(y.chunks(4).all(|element| element == [1, 2, 3, 4]));
        });
    }
}
