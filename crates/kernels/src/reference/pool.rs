//! Pooling as seven loops.

use crate::pool::{Pool2d, PoolKind};

/// Pools `x` `[n][c][ih][iw]` into `[n][c][oh][ow]`; the problem's layout is not looked at.
pub fn pool2d(p: &Pool2d, kind: PoolKind, x: &[f32]) -> Vec<f32> {
    let mut y = Vec::with_capacity(p.n * p.c * p.oh * p.ow);
    for plane in 0..p.n * p.c {
        for oy in 0..p.oh {
            for ox in 0..p.ow {
                let (mut sum, mut largest, mut real, mut padded) = (0.0, f64::NEG_INFINITY, 0, 0);
                for ky in 0..p.kernel[0] {
                    let row = oy * p.stride[0] + ky * p.dilation[0];
                    for kx in 0..p.kernel[1] {
                        let column = ox * p.stride[1] + kx * p.dilation[1];
                        let in_rows = row < p.pads.top + p.ih + p.pads.bottom;
                        padded += usize::from(in_rows && column < p.pads.left + p.iw + p.pads.right);
                        let (Some(iy), Some(ix)) = (row.checked_sub(p.pads.top), column.checked_sub(p.pads.left))
                        else {
                            continue;
                        };
                        if iy < p.ih && ix < p.iw {
                            let value = f64::from(x[(plane * p.ih + iy) * p.iw + ix]);
                            let more = if largest.is_nan() || value <= largest { largest } else { value };
                            (sum, largest, real) = (sum + value, more, real + 1);
                        }
                    }
                }
                let count = if p.count_include_pad { padded } else { real };
                y.push(match kind {
                    PoolKind::Max => largest,
                    PoolKind::Average => sum / f64::from(count.max(1) as u32),
                } as f32);
            }
        }
    }
    y
}
