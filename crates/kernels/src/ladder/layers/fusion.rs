//! Bias, a sum with another image, and ReLU behind a convolution: as layers, as one, and before the store.

use super::{Pass, chain, chosen, context, relu, shape, with_passes};
use crate::eltwise::{Binary, BinaryProblem, Broadcast, choose_binary};
use crate::ladder::conv::kernel::{Image, Prepared, padded};
use crate::ladder::conv::{SEED, image, output_len, weights};
use crate::ladder::operands::numbers;
use crate::ladder::{Computation, Rung};
use crate::{Conv2d, Cpu, Epilogue, Unary, reference};

static RESIDUAL_BLOCK: Computation<Conv2d> = Computation {
    macs: Conv2d::macs,
    reference: |p| {
        let p = Conv2d { epilogue: ALL, ..*p };
        reference::conv2d(&p, &image(&p), &weights(&p, SEED), &bias(&p), &residual(&p))
    },
};

const ALL: Epilogue = Epilogue { bias: true, residual: true, act: Unary::Relu };

/// Four layers, two, one.
pub(in crate::ladder) static RUNGS: &[Rung<Conv2d>] = &[
    Rung {
        name: "separate",
        change: "Four layers: the convolution, its bias, the sum with another image, and ReLU; each reads and writes \
                 the whole image.",
        of: &RESIDUAL_BLOCK,
        traffic: |p, cpu| with_passes(p, cpu, 7),
        build: |p, cpu| {
            let first = convolution(p, cpu, Epilogue::default())?;
            let output = first.output();
            let passes = [add_bias(p, &output), add_image(p, &output, Unary::Identity), Some(relu(&output))];
            Some(chain(first, &image(p), passes.into_iter().collect::<Option<Vec<Pass>>>()?))
        },
    },
    Rung {
        name: "two-layers",
        change: "The bias is added before the convolution's store; the sum and ReLU are one pass.",
        of: &RESIDUAL_BLOCK,
        traffic: |p, cpu| with_passes(p, cpu, 3),
        build: |p, cpu| {
            let first = convolution(p, cpu, Epilogue { bias: true, ..Epilogue::default() })?;
            let pass = add_image(p, &first.output(), Unary::Relu)?;
            Some(chain(first, &image(p), vec![pass]))
        },
    },
    Rung {
        name: "fused",
        change: "All of it happens to a sum that is still in a register: what is left is one read of the other image.",
        of: &RESIDUAL_BLOCK,
        traffic: |p, cpu| with_passes(p, cpu, 1),
        build: |p, cpu| Some(chain(convolution(p, cpu, ALL)?, &image(p), Vec::new())),
    },
];

fn bias(p: &Conv2d) -> Vec<f32> {
    numbers(p.oc, 21)
}

fn residual(p: &Conv2d) -> Vec<f32> {
    numbers(output_len(p), 22)
}

fn convolution(p: &Conv2d, cpu: &Cpu, epilogue: Epilogue) -> Option<Prepared> {
    let p = Conv2d { epilogue, ..*p };
    let bias = if epilogue.bias { bias(&p) } else { Vec::new() };
    Some(Prepared::new(&p, chosen(&p, cpu)?, cpu, &weights(&p, SEED), &bias, &residual(&p)))
}

fn add_bias(p: &Conv2d, output: &Image) -> Option<Pass> {
    let [n, planes, pixels, lanes] = shape(output);
    let broadcast = Broadcast::new(&[n, planes, pixels, lanes], &[planes, 1, lanes])?;
    let (problem, row) =
        (BinaryProblem { op: Binary::Add, act: Unary::Identity, broadcast }, choose_binary(output.tier));
    let bias = padded(&bias(p), lanes);
    Some(Box::new(move |x, y, pool| (row.run)(&problem, x, bias.as_slice(), y, context(pool))))
}

fn add_image(p: &Conv2d, output: &Image, act: Unary) -> Option<Pass> {
    let broadcast = Broadcast::new(&[output.len()], &[output.len()])?;
    let (problem, row) = (BinaryProblem { op: Binary::Add, act, broadcast }, choose_binary(output.tier));
    let other = output.of(&residual(p));
    Some(Box::new(move |x, y, pool| (row.run)(&problem, x, other.as_slice(), y, context(pool))))
}
