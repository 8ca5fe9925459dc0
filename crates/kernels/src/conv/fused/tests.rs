//! Fused pairs against the naive convolutions in sequence, and bit for bit against the two kernels.

use tilewise_tensor::AlignedBuffer;

use super::*;
use crate::trial::{Random, assert_close, blocked, planar};
use crate::{Conv2d, Epilogue, Pads, Pool, Unary, reference};

/// Operands as `[n][c][h][w]`.
struct Operands {
    x: Vec<f32>,
    w: [Vec<f32>; 2],
    bias: [Vec<f32>; 2],
    residual: Vec<f32>,
}

impl Operands {
    fn new(p: &DepthwisePointwise, r: &mut Random) -> Self {
        let (dw, pw) = (&p.depthwise, &p.pointwise);
        let mut bias = |p: &Conv2d| r.values(if p.epilogue.bias { p.oc } else { 0 });
        let bias = [bias(dw), bias(pw)];
        Operands {
            x: r.values(dw.n * dw.ic * dw.ih * dw.iw),
            w: [r.values(dw.oc * dw.kh * dw.kw), r.values(pw.oc * pw.ic)],
            bias,
            residual: r.values(if pw.epilogue.residual { pw.n * pw.oc * pw.ih * pw.iw } else { 0 }),
        }
    }
}

/// Operands in the layout of a tier, with NaN in the lanes that hold no channel.
struct Blocked {
    x: Vec<f32>,
    w: [Vec<f32>; 2],
    bias: [Vec<f32>; 2],
    residual: Vec<f32>,
    y: Vec<f32>,
}

impl Blocked {
    fn new(row: &FusedKernel, p: &DepthwisePointwise, o: &Operands) -> Self {
        let (dw, pw, lanes) = (&p.depthwise, &p.pointwise, row.id.tier.lanes());
        let pack = |kernel: &ConvKernel, p: &Conv2d, w: &[f32]| {
            let mut packed = vec![f32::NAN; (kernel.packed_len)(p)];
            (kernel.pack)(p, w, &mut packed);
            packed
        };
        let bias = |b: &Vec<f32>| blocked(b, [1, b.len(), 1], lanes);
        let out = [pw.n, pw.oc, pw.ih * pw.iw];
        Blocked {
            x: blocked(&o.x, [dw.n, dw.ic, dw.ih * dw.iw], lanes),
            w: [pack(row.depthwise, dw, &o.w[0]), pack(row.pointwise, pw, &o.w[1])],
            bias: [bias(&o.bias[0]), bias(&o.bias[1])],
            residual: if o.residual.is_empty() { Vec::new() } else { blocked(&o.residual, out, lanes) },
            y: vec![f32::NAN; pw.n * pw.oc.next_multiple_of(lanes) * out[2]],
        }
    }
}

fn buffer(len: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(len * size_of::<f32>());
    buffer.as_mut_slice().fill(f32::NAN);
    buffer
}

/// The output of the fused kernel as `[n][oc][oh][ow]`.
fn run_fused(row: &FusedKernel, p: &DepthwisePointwise, blocks: &ConvBlocks, o: &Operands, pool: &Pool) -> Vec<f32> {
    let mut b = Blocked::new(row, p, o);
    let mut scratch = buffer((row.scratch_len)(p, blocks, pool.threads()));
    let args = FusedArgs {
        x: &b.x,
        w: [&b.w[0], &b.w[1]],
        bias: [&b.bias[0], &b.bias[1]],
        residual: &b.residual,
        y: &mut b.y,
    };
    (row.run)(p, blocks, args, Ctx { pool, scratch: scratch.as_mut_slice() });
    planar(&b.y, [p.pointwise.n, p.pointwise.oc, p.pointwise.ih * p.pointwise.iw], row.id.tier.lanes())
}

