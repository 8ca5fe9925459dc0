//! Normalisations by their definitions.

use crate::norm::{Affine, Lrn, NormRows, Softmax};

/// Local response normalisation of `x` `[n][c][pixels]`; the problem's layout is not looked at.
pub fn lrn(p: &Lrn, x: &[f32]) -> Vec<f32> {
    let d = f64::from;
    let value = |i: usize| {
        let (plane, pixel) = (i / p.pixels, i % p.pixels);
        let (image, channel) = (plane / p.c, plane % p.c);
        let window = channel.saturating_sub((p.size - 1) / 2)..p.c.min(channel + p.size / 2 + 1);
        let squares = window.map(|c| d(x[(image * p.c + c) * p.pixels + pixel]).powi(2));
        let base = d(p.bias) + d(p.alpha) / p.size as f64 * squares.sum::<f64>();
        (d(x[i]) / base.powf(d(p.beta))) as f32
    };
    (0..x.len()).map(value).collect()
}

/// Softmax, or its logarithm, along the middle of `x` `[outer][len][inner]`.
pub fn softmax(p: &Softmax, x: &[f32]) -> Vec<f32> {
    let value = |i: usize| {
        let first = i / (p.len * p.inner) * p.len * p.inner + i % p.inner;
        let column = (0..p.len).map(|row| f64::from(x[first + row * p.inner]));
        let largest = column.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = column.map(|x| (x - largest).exp()).sum();
        let shifted = f64::from(x[i]) - largest;
        (if p.log { shifted - sum.ln() } else { shifted.exp() / sum }) as f32
    };
    (0..x.len()).map(value).collect()
}

/// Rows of `x` `[outer][len]` normalised by their mean and variance; `scale` and `shift` are empty for 1 and 0.
pub fn norm_rows(p: &NormRows, x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for row in 0..p.outer {
        let values = x[row * p.len..(row + 1) * p.len].iter().map(|&x| f64::from(x));
        let mean = values.clone().sum::<f64>() / p.len as f64;
        let variance = values.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / p.len as f64;
        for (i, value) in values.enumerate() {
            let at = match p.affine {
                Affine::Element => i,
                Affine::Row { channels } => row % channels,
            };
            let (scale, shift) = (scale.get(at).map_or(1.0, |&s| s.into()), shift.get(at).map_or(0.0, |&s| s.into()));
            y.push(((value - mean) / (variance + f64::from(p.epsilon)).sqrt() * scale + shift) as f32);
        }
    }
    y
}
