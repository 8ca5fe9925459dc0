//! Batch norm and ReLU behind a convolution: as layers, as one pass, and folded into the weights.

use super::{Pass, chain, chosen, context, relu, shape, with_passes};
use crate::eltwise::{AffineProblem, choose_affine};
use crate::ladder::conv::kernel::{Image, Prepared, padded};
use crate::ladder::conv::{SEED, image, weights};
use crate::ladder::operands::numbers;
use crate::ladder::{Built, Computation, Rung};
use crate::{Conv2d, Cpu, Epilogue, Unary, reference};

/// Added to the variance.
const EPSILON: f32 = 1e-5;

static NORMALIZED: Computation<Conv2d> = Computation {
    macs: Conv2d::macs,
    reference: |p| {
        let mut y = reference::conv2d(p, &image(p), &weights(p, SEED), &[], &[]);
        let norm = Norm::of(p);
        let pixels = p.oh() * p.ow();
        for (at, value) in y.iter_mut().enumerate() {
            let c = at / pixels % p.oc;
            let [gamma, beta, mean, variance] = norm.at(c).map(f64::from);
            let normal = (f64::from(*value) - mean) / (variance + f64::from(EPSILON)).sqrt();
            *value = (gamma * normal + beta).max(0.0) as f32;
        }
        y
    },
};

/// Three layers, two, one.
pub(in crate::ladder) static RUNGS: &[Rung<Conv2d>] = &[
    Rung {
        name: "separate",
        change: "Three layers: the convolution, batch norm by its formula, and ReLU, each a pass over the whole image.",
        of: &NORMALIZED,
        traffic: |p, cpu| with_passes(p, cpu, 4),
        build: |p, cpu| {
            let first = convolution(p, cpu)?;
            let passes = vec![formula(&first.output(), Norm::of(p)), relu(&first.output())];
            Some(chain(first, &image(p), passes))
        },
    },
    Rung {
        name: "one-pass",
        change: "At inference mean and variance are constants: a factor and an offset a channel, with ReLU in the same \
                 pass.",
        of: &NORMALIZED,
        traffic: |p, cpu| with_passes(p, cpu, 2),
        build: |p, cpu| {
            let first = convolution(p, cpu)?;
            let pass = affine(&first.output(), &Norm::of(p));
            Some(chain(first, &image(p), vec![pass]))
        },
    },
    Rung {
        name: "folded",
        change: "The factor goes into the weights, the offset becomes the bias, and ReLU is done before the store: \
                 nothing is left of the layers.",
        of: &NORMALIZED,
        traffic: |p, cpu| with_passes(p, cpu, 0),
        build: folded,
    },
];

/// The four numbers a channel of batch norm.
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Norm {
    fn of(p: &Conv2d) -> Self {
        let around = |center: f32, seed| numbers(p.oc, seed).into_iter().map(|x| center + 0.5 * x).collect();
        Norm { gamma: around(1.0, 11), beta: around(0.0, 12), mean: around(0.0, 13), variance: around(1.0, 14) }
    }

    fn at(&self, channel: usize) -> [f32; 4] {
        [&self.gamma, &self.beta, &self.mean, &self.variance].map(|values| values[channel])
    }

    /// Factor and offset of each channel.
    fn folded(&self) -> (Vec<f32>, Vec<f32>) {
        let scale = |c: usize| self.gamma[c] / (self.variance[c] + EPSILON).sqrt();
        let scales: Vec<f32> = (0..self.gamma.len()).map(scale).collect();
        let shifts = scales.iter().enumerate().map(|(c, scale)| self.beta[c] - self.mean[c] * scale).collect();
        (scales, shifts)
    }
}

fn convolution(p: &Conv2d, cpu: &Cpu) -> Option<Prepared> {
    Some(Prepared::new(p, chosen(p, cpu)?, cpu, &weights(p, SEED), &[], &[]))
}

/// The formula as it is written down, for every value.
fn formula(output: &Image, norm: Norm) -> Pass {
    let [_, planes, pixels, lanes] = shape(output);
    Box::new(move |x, y, _| {
        let both = x.chunks_exact(pixels * lanes).zip(y.chunks_exact_mut(pixels * lanes));
        for (plane, (x, y)) in both.enumerate() {
            for (at, (x, y)) in x.iter().zip(y).enumerate() {
                // The lanes past the last channel take its numbers.
                let c = (plane % planes * lanes + at % lanes).min(norm.gamma.len() - 1);
                let [gamma, beta, mean, variance] = norm.at(c);
                *y = gamma * (x - mean) / (variance + EPSILON).sqrt() + beta;
            }
        }
    })
}

fn affine(output: &Image, norm: &Norm) -> Pass {
    let ([n, period, pixels, lanes], row) = (shape(output), choose_affine(output.tier));
    let (scale, shift) = norm.folded();
    let [scale, shift] = [scale, shift].map(|values| padded(&values, lanes));
    let problem = AffineProblem { planes: n * period, period, pixels, act: Unary::Relu };
    let run = if lanes > 1 { row.blocked } else { row.planar };
    Box::new(move |x, y, pool| run(&problem, x, scale.as_slice(), shift.as_slice(), y, context(pool)))
}

fn folded(p: &Conv2d, cpu: &Cpu) -> Option<Built> {
    let epilogue = Epilogue { bias: true, residual: false, act: Unary::Relu };
    let p = Conv2d { epilogue, ..*p };
    let (scale, shift) = Norm::of(&p).folded();
    let mut w = weights(&p, SEED);
    for (filter, scale) in w.chunks_exact_mut(p.ic / p.groups * p.kh * p.kw).zip(&scale) {
        filter.iter_mut().for_each(|w| *w *= scale);
    }
    Some(chain(Prepared::new(&p, chosen(&p, cpu)?, cpu, &w, &shift, &[]), &image(&p), Vec::new()))
}
