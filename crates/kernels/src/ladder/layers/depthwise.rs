//! A dense convolution against a depthwise one with a pointwise one behind it.

use super::{chain, chosen};
use crate::conv::fused::{self, FusedArgs};
use crate::ladder::conv::kernel::Prepared;
use crate::ladder::conv::{SEED, count, direct, image, output_len, plain, weights};
use crate::ladder::nest::Traffic;
use crate::ladder::operands::{aligned, zeros};
use crate::ladder::{Built, Computation, Rung};
use crate::{Conv2d, Cpu, Ctx, DepthwisePointwise, Pads, reference};

static DENSE: Computation<Conv2d> =
    Computation { macs: Conv2d::macs, reference: |p| reference::conv2d(p, &image(p), &weights(p, SEED), &[], &[]) };

static SEPARATED: Computation<Conv2d> = Computation {
    macs: |p| pair(p).macs(),
    reference: |p| {
        let pair = pair(p);
        let [first, second] = pair_weights(&pair);
        reference::depthwise_pointwise(&pair, &image(p), [&first, &second], [&[]; 2], &[])
    },
};

/// Dense first, then separable.
pub(in crate::ladder) static RUNGS: &[Rung<Conv2d>] = &[
    Rung {
        name: "dense-direct",
        change: "A dense convolution by the engine's direct kernel: every output sees all channels of its window.",
        of: &DENSE,
        traffic: |p, cpu| count::kernel(p, direct(p, cpu)?, cpu),
        build: |p, cpu| {
            let row = cpu.tier.available().then(|| direct(p, cpu)).flatten()?;
            Some(chain(Prepared::new(p, row, cpu, &weights(p, SEED), &[], &[]), &image(p), Vec::new()))
        },
    },
    Rung {
        name: "dense-chosen",
        change: "The same by the kernel that the engine chooses, which may be Winograd's.",
        of: &DENSE,
        traffic: |p, cpu| count::kernel(p, chosen(p, cpu)?, cpu),
        build: |p, cpu| {
            let row = chosen(p, cpu)?;
            Some(chain(Prepared::new(p, row, cpu, &weights(p, SEED), &[], &[]), &image(p), Vec::new()))
        },
    },
    Rung {
        name: "separable-loops",
        change: "Each channel by itself and then all channels of each pixel, in plain loops: fewer multiply-adds, and \
                 fewer for each value that is read.",
        of: &SEPARATED,
        traffic: |p, cpu| {
            let pair = pair(p);
            let first = count::direct(&pair.depthwise).traffic(cpu);
            Some(first.then(count::direct(&pair.pointwise).traffic(cpu)))
        },
        build: |p, _| Some(loops(p)),
    },
    Rung {
        name: "separable",
        change: "The engine's two kernels, one after the other; the image between them is written and read again.",
        of: &SEPARATED,
        traffic: |p, cpu| two_kernels(&pair(p), cpu),
        build: separate,
    },
    Rung {
        name: "separable-fused",
        change: "Both in one kernel: a strip of the depthwise output goes from L2 into the pointwise tiles.",
        of: &SEPARATED,
        traffic: |p, cpu| {
            let pair = pair(p);
            let mut traffic = two_kernels(&pair, cpu)?;
            // Beyond L2 there are the two images and the weights.
            let (dw, pw) = (&pair.depthwise, &pair.pointwise);
            let images = dw.ic * dw.ih * dw.iw + output_len(pw);
            let both = Traffic::first(images + dw.oc * dw.kh * dw.kw + pw.ic * pw.oc);
            traffic.served[2..].copy_from_slice(&both.served[2..]);
            Some(traffic)
        },
        build: fused_rung,
    },
];

/// The separable convolution in the place of a dense one.
fn pair(p: &Conv2d) -> DepthwisePointwise {
    let depthwise = Conv2d { oc: p.ic, groups: p.ic, ..*p };
    let pointwise = Conv2d {
        ih: depthwise.oh(),
        iw: depthwise.ow(),
        kh: 1,
        kw: 1,
        stride: [1; 2],
        dilation: [1; 2],
        pads: Pads::default(),
        ..*p
    };
    DepthwisePointwise { depthwise, pointwise }
}

fn pair_weights(pair: &DepthwisePointwise) -> [Vec<f32>; 2] {
    [weights(&pair.depthwise, SEED), weights(&pair.pointwise, SEED + 1)]
}

fn two_kernels(pair: &DepthwisePointwise, cpu: &Cpu) -> Option<Traffic> {
    let [first, second] = [&pair.depthwise, &pair.pointwise].map(|p| count::kernel(p, chosen(p, cpu)?, cpu));
    Some(first?.then(second?))
}

fn loops(p: &Conv2d) -> Built {
    let pair = pair(p);
    let x = aligned(&image(p));
    let [first, second] = pair_weights(&pair).map(|w| aligned(&w));
    let mut between = zeros(output_len(&pair.depthwise));
    Built::new(output_len(&pair.pointwise), move |y, _| {
        plain::direct(&pair.depthwise, x.as_slice(), first.as_slice(), between.as_mut_slice());
        plain::direct(&pair.pointwise, between.as_slice(), second.as_slice(), y);
    })
}

fn separate(p: &Conv2d, cpu: &Cpu) -> Option<Built> {
    let pair = pair(p);
    let [first, second] = pair_weights(&pair);
    let mut first = Prepared::new(&pair.depthwise, chosen(&pair.depthwise, cpu)?, cpu, &first, &[], &[]);
    let mut second = Prepared::new(&pair.pointwise, chosen(&pair.pointwise, cpu)?, cpu, &second, &[], &[]);
    let (x, mut between, output) = (first.input(&image(p)), zeros(first.output().len()), second.output());
    Some(Built {
        y: zeros(output.len()),
        run: Box::new(move |y, pool| {
            first.run(x.as_slice(), between.as_mut_slice(), pool);
            second.run(between.as_slice(), y, pool);
        }),
        plain: Box::new(move |y| output.plain(y)),
    })
}

fn fused_rung(p: &Conv2d, cpu: &Cpu) -> Option<Built> {
    if !cpu.tier.available() {
        return None;
    }
    let pair = pair(p);
    let row = fused::choose(cpu.tier);
    let [first, second] = pair_weights(&pair);
    // The kernels of the two halves pack the weights and know the layouts.
    let parts = [(&pair.depthwise, row.depthwise, &first), (&pair.pointwise, row.pointwise, &second)];
    let [first, second] = parts.map(|(p, row, w)| Prepared::new(p, row, cpu, w, &[], &[]));
    let blocks = (row.blocks)(&pair, cpu);
    let mut scratch = zeros((row.scratch_len)(&pair, &blocks, cpu.cores));
    let (x, output) = (first.input(&image(p)), second.output());
    Some(Built {
        y: zeros(output.len()),
        run: Box::new(move |y, pool| {
            let w = [first.weights(), second.weights()];
            let args = FusedArgs { x: x.as_slice(), w, bias: [&[]; 2], residual: &[], y };
            (row.run)(&pair, &blocks, args, Ctx { pool, scratch: scratch.as_mut_slice() });
        }),
        plain: Box::new(move |y| output.plain(y)),
    })
}
