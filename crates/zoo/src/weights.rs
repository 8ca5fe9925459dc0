//! Where parameters come from: a seed, or tensors by name.

use std::collections::{BTreeMap, BTreeSet};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use tilewise_graph::Op;
use tilewise_graph::ops::Cast;
use tilewise_tensor::{AlignedBuffer, DType, Tensor};

/// Where the parameters of a network come from.
#[derive(Clone, Debug)]
pub enum Weights {
    /// All zero: enough to count what a network costs.
    Zeros,
    /// Random numbers that depend on the seed and the parameter's name alone, scaled so that activations keep a
    /// normal range through the depth of the network.
    Seeded(u64),
    /// Trained tensors under the names that torchvision or timm give them. Floating-point types other than f32 are
    /// converted.
    Named(BTreeMap<String, Tensor>),
}

/// How a parameter is drawn where it comes from a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Init {
    /// Bell-shaped around zero, with a standard deviation.
    Normal(f64),
    /// Evenly from a range.
    Uniform(f64, f64),
}

/// What did not fit when the parameters of a network were looked up by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mismatch {
    /// Parameters of the network that are not among the tensors.
    pub missing: Vec<String>,
    /// Parameters whose tensor has another shape or no floating-point type: name, expected, found.
    pub misshapen: Vec<(String, String, String)>,
    /// Tensors that no parameter of the network is named like.
    pub left_over: Vec<String>,
}

/// Tensors of a training state that inference has no use for.
const TRAINING_STATE: &str = "num_batches_tracked";

/// Looks parameters up, and keeps book of what does not fit.
pub(crate) struct Source<'w> {
    weights: &'w Weights,
    used: BTreeSet<String>,
    mismatch: Mismatch,
}

impl<'w> Source<'w> {
    pub(crate) fn new(weights: &'w Weights) -> Self {
        Source { weights, used: BTreeSet::new(), mismatch: Mismatch::default() }
    }

    /// The parameter `name`; zeros where it does not fit, which [`Source::finish`] then tells.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Tensor {
        let zeros = || Tensor::zeros(DType::F32, shape).unwrap_or_else(|_| Tensor::vector::<f32>(&[]));
        match self.weights {
            Weights::Zeros => zeros(),
            Weights::Seeded(seed) => drawn(*seed, name, shape, init).unwrap_or_else(zeros),
            Weights::Named(tensors) => {
                self.used.insert(name.to_owned());
                let Some(tensor) = tensors.get(name) else {
                    self.mismatch.missing.push(name.to_owned());
                    return zeros();
                };
                fitted(tensor, shape).unwrap_or_else(|| {
                    let found = format!("{}{:?}", tensor.dtype(), tensor.shape());
                    self.mismatch.misshapen.push((name.to_owned(), format!("f32{shape:?}"), found));
                    zeros()
                })
            }
        }
    }

    /// What did not fit, now that every parameter was asked for.
    pub(crate) fn finish(mut self) -> Mismatch {
        if let Weights::Named(tensors) = self.weights {
            let unused = tensors.keys().filter(|name| !self.used.contains(*name) && !name.ends_with(TRAINING_STATE));
            self.mismatch.left_over = unused.cloned().collect();
        }
        self.mismatch
    }
}

/// A tensor as f32 of a shape; `None` where it has another shape or no floating-point type.
fn fitted(tensor: &Tensor, shape: &[usize]) -> Option<Tensor> {
    if tensor.shape() != shape || !tensor.dtype().is_float() {
        return None;
    }
    if tensor.dtype() == DType::F32 {
        return Some(tensor.clone());
    }
    Op::from(Cast { to: DType::F32 }).eval(&[Some(tensor)]).ok()?.pop()
}

/// Random numbers for one parameter.
fn drawn(seed: u64, name: &str, shape: &[usize], init: Init) -> Option<Tensor> {
    let count: usize = shape.iter().product();
    let mut buffer = AlignedBuffer::try_zeroed(count.checked_mul(size_of::<f32>())?)?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ hash(name));
    match init {
        Init::Uniform(lo, hi) => {
            for x in buffer.as_mut_slice::<f32>() {
                let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                *x = (lo + (hi - lo) * unit) as f32;
            }
        }
        Init::Normal(deviation) => {
            // The sum of four even 16-bit numbers is close to a bell, at a word of randomness each: its variance is
            // 4 (2^32 - 1) / 12.
            let scale = (deviation / (4.0 * (f64::from(u32::MAX)) / 12.0).sqrt()) as f32;
            for x in buffer.as_mut_slice::<f32>() {
                let word = random.next_u64();
                let sum: u64 = (0..4).map(|part| (word >> (16 * part)) & 0xffff).sum();
                *x = (sum as f32 - 2.0 * 65535.0) * scale;
            }
        }
    }
    Tensor::from_bytes(DType::F32, shape, buffer.into()).ok()
}

/// FNV-1a: the same on every machine and in every version.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn drawn_numbers_have_the_moments_asked_for() {
        for (init, mean, deviation) in
            [(Init::Normal(0.25), 0.0, 0.25), (Init::Uniform(0.5, 1.5), 1.0, 1.0 / 12f64.sqrt())]
        {
            let tensor = drawn(7, "w", &[100, 1000], init).unwrap();
            let values = tensor.values::<f32>().unwrap();
            let n = values.len() as f64;
            let m = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let v = values.iter().map(|&x| (f64::from(x) - m).powi(2)).sum::<f64>() / n;
            assert!((m - mean).abs() < 4.0 * deviation / n.sqrt(), "{init:?}: mean {m}");
            assert!((v.sqrt() / deviation - 1.0).abs() < 0.01, "{init:?}: deviation {}", v.sqrt());
        }
    }

    #[test]
    fn parameters_depend_on_seed_and_name_alone() {
        let bytes = |seed, name| drawn(seed, name, &[64], Init::Normal(1.0)).unwrap().bytes().to_vec();
        assert_eq!(bytes(1, "a"), bytes(1, "a"));
        assert_ne!(bytes(1, "a"), bytes(1, "b"));
        assert_ne!(bytes(1, "a"), bytes(2, "a"));
    }

    #[test]
    fn what_does_not_fit_is_listed() {
        let tensor = |shape: &[usize]| Tensor::zeros(DType::F32, shape).unwrap();
        let half = Tensor::from_slice(&[2], &[half_one(), half_one()]).unwrap();
        let tensors = [
            ("good", tensor(&[2])),
            ("half", half),
            ("wide", tensor(&[3])),
            ("other", tensor(&[2])),
            ("bn.num_batches_tracked", tensor(&[])),
        ];
        let weights = Weights::Named(tensors.into_iter().map(|(name, t)| (name.to_owned(), t)).collect());
        let mut source = Source::new(&weights);
        for name in ["good", "half", "wide", "gone"] {
            let found = source.parameter(name, &[2], Init::Normal(1.0));
            assert_eq!((found.dtype(), found.shape()), (DType::F32, &[2][..]));
        }
        let expected = Mismatch {
            missing: vec!["gone".into()],
            misshapen: vec![("wide".into(), "f32[2]".into(), "f32[3]".into())],
            left_over: vec!["other".into()],
        };
        assert_eq!(source.finish(), expected);
    }

    fn half_one() -> half::f16 {
        half::f16::ONE
    }
}
