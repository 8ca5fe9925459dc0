//! Matrix multiplication in plain loops.

use super::Product;

/// Dot products of rows of A with columns of B.
pub(super) fn naive(p: &Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..p.m {
        for j in 0..p.n {
            let mut sum = 0.0;
            for k in 0..p.k {
                sum += a[i * p.k + k] * b[k * p.n + j];
            }
            c[i * p.n + j] = sum;
        }
    }
}

/// The same dot products, cut to blocks of a side. The last block of each dimension is what is left of it.
pub(super) fn blocked(p: &Product, side: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    c.fill(0.0);
    hierarchy(p, [0..p.m, 0..p.n, 0..p.k], &[side], a, b, c);
}

/// Blocks inside blocks. The inner loops end where the outer block does.
pub(super) fn hierarchical(p: &Product, sides: [usize; 2], a: &[f32], b: &[f32], c: &mut [f32]) {
    c.fill(0.0);
    hierarchy(p, [0..p.m, 0..p.n, 0..p.k], &sides, a, b, c);
}

type Range = std::ops::Range<usize>;

/// Adds the part of the product that `within` spans, in blocks of the first side, each in blocks of the next.
fn hierarchy(p: &Product, within: [Range; 3], sides: &[usize], a: &[f32], b: &[f32], c: &mut [f32]) {
    let Some((&side, inner)) = sides.split_first() else { return block(p, within, a, b, c) };
    let [rows, columns, depth] = within;
    let pieces = |range: &Range| {
        let range = range.clone();
        range.clone().step_by(side).map(move |start| start..range.end.min(start + side))
    };
    for i in pieces(&rows) {
        for j in pieces(&columns) {
            for k in pieces(&depth) {
                hierarchy(p, [i.clone(), j.clone(), k], inner, a, b, c);
            }
        }
    }
}

fn block(p: &Product, [rows, columns, depth]: [Range; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in rows {
        for j in columns.clone() {
            let mut sum = c[i * p.n + j];
            for k in depth.clone() {
                sum += a[i * p.k + k] * b[k * p.n + j];
            }
            c[i * p.n + j] = sum;
        }
    }
}
