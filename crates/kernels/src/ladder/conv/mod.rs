//! Convolution: the rungs.

pub(super) mod count;
pub(super) mod kernel;
pub(super) mod plain;

use super::operands::{aligned, numbers, zeros};
use super::{Built, Computation, Rung};
use crate::conv::ConvKernel;
use crate::gemm::{Gemm, Strides};
use crate::{Conv2d, Cpu, Epilogue, Pads, reference};
use kernel::Prepared;

/// As many output as input channels, square images and kernels, and zeros around that keep the size at stride 1.
pub(super) fn problem(sizes: &[usize]) -> Result<Conv2d, String> {
    let [channels, pixels, kernel, stride] = match *sizes {
        [channels, pixels, kernel] => [channels, pixels, kernel, 1],
        [channels, pixels, kernel, stride] => [channels, pixels, kernel, stride],
        _ => return Err("three or four numbers".to_owned()),
    };
    if sizes.iter().any(|size| !(1..=4096).contains(size)) {
        return Err("a number is not from 1 to 4096".to_owned());
    }
    let pad = kernel / 2;
    let p = Conv2d {
        n: 1,
        ic: channels,
        ih: pixels,
        iw: pixels,
        oc: channels,
        kh: kernel,
        kw: kernel,
        stride: [stride; 2],
        dilation: [1; 2],
        pads: Pads { top: pad, left: pad, bottom: pad, right: pad },
        groups: 1,
        epilogue: Epilogue::default(),
    };
    p.validated().map_err(|error| error.to_string())
}

/// The input image.
pub(super) fn image(p: &Conv2d) -> Vec<f32> {
    numbers(p.n * p.ic * p.ih * p.iw, 1)
}

/// Weights that keep the range of the values.
pub(super) fn weights(p: &Conv2d, seed: u64) -> Vec<f32> {
    let fan_in = p.ic / p.groups * p.kh * p.kw;
    let scale = (3.0 / fan_in as f32).sqrt();
    numbers(p.oc * fan_in, seed).into_iter().map(|w| w * scale).collect()
}

/// Seed of the weights of the ladder's convolution.
pub(super) const SEED: u64 = 2;

pub(super) fn output_len(p: &Conv2d) -> usize {
    p.n * p.oc * p.oh() * p.ow()
}

static CONVOLUTION: Computation<Conv2d> =
    Computation { macs: Conv2d::macs, reference: |p| reference::conv2d(p, &image(p), &weights(p, SEED), &[], &[]) };

/// The row of a rung that is a kernel of the engine, the first of some operators that computes the problem.
macro_rules! engine_rung {
    ($name:literal, $change:literal, $ops:expr) => {
        Rung {
            name: $name,
            change: $change,
            of: &CONVOLUTION,
            traffic: |p, cpu| count::kernel(p, named(p, cpu, $ops)?, cpu),
            build: |p, cpu| kernel_rung(p, cpu, $ops),
        }
    };
}

/// The operators of kernels with sums of products and no transform.
const DIRECT: &[&str] = &["conv-depthwise", "conv-pointwise", "conv-direct"];

