//! Resizing as one sum over both axes.

use crate::resize::Resize2d;

/// Resizes `x` `[n][c][ih][iw]` to `[n][c][oh][ow]`; the problem's layout is not looked at.
pub fn resize2d(p: &Resize2d, x: &[f32]) -> Vec<f32> {
    let (rows, columns) = (p.vertical.input(), p.horizontal.input());
    let mut y = Vec::with_capacity(p.n * p.c * p.vertical.output() * p.horizontal.output());
    for plane in 0..p.n * p.c {
        for oy in 0..p.vertical.output() {
            let (top, down) = p.vertical.at(oy);
            for ox in 0..p.horizontal.output() {
                let (left, along) = p.horizontal.at(ox);
                let mut sum = 0.0;
                for (i, &a) in down.iter().enumerate() {
                    for (j, &b) in along.iter().enumerate() {
                        let value = x[(plane * rows + top + i) * columns + left + j];
                        sum += f64::from(value) * f64::from(a) * f64::from(b);
                    }
                }
                y.push(sum as f32);
            }
        }
    }
    y
}
