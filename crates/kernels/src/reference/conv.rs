//! Convolution as seven loops.

use super::unary;
use crate::{Conv2d, DepthwisePointwise};

/// Convolves `x` `[n][ic][ih][iw]` with `w` `[oc][ic / groups][kh][kw]` into `[n][oc][oh][ow]`; `bias` `[oc]` and
/// `residual` (like the output) are empty where the epilogue has none.
pub fn conv2d(p: &Conv2d, x: &[f32], w: &[f32], bias: &[f32], residual: &[f32]) -> Vec<f32> {
    let (oh, ow, icg, ocg) = (p.oh(), p.ow(), p.ic / p.groups, p.oc / p.groups);
    let mut y = Vec::with_capacity(p.n * p.oc * oh * ow);
    for n in 0..p.n {
        for oc in 0..p.oc {
            for oy in 0..oh {
                for ox in 0..ow {
                    let mut sum = bias.get(oc).map_or(0.0, |&b| f64::from(b));
                    for ic in 0..icg {
                        let plane = (n * p.ic + oc / ocg * icg + ic) * p.ih;
                        for ky in 0..p.kh {
                            let iy = (oy * p.stride[0] + ky * p.dilation[0]).checked_sub(p.pads.top);
                            let Some(iy) = iy.filter(|&iy| iy < p.ih) else { continue };
                            for kx in 0..p.kw {
                                let ix = (ox * p.stride[1] + kx * p.dilation[1]).checked_sub(p.pads.left);
                                let Some(ix) = ix.filter(|&ix| ix < p.iw) else { continue };
                                let weight = w[((oc * icg + ic) * p.kh + ky) * p.kw + kx];
                                sum += f64::from(x[(plane + iy) * p.iw + ix]) * f64::from(weight);
                            }
                        }
                    }
                    sum += residual.get(y.len()).map_or(0.0, |&r| f64::from(r));
                    y.push(unary(p.epilogue.act, sum) as f32);
                }
            }
        }
    }
    y
}

/// The two convolutions of a separable one in sequence, from `x` `[n][c][ih][iw]` to `[n][oc][oh][ow]`; `w` and `bias`
/// are those of the depthwise and of the pointwise one, as [`conv2d`] takes them, and `residual` is the second's.
pub fn depthwise_pointwise(
    p: &DepthwisePointwise,
    x: &[f32],
    w: [&[f32]; 2],
    bias: [&[f32]; 2],
    residual: &[f32],
) -> Vec<f32> {
    let between = conv2d(&p.depthwise, x, w[0], bias[0], &[]);
    conv2d(&p.pointwise, &between, w[1], bias[1], residual)
}