/// The output of the two kernels one after the other.
fn run_apart(row: &FusedKernel, p: &DepthwisePointwise, o: &Operands, pool: &Pool, cpu: &Cpu) -> Vec<f32> {
    let mut b = Blocked::new(row, p, o);
    let mut between =
        vec![
            f32::NAN;
            p.pointwise.n * p.pointwise.ic.next_multiple_of(row.id.tier.lanes()) * { p.pointwise.ih * p.pointwise.iw }
        ];
    let args = ConvArgs { x: &b.x, w: &b.w[0], bias: &b.bias[0], residual: &[], y: &mut between };
    (row.depthwise.run)(&p.depthwise, &(row.depthwise.blocks)(&p.depthwise, cpu), args, Ctx { pool, scratch: &mut [] });
    let args = ConvArgs { x: &between, w: &b.w[1], bias: &b.bias[1], residual: &b.residual, y: &mut b.y };
    let blocks = (row.pointwise.blocks)(&p.pointwise, cpu);
    let mut scratch = buffer((row.pointwise.scratch_len)(&p.pointwise, &blocks, pool.threads()));
    (row.pointwise.run)(&p.pointwise, &blocks, args, Ctx { pool, scratch: scratch.as_mut_slice() });
    planar(&b.y, [p.pointwise.n, p.pointwise.oc, p.pointwise.ih * p.pointwise.iw], row.id.tier.lanes())
}

fn pair([ic, oc]: [usize; 2], [ih, iw]: [usize; 2], k: usize, stride: usize) -> DepthwisePointwise {
    let pads = Pads { top: k / 2, left: k / 2, bottom: k / 2, right: k / 2 };
    let epilogue = Epilogue { act: Unary::Relu, ..Epilogue::default() };
    let (stride, kernel) = ([stride; 2], [k, k]);
    let [kh, kw] = kernel;
    let depthwise = Conv2d { n: 1, ic, ih, iw, oc: ic, kh, kw, stride, dilation: [1; 2], pads, groups: ic, epilogue };
    behind(depthwise, oc)
}

/// A depthwise convolution with a pointwise one of `oc` channels behind it.
fn behind(depthwise: Conv2d, oc: usize) -> DepthwisePointwise {
    let (ih, iw, pads) = (depthwise.oh(), depthwise.ow(), Pads::default());
    let pointwise = Conv2d { oc, ih, iw, kh: 1, kw: 1, stride: [1; 2], dilation: [1; 2], pads, groups: 1, ..depthwise };
    DepthwisePointwise { depthwise, pointwise }
}

fn random_pair(r: &mut Random) -> Option<DepthwisePointwise> {
    let pick = |r: &mut Random, from: &[usize]| from[r.below(from.len())];
    let (ic, oc) = (pick(r, &[1, 5, 16, 37, 64, 83]), pick(r, &[1, 7, 16, 40, 70]));
    let size = [1 + r.below(20), 1 + r.below(20)];
    let (k, stride) = (pick(r, &[1, 3, 3, 5, 7]), 1 + r.below(2));
    let mut p = pair([ic, oc], size, k, stride).depthwise;
    p.n = pick(r, &[0, 1, 1, 3]);
    p.dilation = [pick(r, &[1, 1, 2]); 2];
    p.pads.right += r.below(2);
    p.epilogue = Epilogue { residual: false, ..r.epilogue() };
    let mut p = behind(p.validated().ok()?, oc);
    p.pointwise.epilogue = r.epilogue();
    p.validated().ok()
}

/// Every row that this machine runs, with a machine of one or two cores.
fn here() -> impl Iterator<Item = (&'static FusedKernel, Cpu)> {
    let machine = |row: &'static FusedKernel| [1, 2].map(|c| (row, Cpu::zen4().with_tier(row.id.tier).with_cores(c)));
    ROWS.iter().filter(|row| row.id.tier.available()).flat_map(machine)
}

#[test]
fn every_kernel_equals_the_naive_convolutions_in_sequence() {
    let pools = [Pool::new(1), Pool::new(2)];
    for integral in [true, false] {
        let mut r = Random::new(3, integral);
        let pairs: Vec<_> = std::iter::repeat_with(|| random_pair(&mut r)).flatten().take(60).collect();
        for p in pairs {
            let o = Operands::new(&p, &mut r);
            let (w, bias) = ([&o.w[0][..], &o.w[1]], [&o.bias[0][..], &o.bias[1]]);
            let want = reference::depthwise_pointwise(&p, &o.x, w, bias, &o.residual);
            for (row, cpu) in here() {
                let blocks = (row.blocks)(&p, &cpu);
                let got = run_fused(row, &p, &blocks, &o, &pools[cpu.cores - 1]);
                let tolerance = if integral { 1e-6 } else { 3e-5 };
                assert_close(&format!("{} on {p} with {blocks:?}", row.id.name), &got, &want, tolerance);
            }
        }
    }
}

