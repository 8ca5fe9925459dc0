//! One output row at a time: input rows are summed into one line, and the line's places into outputs.

use super::{Resize2d, ResizeAxis};
use crate::conv::Layout;
use crate::{Ctx, Isa, Shards, SimdOp};

/// Elements of one place: 1, or the lanes.
fn pixel<I: Isa>(p: &Resize2d) -> usize {
    match p.layout {
        Layout::Nchw => 1,
        Layout::Nchwc => I::LANES,
    }
}

/// One input row, in whole cache lines.
fn line_len<I: Isa>(p: &Resize2d) -> usize {
    (p.horizontal.input() * pixel::<I>(p)).next_multiple_of(16)
}

pub(super) fn scratch_len<I: Isa>(p: &Resize2d, threads: usize) -> usize {
    line_len::<I>(p) * threads
}

pub(super) fn run<I: Isa>(p: &Resize2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let pixel = pixel::<I>(p);
    let planes = p.n * p.c.div_ceil(pixel);
    let (in_row, out_row) = (p.horizontal.input() * pixel, p.horizontal.output() * pixel);
    let in_plane = p.vertical.input() * in_row;
    assert!(x.len() == planes * in_plane && y.len() == planes * p.vertical.output() * out_row);
    assert!(ctx.scratch.len() >= scratch_len::<I>(p, ctx.pool.threads()));
    if y.is_empty() {
        return;
    }
    let (isa, y, scratch, line) = (I::require(), Shards::new(y), Shards::new(ctx.scratch), line_len::<I>(p));
    // Rows of a task: about 8 Ki outputs.
    let rows = (8192 / out_row).clamp(1, p.vertical.output());
    let parts = p.vertical.output().div_ceil(rows);
    ctx.pool.run(planes * parts, &|task| {
        // SAFETY: each worker has its own line, and runs one task at a time.
        let line = unsafe { scratch.range(task.worker * line..task.worker * line + in_row) };
        let (plane, first) = (task.index / parts, task.index % parts * rows);
        let x = &x[plane * in_plane..(plane + 1) * in_plane];
        for oy in first..p.vertical.output().min(first + rows) {
            let start = (plane * p.vertical.output() + oy) * out_row;
            // SAFETY: rows are disjoint, and each belongs to one task.
            let y = unsafe { y.range(start..start + out_row) };
            isa.dispatch(Row { p, pixel, x, oy, line, y });
        }
    });
}

struct Row<'a> {
    p: &'a Resize2d,
    pixel: usize,
    /// The plane (or block of planes).
    x: &'a [f32],
    oy: usize,
    line: &'a mut [f32],
    y: &'a mut [f32],
}

impl SimdOp for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Row { p, pixel, x, oy, line, y } = self;
        let (first, weights) = p.vertical.at(oy);
        let rows = &x[first * line.len()..(first + weights.len()) * line.len()];
        // A row that is one input row needs no sum.
        let line = if weights == [1.0] {
            rows
        } else {
            down(isa, rows, weights, line);
            line
        };
        if pixel == 1 {
            along_scalars(&p.horizontal, line, y);
        } else {
            along_vectors(isa, &p.horizontal, line, y);
        }
    }
}

/// `line` is the weighted sum of rows of its length.
#[inline(always)]
fn down<I: Isa>(isa: I, rows: &[f32], weights: &[f32], line: &mut [f32]) {
    let len = line.len();
    for (i, to) in line.chunks_mut(I::LANES).enumerate() {
        let mut sum = isa.zero();
        for (row, &weight) in weights.iter().enumerate() {
            let start = row * len + i * I::LANES;
            sum = isa.fma(isa.load_part(&rows[start..start + to.len()]), isa.splat(weight), sum);
        }
        isa.store_part(to, sum);
    }
}

/// Places of one value: the taps of neighbouring outputs begin anywhere, so that lanes would have to be gathered.
#[inline(always)]
fn along_scalars(axis: &ResizeAxis, line: &[f32], y: &mut [f32]) {
    for (ox, y) in y.iter_mut().enumerate() {
        let (first, weights) = axis.at(ox);
        let values = &line[first..first + weights.len()];
        *y = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    }
}

/// Places of one vector.
#[inline(always)]
fn along_vectors<I: Isa>(isa: I, axis: &ResizeAxis, line: &[f32], y: &mut [f32]) {
    for (ox, y) in y.chunks_exact_mut(I::LANES).enumerate() {
        let (first, weights) = axis.at(ox);
        let values = line[first * I::LANES..].chunks_exact(I::LANES);
        let mut sum = isa.zero();
        for (value, &weight) in values.zip(weights) {
            sum = isa.fma(isa.load(value), isa.splat(weight), sum);
        }
        isa.store(y, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::resize::{Taps, choose};
    use crate::trial::{assert_close, blocked, each_tier, numbers, planar};

    /// An axis with `count` taps a place, spread over the input, and weights that sum up to 1.
    fn axis(input: usize, output: usize, count: usize) -> ResizeAxis {
        let taps = |o: usize| Taps {
            first: (o * (input - count + 1) / output) as u32,
            count: count as u32,
            weights: (o * count) as u32,
        };
        let weight = |i: usize| {
            let (tap, total) = (i % count, count * (count + 1) / 2);
            (tap + 1) as f32 / total as f32
        };
        ResizeAxis::new(input, (0..output).map(taps).collect(), (0..output * count).map(weight).collect()).unwrap()
    }

    #[test]
    fn any_number_of_taps_equals_the_reference_in_both_layouts() {
        for (vertical, horizontal) in [
            (axis(9, 18, 1), axis(13, 26, 1)),
            (axis(9, 18, 2), axis(13, 26, 2)),
            (axis(9, 5, 4), axis(40, 33, 4)),
            (axis(30, 7, 9), axis(20, 300, 1)),
            (axis(1, 1, 1), axis(1, 3, 1)),
        ] {
            let p = Resize2d { n: 2, c: 5, vertical, horizontal, layout: Layout::Nchw };
            let places = |v: &ResizeAxis, h: &ResizeAxis| (v.input() * h.input(), v.output() * h.output());
            let (inputs, outputs) = places(&p.vertical, &p.horizontal);
            let x = numbers(10 * inputs, 9);
            let want = reference::resize2d(&p, &x);
            each_tier(2048, |tier, ctx| {
                let (kernel, pool, v) = (choose(tier), ctx.pool, tier.lanes());
                let mut y = vec![9.0; want.len()];
                (kernel.run)(&p, &x, &mut y, Ctx { pool, scratch: &mut *ctx.scratch });
                assert_close(kernel.id.name, &y, &want, 1e-6);
                let p = Resize2d { layout: Layout::Nchwc, ..p.clone() };
                let mut y = vec![9.0; 2 * 5usize.next_multiple_of(v) * outputs];
                (kernel.run)(&p, &blocked(&x, [2, 5, inputs], v), &mut y, ctx);
                assert_close(kernel.id.name, &planar(&y, [2, 5, outputs], v), &want, 1e-6);
            });
        }
    }

    #[test]
    fn taps_outside_of_the_input_are_refused() {
        let taps = |first, count, weights| vec![Taps { first, count, weights }];
        assert!(ResizeAxis::new(4, taps(3, 2, 0), vec![0.5; 2]).is_err());
        assert!(ResizeAxis::new(4, taps(2, 2, 1), vec![0.5; 2]).is_err());
        assert!(ResizeAxis::new(4, taps(2, 2, 0), vec![0.5; 2]).is_ok());
    }
}
