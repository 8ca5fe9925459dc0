//! Convolution in plain loops over planar images.

use std::ops::Range;

use crate::Conv2d;

/// Each output is one sum; taps outside the image are zeros.
pub(in crate::ladder) fn naive(p: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (oh, ow, icg, ocg) = (p.oh(), p.ow(), p.ic / p.groups, p.oc / p.groups);
    for n in 0..p.n {
        for oc in 0..p.oc {
            for oy in 0..oh {
                for ox in 0..ow {
                    let mut sum = 0.0;
                    for ic in 0..icg {
                        let plane = (n * p.ic + oc / ocg * icg + ic) * p.ih;
                        for ky in 0..p.kh {
                            for kx in 0..p.kw {
                                let iy = (oy * p.stride[0] + ky * p.dilation[0]).wrapping_sub(p.pads.top);
                                let ix = (ox * p.stride[1] + kx * p.dilation[1]).wrapping_sub(p.pads.left);
                                if iy < p.ih && ix < p.iw {
                                    sum += x[(plane + iy) * p.iw + ix] * w[((oc * icg + ic) * p.kh + ky) * p.kw + kx];
                                }
                            }
                        }
                    }
                    // Rows of the output are `ow` long, whatever the input's and the stride.
                    y[((n * p.oc + oc) * oh + oy) * ow + ox] = sum;
                }
            }
        }
    }
}

/// Each tap adds to a whole row of outputs.
pub(in crate::ladder) fn direct(p: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (oh, ow, icg, ocg) = (p.oh(), p.ow(), p.ic / p.groups, p.oc / p.groups);
    y.fill(0.0);
    for n in 0..p.n {
        for oc in 0..p.oc {
            for oy in 0..oh {
                let row = &mut y[((n * p.oc + oc) * oh + oy) * ow..][..ow];
                for ic in 0..icg {
                    let plane = (n * p.ic + oc / ocg * icg + ic) * p.ih;
                    for ky in 0..p.kh {
                        let iy = (oy * p.stride[0] + ky * p.dilation[0]).wrapping_sub(p.pads.top);
                        if iy >= p.ih {
                            continue;
                        }
                        let line = &x[(plane + iy) * p.iw..][..p.iw];
                        for kx in 0..p.kw {
                            let weight = w[((oc * icg + ic) * p.kh + ky) * p.kw + kx];
                            let (inside, first) = inside(p, kx);
                            let from = line.get(first..).unwrap_or_default().iter().step_by(p.stride[1]);
                            for (sum, value) in row[inside].iter_mut().zip(from) {
                                *sum += value * weight;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The outputs of a row that a tap reaches inside the image, and the column of the first of them there.
fn inside(p: &Conv2d, kx: usize) -> (Range<usize>, usize) {
    let tap = kx * p.dilation[1];
    let first = p.pads.left.saturating_sub(tap).div_ceil(p.stride[1]);
    let end = (p.iw + p.pads.left).saturating_sub(tap).div_ceil(p.stride[1]).min(p.ow());
    let first = first.min(end);
    (first..end, (first * p.stride[1] + tap).saturating_sub(p.pads.left))
}

/// The window of each output as a column: `[ic * kh * kw][oh * ow]`, of one image without groups.
pub(super) fn columns(p: &Conv2d, x: &[f32], columns: &mut [f32]) {
    let (oh, ow) = (p.oh(), p.ow());
    let mut rows = columns.chunks_exact_mut(oh * ow);
    for ic in 0..p.ic {
        for ky in 0..p.kh {
            for kx in 0..p.kw {
                let Some(row) = rows.next() else { return };
                let (inside, first) = inside(p, kx);
                for (oy, out) in row.chunks_exact_mut(ow).enumerate() {
                    out.fill(0.0);
                    let iy = (oy * p.stride[0] + ky * p.dilation[0]).wrapping_sub(p.pads.top);
                    if iy < p.ih {
                        let line = &x[(ic * p.ih + iy) * p.iw..][..p.iw];
                        let from = line.get(first..).unwrap_or_default().iter().step_by(p.stride[1]);
                        out[inside.clone()].iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        }
    }
}