#[test]
fn bits_are_those_of_the_two_kernels_whatever_the_blocks_and_threads() {
    let pools = [Pool::new(1), Pool::new(2)];
    let mut r = Random::new(4, false);
    let pairs: Vec<_> = std::iter::repeat_with(|| random_pair(&mut r)).flatten().take(60).collect();
    for p in pairs {
        let o = Operands::new(&p, &mut r);
        for (row, cpu) in here() {
            let want = run_apart(row, &p, &o, &pools[0], &cpu);
            let random = ConvBlocks { rows: r.below(6), oc: r.below(80), ic: r.below(40), ..Default::default() };
            for blocks in [(row.blocks)(&p, &cpu), random] {
                let got = run_fused(row, &p, &blocks, &o, &pools[r.below(2)]);
                let same = got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same && got.len() == want.len(), "{} on {p} with {blocks:?}", row.id.name);
            }
        }
    }
}

#[test]
fn each_tier_has_its_kernel() {
    for tier in Tier::ALL {
        let FusedKernel { id, depthwise, pointwise, .. } = choose(tier);
        assert_eq!([id.tier, depthwise.id.tier, pointwise.id.tier], [tier; 3]);
        assert_eq!(
            (depthwise.id.op, pointwise.id.op, id.tile),
            ("conv-depthwise", "conv-pointwise", pointwise.id.tile)
        );
    }
}

#[test]
fn pairs_that_do_not_fit_together_are_refused() {
    let good = pair([16, 32], [9, 9], 3, 1);
    assert!(good.validated().is_ok());
    let (dw, pw) = (good.depthwise, good.pointwise);
    let residual = Epilogue { residual: true, ..dw.epilogue };
    for (depthwise, pointwise) in [
        (Conv2d { groups: 1, ..dw }, pw),
        (Conv2d { epilogue: residual, ..dw }, pw),
        (dw, Conv2d { ih: 8, ..pw }),
        (dw, Conv2d { ic: 32, ..pw }),
        (dw, Conv2d { groups: 2, ..pw }),
        (dw, Conv2d { kh: 3, ..pw }),
        (dw, Conv2d { n: 2, ..pw }),
    ] {
        let p = DepthwisePointwise { depthwise, pointwise };
        assert!(p.validated().is_err(), "{p}");
    }
}

#[test]
fn fusing_pays_where_it_is_written_down() {
    let cpu = |cores| Cpu::zen4().with_tier(Tier::Avx512).with_cores(cores);
    let cases = [
        // The output of the first does not fit into L2.
        (pair([32, 64], [112, 112], 3, 1), 1, true),
        (pair([128, 128], [56, 56], 3, 1), 1, true),
        (pair([128, 128], [56, 56], 3, 1), 2, true),
        (pair([64, 64], [224, 224], 3, 1), 4, true),
        // It does.
        (pair([512, 512], [14, 14], 3, 1), 1, false),
        (pair([1024, 1024], [7, 7], 3, 1), 1, false),
        // Strips of few rows, each of which reads sixteen megabytes of weights.
        (pair([2048, 2048], [28, 28], 3, 1), 1, false),
        // Rows that cannot be shared out among so many cores as output channels can.
        (pair([256, 256], [56, 56], 3, 1), 1, true),
        (pair([256, 256], [56, 56], 3, 1), 40, false),
    ];
    for (p, cores, expected) in cases {
        assert_eq!(pays(&p, &cpu(cores)), expected, "{p} on {cores} cores");
    }
}

#[test]
fn strips_stay_in_l2_and_leave_no_core_idle() {
    for p in [pair([32, 64], [112, 112], 3, 1), pair([512, 512], [14, 14], 3, 1), pair([256, 512], [28, 28], 3, 2)] {
        for (row, cpu) in here() {
            let blocks = (row.blocks)(&p, &cpu);
            let bytes = (row.scratch_len)(&p, &blocks, 1) * size_of::<f32>();
            assert!(bytes <= cpu.l2.size / 4, "{p}: {bytes} bytes in {blocks:?}");
            assert!(p.pointwise.ih.div_ceil(blocks.rows) >= cpu.cores, "{p} on {} cores: {blocks:?}", cpu.cores);
        }
    }
}
