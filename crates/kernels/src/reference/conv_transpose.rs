//! Transposed convolution as seven loops.

use super::unary;
use crate::ConvTranspose2d;

/// Spreads `x` `[n][ic][ih][iw]` by `w` `[ic][oc / groups][kh][kw]` over `[n][oc][oh][ow]`; `bias` `[oc]` and
/// `residual` (like the output) are empty where the epilogue has none.
pub fn conv_transpose2d(p: &ConvTranspose2d, x: &[f32], w: &[f32], bias: &[f32], residual: &[f32]) -> Vec<f32> {
    let (oh, ow, icg, ocg) = (p.oh(), p.ow(), p.ic / p.groups, p.oc / p.groups);
    let mut sums = vec![0f64; p.n * p.oc * oh * ow];
    for n in 0..p.n {
        for ic in 0..p.ic {
            for ocl in 0..ocg {
                let plane = (n * p.oc + ic / icg * ocg + ocl) * oh;
                for (iy, ix) in (0..p.ih).flat_map(|iy| (0..p.iw).map(move |ix| (iy, ix))) {
                    let value = f64::from(x[((n * p.ic + ic) * p.ih + iy) * p.iw + ix]);
                    for ky in 0..p.kh {
                        let oy = (iy * p.stride[0] + ky * p.dilation[0]).checked_sub(p.pads.top);
                        let Some(oy) = oy.filter(|&oy| oy < oh) else { continue };
                        for kx in 0..p.kw {
                            let ox = (ix * p.stride[1] + kx * p.dilation[1]).checked_sub(p.pads.left);
                            let Some(ox) = ox.filter(|&ox| ox < ow) else { continue };
                            let weight = w[((ic * ocg + ocl) * p.kh + ky) * p.kw + kx];
                            sums[(plane + oy) * ow + ox] += value * f64::from(weight);
                        }
                    }
                }
            }
        }
    }
    let finish = |(at, sum): (usize, f64)| {
        let bias = bias.get(at / (oh * ow) % p.oc).map_or(0.0, |&b| f64::from(b));
        let residual = residual.get(at).map_or(0.0, |&r| f64::from(r));
        unary(p.epilogue.act, sum + bias + residual) as f32
    };
    sums.into_iter().enumerate().map(finish).collect()
}