/// The steps, slowest first; what the engine has no kernel for is left out.
pub(super) static RUNGS: &[Rung<Conv2d>] = &[
    Rung {
        name: "naive",
        change: "Seven loops as they are written down: each output is one sum, and each tap asks whether it is inside \
                 the image.",
        of: &CONVOLUTION,
        traffic: |p, cpu| Some(count::naive(p).traffic(cpu)),
        build: |p, _| Some(plain_rung(p, plain::naive)),
    },
    Rung {
        name: "direct",
        change: "The same seven loops in another order: a row of outputs is innermost, so that neighbours are read \
                 together, and the borders are cut off before it.",
        of: &CONVOLUTION,
        traffic: |p, cpu| Some(count::direct(p).traffic(cpu)),
        build: |p, _| Some(plain_rung(p, plain::direct)),
    },
    Rung {
        name: "im2col-gemm",
        change: "The window of every output becomes a column of a matrix, as many times the image as the kernel has \
                 taps, and the engine's matrix product does the rest.",
        of: &CONVOLUTION,
        traffic: |p, cpu| Some(count::im2col(p, &product(p), cpu)),
        build: im2col_rung,
    },
    engine_rung!(
        "blocked-direct",
        "The engine's direct kernel: vectors of channels, weights in the tile's order, pixels times channels \
         of sums in registers, and no matrix of columns.",
        DIRECT
    ),
    engine_rung!(
        "winograd-f2",
        "Squares of 2 x 2 outputs from 4 x 4 products: 2.25 times fewer multiply-adds for 3 x 3, paid with \
         additions.",
        &["conv-winograd2"]
    ),
    engine_rung!(
        "winograd-f4",
        "Squares of 4 x 4 outputs from 6 x 6 products: 4 times fewer, larger weights, more rounding.",
        &["conv-winograd4"]
    ),
    engine_rung!(
        "winograd-f6",
        "Squares of 6 x 6 outputs from 8 x 8 products: 5.06 times fewer, and the transforms cost as much again.",
        &["conv-winograd6"]
    ),
    engine_rung!(
        "fft",
        "Products of Fourier transforms by tiles: what a tap costs no longer depends on how many there are.",
        &["conv-fft"]
    ),
];

/// A rung of plain code on one thread.
pub(super) fn plain_rung(p: &Conv2d, f: fn(&Conv2d, &[f32], &[f32], &mut [f32])) -> Built {
    let (p, x, w) = (*p, aligned(&image(p)), aligned(&weights(p, SEED)));
    Built::new(output_len(&p), move |y, _| f(&p, x.as_slice(), w.as_slice(), y))
}

/// The engine's kernel with sums of products and no transform.
pub(super) fn direct(p: &Conv2d, cpu: &Cpu) -> Option<&'static ConvKernel> {
    named(p, cpu, DIRECT)
}

/// The fastest by count of the kernels for `p` whose operator begins as the first of `ops` that there is any of.
fn named(p: &Conv2d, cpu: &Cpu, ops: &[&str]) -> Option<&'static ConvKernel> {
    ops.iter().find_map(|op| {
        let rows = crate::conv::candidates(p, cpu).filter(|row| row.id.op.starts_with(op));
        rows.min_by_key(|row| crate::conv::cycles(p, row, cpu))
    })
}

/// A kernel with weights packed ahead and the image in its layout, as both are inside a network.
fn kernel_rung(p: &Conv2d, cpu: &Cpu, ops: &[&str]) -> Option<Built> {
    let row = cpu.tier.available().then(|| named(p, cpu, ops)).flatten()?;
    let mut prepared = Prepared::new(p, row, cpu, &weights(p, SEED), &[], &[]);
    let x = prepared.input(&image(p));
    let output = prepared.output();
    Some(Built {
        y: zeros(output.len()),
        run: Box::new(move |y, pool| prepared.run(x.as_slice(), y, pool)),
        plain: Box::new(move |y| output.plain(y)),
    })
}

/// The product of weights and columns.
fn product(p: &Conv2d) -> Gemm {
    let (k, n) = (p.ic * p.kh * p.kw, p.oh() * p.ow());
    let (a, b) = (Strides { row: k, col: 1 }, Strides { row: n, col: 1 });
    Gemm { m: p.oc, n, k, a, b, alpha: 1.0, epilogue: Epilogue::default() }
}

fn im2col_rung(p: &Conv2d, cpu: &Cpu) -> Option<Built> {
    if p.groups != 1 || p.n != 1 || !cpu.tier.available() {
        return None;
    }
    let (p, gemm) = (*p, product(p));
    let mut columns = zeros(gemm.k * gemm.n);
    let mut packed = super::gemm::Packed::new(gemm, cpu);
    let (x, w) = (aligned(&image(&p)), aligned(&weights(&p, SEED)));
    Some(Built::new(output_len(&p), move |y, pool| {
        plain::columns(&p, x.as_slice(), columns.as_mut_slice());
        packed.run(w.as_slice(), columns.as_slice(), y, pool);
    }))
}
