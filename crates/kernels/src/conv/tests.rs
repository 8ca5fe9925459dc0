//! Every convolution kernel that this machine runs, against the reference loops.

use tilewise_tensor::{AlignedBuffer, difference};

use super::*;
use crate::trial::Random;
use crate::{Cpu, Epilogue, Pads, Pool, Tier, Unary, reference};

fn buffer(len: usize, fill: f32) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(len * size_of::<f32>());
    buffer.as_mut_slice().fill(fill);
    buffer
}

/// `[n][c][hw]` in a layout; lanes past `c` are not numbers.
fn to_layout(x: &[f32], [n, c, hw]: [usize; 3], layout: Layout, lanes: usize) -> AlignedBuffer {
    let blocks = c.div_ceil(lanes);
    let mut out = buffer(if layout == Layout::Nchw { x.len() } else { n * blocks * hw * lanes }, f32::NAN);
    for (i, &value) in x.iter().enumerate() {
        let at = match layout {
            Layout::Nchw => i,
            Layout::Nchwc => blocked_index(i, [c, hw], lanes),
        };
        out.as_mut_slice()[at] = value;
    }
    out
}

fn blocked_index(i: usize, [c, hw]: [usize; 2], lanes: usize) -> usize {
    let (n, channel, pixel) = (i / hw / c, i / hw % c, i % hw);
    ((n * c.div_ceil(lanes) + channel / lanes) * hw + pixel) * lanes + channel % lanes
}

/// Operands as `[n][c][h][w]`.
pub(super) struct Operands {
    pub(super) x: Vec<f32>,
    pub(super) w: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
}

impl Operands {
    pub(super) fn new(p: &Conv2d, mut fill: impl FnMut(usize) -> Vec<f32>) -> Self {
        Operands {
            x: fill(p.n * p.ic * p.ih * p.iw),
            w: fill(p.oc * p.ic / p.groups * p.kh * p.kw),
            bias: if p.epilogue.bias { fill(p.oc) } else { Vec::new() },
            residual: if p.epilogue.residual { fill(p.n * p.oc * p.oh() * p.ow()) } else { Vec::new() },
        }
    }
}

/// Runs a row on operands in its layout and returns the output as `[n][oc][oh][ow]`.
pub(super) fn run(row: &ConvKernel, p: &Conv2d, blocks: &ConvBlocks, operands: &Operands, pool: &Pool) -> Vec<f32> {
    run_with(row, p, blocks, operands, pool, |args, ctx| (row.run)(p, blocks, args, ctx))
}

/// As [`run`], by `compute` in place of the row's own function.
fn run_with(
    row: &ConvKernel,
    p: &Conv2d,
    blocks: &ConvBlocks,
    operands: &Operands,
    pool: &Pool,
    compute: impl FnOnce(ConvArgs<'_>, Ctx<'_>),
) -> Vec<f32> {
    let lanes = row.id.tier.lanes();
    let out = [p.n, p.oc, p.oh() * p.ow()];
    let x = to_layout(&operands.x, [p.n, p.ic, p.ih * p.iw], row.x, lanes);
    let residual = to_layout(&operands.residual, if p.epilogue.residual { out } else { [0; 3] }, row.y, lanes);
    let bias = to_layout(&operands.bias, [1, operands.bias.len(), 1], Layout::Nchwc, lanes);
    let mut w = buffer((row.packed_len)(p), f32::NAN);
    (row.pack)(p, &operands.w, w.as_mut_slice());
    let mut scratch = buffer((row.scratch_len)(p, blocks, pool.threads()), f32::NAN);
    let mut y = to_layout(&vec![f32::NAN; out.iter().product()], out, row.y, lanes);
    let args = ConvArgs {
        x: x.as_slice(),
        w: w.as_slice(),
        bias: bias.as_slice(),
        residual: residual.as_slice(),
        y: y.as_mut_slice(),
    };
    compute(args, Ctx { pool, scratch: scratch.as_mut_slice() });
    let y = y.as_slice();
    (0..out.iter().product())
        .map(|i| match row.y {
            Layout::Nchw => y[i],
            Layout::Nchwc => y[blocked_index(i, [p.oc, out[2]], lanes)],
        })
        .collect()
}

/// A machine of a tier.
pub(super) fn cpu(tier: Tier, cores: usize) -> Cpu {
    Cpu::zen4().with_tier(tier).with_cores(cores)
}

fn here() -> impl Iterator<Item = &'static ConvKernel> {
    ROWS.iter().copied().filter(|row| row.id.tier.available())
}

/// A problem without padding or epilogue.
pub(super) fn conv(ic: usize, [ih, iw]: [usize; 2], oc: usize, [kh, kw]: [usize; 2]) -> Conv2d {
    let epilogue = Epilogue::default();
    let pads = Pads::default();
    Conv2d { n: 1, ic, ih, iw, oc, kh, kw, stride: [1; 2], dilation: [1; 2], pads, groups: 1, epilogue }
}

/// One of `from`.
fn pick<T: Copy>(r: &mut Random, from: &[T]) -> T {
    from[r.below(from.len())]
}

fn random_problem(r: &mut Random) -> Conv2d {
    let square = [[1, 1], [1, 1], [3, 3], [3, 3], [5, 5], [7, 7]];
    let others = [[11, 9], [3, 7], [4, 2], [1, 3], [3, 1], [1, 5], [5, 1], [1, 7], [7, 1]];
    let kernel = pick(r, &[&square[..], &others].concat());
    let size = pick(r, &[[1, 1], [2, 3], [7, 7], [14, 14], [13, 17], [9, 31]]);
    let (ic, oc, groups) = pick(
        r,
        &[
            (3, 16, 1),
            (1, 5, 1),
            (4, 70, 1),
            (16, 32, 1),
            (19, 33, 1),
            (40, 48, 1),
            (37, 37, 37),
            (64, 64, 64),
            (32, 96, 2),
            (24, 48, 3),
            (1, 1, 1),
        ],
    );
    let acts = [
        Unary::Identity,
        Unary::Relu,
        Unary::Clip { lo: -2.0, hi: 6.0 },
        Unary::LeakyRelu { alpha: 0.25 },
        Unary::HardSwish,
        Unary::Sigmoid,
    ];
    Conv2d {
        n: pick(r, &[1, 1, 3]),
        stride: pick(r, &[[1, 1], [1, 1], [2, 2], [1, 2], [3, 4]]),
        dilation: pick(r, &[[1, 1], [1, 1], [2, 2], [2, 3]]),
        pads: if r.below(3) == 0 {
            Pads::default()
        } else {
            Pads { top: r.below(kernel[0] + 1), left: r.below(4), bottom: r.below(3), right: r.below(kernel[1] + 2) }
        },
        groups,
        epilogue: Epilogue { bias: r.below(2) == 0, residual: r.below(2) == 0, act: pick(r, &acts) },
        ..conv(ic, size, oc, kernel)
    }
}

/// Valid random problems, and the generator, of integers or not, for their operands.
fn problems(seed: u64, integral: bool, count: usize) -> (Random, Vec<Conv2d>) {
    let mut r = Random::new(seed, integral);
    let list = std::iter::repeat_with(|| random_problem(&mut r).validated()).flatten().take(count).collect();
    (r, list)
}

/// What a row's transforms may round on sums of integers: its bound, in deviations of the sums. Integers from -4 to 4
/// have the variance 20/3, which is the deviation of a product of two. No activation has a slope above 1.2.
fn rounding(row: &ConvKernel, p: &Conv2d) -> f64 {
    // The transforms of F(2, 3) have powers of two only.
    let exact = ["conv-winograd2", "conv-winograd2s2", "conv-winograd2r1x3", "conv-winograd2r3x1"].contains(&row.id.op);
    if exact || !["winograd", "fft"].iter().any(|method| row.id.op.contains(method)) {
        return 0.0;
    }
    let products = p.ic / p.groups * p.kh * p.kw;
    1.2 * winograd::tests::bound(row.id.op) * (products as f64).sqrt() * 20.0 / 3.0
}

#[test]
fn every_kernel_equals_the_reference() {
    let pools = [Pool::new(1), Pool::new(2)];
    let (mut r, problems) = problems(1, true, 1200);
    let mut failures = Vec::new();
    let mut used = vec![0; ROWS.len()];
    for p in problems {
        let operands = Operands::new(&p, |len| r.values(len));
        let expected = reference::conv2d(&p, &operands.x, &operands.w, &operands.bias, &operands.residual);
        // Sums of integers are exact; curved activations are approximated.
        let exact = matches!(p.epilogue.act, Unary::Identity | Unary::Relu | Unary::Clip { .. });
        let tolerance = if exact { 0.0 } else { 2e-6 };
        for row in here().filter(|row| (row.accepts)(&p)) {
            let blocks = (row.blocks)(&p, &cpu(row.id.tier, 1 + r.below(2)));
            let actual = run(row, &p, &blocks, &operands, &pools[r.below(2)]);
            let transforms = rounding(row, &p);
            let off = difference(&actual, &expected, tolerance + transforms, tolerance);
            if off.outside > 0 {
                failures.push(format!("{} on {p} with {blocks:?}: {off:?}", row.id.name));
            }
            used[ROWS.iter().position(|other| other.id == row.id).unwrap()] += 1;
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    for (row, used) in ROWS.iter().zip(used) {
        assert!(used > 5 || !row.id.tier.available(), "{} ran {used} times", row.id.name);
    }
}

#[test]
fn depthwise_tiles_of_every_width_leave_out_what_is_beside_the_image() {
    let pools = [Pool::new(1), Pool::new(2)];
    let mut r = Random::new(7, true);
    let depthwise = || here().filter(|row| row.id.op == "conv-depthwise");
    let mut failures = Vec::new();
    for (k, stride, iw) in [3, 5, 7].into_iter().flat_map(|k| (1..3).flat_map(move |s| (1..20).map(move |w| (k, s, w))))
    {
        for (left, right) in (0..=k / 2 + 1).flat_map(|left| (0..=k / 2 + 1).map(move |right| (left, right))) {
            let pads = Pads { top: r.below(k), left, bottom: r.below(k), right };
            let size = [1 + r.below(33), iw];
            let p = Conv2d { stride: [stride; 2], pads, groups: 5, ..conv(5, size, 5, [k, k]) };
            let Ok(p) = p.validated() else { continue };
            let operands = Operands::new(&p, |len| r.values(len));
            let expected = reference::conv2d(&p, &operands.x, &operands.w, &operands.bias, &operands.residual);
            for row in depthwise() {
                let blocks = ConvBlocks { rows: 1 + r.below(p.oh()), ..(row.blocks)(&p, &cpu(row.id.tier, 1)) };
                if run(row, &p, &blocks, &operands, &pools[r.below(2)]) != expected {
                    failures.push(format!("{} on {p} with {blocks:?}", row.id.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn results_do_not_depend_on_blocks_order_threads_or_place_in_the_batch() {
    let pools = [Pool::new(1), Pool::new(2)];
    let (mut r, problems) = problems(2, false, 60);
    for p in problems {
        let one = Conv2d { n: 1, ..p };
        let image = Operands::new(&one, |len| r.values(len));
        let batch = Operands {
            x: image.x.repeat(p.n),
            residual: image.residual.repeat(p.n),
            w: image.w.clone(),
            bias: image.bias.clone(),
        };
        for row in here().filter(|row| (row.accepts)(&p)) {
            let usual = run(row, &one, &(row.blocks)(&one, &cpu(row.id.tier, 1)), &image, &pools[0]);
            for _ in 0..3 {
                let blocks = ConvBlocks { rows: r.below(6), oc: r.below(80), ic: r.below(40), order: r.order() };
                let all = run(row, &p, &blocks, &batch, &pools[r.below(2)]);
                for each in all.chunks(usual.len()) {
                    let same = each.iter().zip(&usual).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{} on {p} with {blocks:?}", row.id.name);
                }
            }
        }
    }
}

#[test]
fn names_state_method_type_tile_and_tier() {
    for row in ROWS {
        let id = row.id;
        assert_eq!(id.name, format!("{}_{}_{}x{}_{}", id.op, id.dtype, id.tile[0], id.tile[1], id.tier));
    }
}

/// `conv-{method}_f32_{tile}_{tier}` for each tier.
fn names([method, scalar, avx2, avx512]: [&str; 4]) -> Vec<String> {
    let name = |(tier, choice): (Tier, &str)| {
        let (method, tile) = choice.split_once(' ').unwrap_or((method, choice));
        format!("conv-{method}_f32_{tile}_{tier}")
    };
    Tier::ALL.into_iter().zip([scalar, avx2, avx512]).map(name).collect()
}

#[test]
fn choices_are_the_ones_written_down() {
    let same = |k| Pads { top: k, left: k, bottom: k, right: k };
    let strided = |p| Conv2d { stride: [2, 2], ..p };
    let padded = |ic, size, oc, k| Conv2d { pads: same(k / 2), ..conv(ic, [size, size], oc, [k, k]) };
    let three = |ic, size, oc| padded(ic, size, oc, 3);
    // The method and, for each tier, the tile; or a method of its own before the tile.
    let cases = [
        (
            strided(Conv2d { pads: same(3), ..conv(3, [224, 224], 64, [7, 7]) }),
            ["first-winograd4", "4x8", "6x16", "14x32"],
        ),
        (Conv2d { stride: [4, 4], ..conv(3, [227, 227], 96, [11, 11]) }, ["first-winograd4", "4x8", "6x16", "14x32"]),
        (padded(3, 224, 64, 7), ["first-winograd2", "4x8", "6x16", "14x32"]),
        (strided(three(3, 224, 16)), ["first", "4x8", "6x16", "28x16"]),
        (three(3, 224, 64), ["first", "4x8", "6x16", "14x32"]),
        (three(64, 56, 64), ["winograd4", "winograd6 4x8", "6x16", "14x32"]),
        (three(128, 28, 128), ["winograd4", "winograd6-nonfused 4x8", "6x16", "9x48"]),
        (three(256, 14, 256), ["winograd4", "4x8", "6x16", "9x48"]),
        (three(512, 7, 512), ["winograd2", "winograd4 4x8", "6x16", "9x48"]),
        (three(128, 112, 128), ["winograd6", "4x8", "6x16", "14x32"]),
        (three(8, 8, 8), ["direct", "4x8", "12x8", "14x32"]),
        (Conv2d { dilation: [2, 2], pads: same(2), ..three(256, 65, 256) }, ["winograd6", "4x8", "6x16", "9x48"]),
        (three(2048, 65, 512), ["winograd6", "4x8", "6x16", "9x48"]),
        (strided(three(64, 56, 128)), ["winograd4s2", "4x8", "6x16", "14x32"]),
        (strided(three(128, 28, 256)), ["winograd2s2", "4x8", "6x16", "14x32"]),
        (strided(three(512, 14, 512)), ["winograd2s2", "winograd4s2 4x8", "6x16", "direct 9x48"]),
        (Conv2d { groups: 2, ..three(96, 27, 256) }, ["winograd4", "4x8", "6x16", "14x32"]),
        (conv(64, [56, 56], 256, [1, 1]), ["pointwise", "4x8", "6x16", "9x48"]),
        (conv(96, [14, 14], 24, [1, 1]), ["pointwise", "4x8", "6x16", "14x32"]),
        (conv(512, [7, 7], 2048, [1, 1]), ["pointwise", "4x8", "6x16", "14x32"]),
        (strided(conv(256, [56, 56], 512, [1, 1])), ["pointwise", "4x8", "6x16", "14x32"]),
        (padded(64, 27, 64, 5), ["winograd4r5", "4x8", "6x16", "14x32"]),
        (padded(96, 55, 96, 5), ["winograd4r5", "4x8", "6x16", "9x48"]),
        (padded(64, 56, 64, 7), ["fft16", "4x8", "6x16", "28x16"]),
        (padded(128, 32, 128, 11), ["fft16", "4x8", "6x16", "14x32"]),
        (padded(512, 7, 512, 7), ["direct", "4x8", "6x16", "9x48"]),
        (padded(64, 224, 3, 9), ["fft16", "4x8", "6x16", "28x16"]),
        (Conv2d { groups: 512, ..three(512, 14, 512) }, ["depthwise", "8x4", "8x8", "8x16"]),
    ];
    let mut failures = Vec::new();
    for (p, expected) in cases {
        let p = p.validated().unwrap();
        let chosen = Tier::ALL.map(|tier| choose(&p, &cpu(tier, 1)).map_or("none", |(row, _)| row.id.name));
        if chosen != names(expected).as_slice() {
            failures.push(format!("{p}: {chosen:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn where_memory_is_slow_large_weights_cost_more_than_products() {
    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    let p = Conv2d { pads, ..conv(128, [16, 16], 128, [3, 3]) }.validated().unwrap();
    let op = |cpu: &Cpu| choose(&p, cpu).map(|(row, _)| row.id.op);
    // F(4x4) has 2.4 MB of weights and F(2x2) 1.0 MB, of which the last level keeps two.
    assert_eq!([op(&Cpu::zen5()), op(&Cpu::granite_rapids())], [Some("conv-winograd4"), Some("conv-winograd2")]);
}

#[test]
fn the_method_does_not_depend_on_batch_or_cores() {
    let (mut r, problems) = problems(3, true, 300);
    for p in problems {
        for cpu in [Cpu::zen4(), Cpu::zen5(), Cpu::granite_rapids(), Cpu::haswell()] {
            let name = |p, cpu: &Cpu| choose(p, cpu).map(|(row, _)| row.id.name);
            let other = Conv2d { n: 1 + r.below(9), ..p };
            let cores = cpu.clone().with_cores(1 + r.below(16));
            assert_eq!(name(&p, &cpu), name(&other, &cores), "{p} and {other} on {cpu}");
        }
    }
}

#[test]
fn groups_narrower_than_a_vector_go_by_way_of_columns() {
    for p in
        [Conv2d { groups: 8, ..conv(64, [28, 28], 64, [3, 3]) }, Conv2d { groups: 2, ..conv(6, [8, 8], 6, [3, 3]) }]
    {
        let (row, _) = choose(&p, &cpu(Tier::Avx512, 1)).unwrap();
        assert_eq!((row.id.op, row.id.tier), ("conv-im2col", Tier::Avx512), "{p}");
    }
}

#[test]
fn work_is_cut_for_every_core_and_strips_fit_into_l2() {
    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    for p in [conv(64, [56, 56], 64, [3, 3]), conv(512, [7, 7], 512, [3, 3]), conv(512, [28, 28], 512, [3, 3])] {
        let p = Conv2d { pads, ..p };
        for cores in [1, 2, 4] {
            let cpu = cpu(Tier::Avx512, cores);
            for row in candidates(&p, &cpu).filter(|row| row.id.op == "conv-direct") {
                let blocks = (row.blocks)(&p, &cpu);
                let tasks = p.oh().div_ceil(blocks.rows) * p.oc.div_ceil(blocks.oc);
                assert!(tasks >= cores, "{} on {p} on {cores} cores: {blocks:?}", row.id.name);
                let bytes = (row.scratch_len)(&p, &blocks, 1) * size_of::<f32>();
                assert!(bytes <= cpu.l2.size * 3 / 4, "{} on {p}: {bytes} bytes of input in {blocks:?}", row.id.name);
            }
        }
    }
}

/// The times of the candidates, interleaved in one run: `cargo test --release -p tilewise-kernels -- --ignored
/// --nocapture candidates_side_by_side`.
#[test]
#[ignore = "a measurement, for a machine that does nothing else"]
fn candidates_side_by_side() {
    let same = |k, p| Conv2d { pads: Pads { top: k / 2, left: k / 2, bottom: k / 2, right: k / 2 }, ..p };
    let square = |ic, size, oc, k| same(k, conv(ic, [size, size], oc, [k, k]));
    let problems = [
        Conv2d { stride: [2, 2], ..square(3, 224, 64, 7) },
        Conv2d { stride: [4, 4], ..conv(3, [227, 227], 96, [11, 11]) },
        Conv2d { stride: [2, 2], ..square(3, 224, 64, 5) },
        Conv2d { stride: [2, 2], ..square(3, 224, 32, 3) },
        square(3, 224, 64, 7),
        square(3, 224, 64, 3),
        square(64, 27, 64, 5),
        square(96, 55, 96, 5),
        square(64, 56, 64, 5),
        square(64, 56, 64, 7),
        square(64, 28, 64, 9),
        square(128, 32, 128, 11),
        square(16, 112, 16, 7),
        square(3, 224, 64, 9),
        square(64, 224, 3, 9),
        square(256, 14, 256, 5),
        square(64, 112, 64, 9),
        Conv2d { groups: 2, ..square(96, 27, 256, 5) },
    ];
    let (pool, mut r) = (Pool::new(1), Random::new(5, false));
    for p in problems {
        let operands = Operands::new(&p, |len| r.values(len));
        for tier in Tier::ALL.into_iter().skip(1).filter(|tier| tier.available()) {
            let cpu = Cpu::probe().with_tier(tier).with_cores(1);
            let (chosen, _) = choose(&p, &cpu).unwrap();
            let least = cycles(&p, chosen, &cpu);
            let rows = candidates(&p, &cpu).filter(|row| row.id.op != "conv-im2col");
            let rows: Vec<_> =
                rows.filter(|row| cycles(&p, row, &cpu) < 2 * least || row.id.op == "conv-direct").collect();
            let mut timed: Vec<_> = rows.iter().map(|row| Timed::new(row, &p, &cpu, &operands)).collect();
            for _ in 0..5 {
                timed.iter_mut().for_each(|timed| timed.time(&p, &pool));
            }
            let best = timed.iter().map(|timed| timed.best).min().unwrap();
            for timed in &timed {
                let ratio = timed.best.as_secs_f64() / best.as_secs_f64();
                let counted = cycles(&p, timed.row, &cpu) as f64 / least as f64;
                let mark = if timed.row.id == chosen.id { "chosen" } else { "" };
                println!(
                    "{p} {}: {:?} {ratio:.2} counted {counted:.2} {:?} {mark}",
                    timed.row.id.name, timed.best, timed.blocks
                );
            }
        }
    }
}

/// A row with its operands in memory, and the least time of some runs.
struct Timed {
    row: &'static ConvKernel,
    blocks: ConvBlocks,
    buffers: [AlignedBuffer; 4],
    best: std::time::Duration,
}

impl Timed {
    fn new(row: &'static ConvKernel, p: &Conv2d, cpu: &Cpu, operands: &Operands) -> Self {
        let (lanes, blocks) = (row.id.tier.lanes(), (row.blocks)(p, cpu));
        let x = to_layout(&operands.x, [p.n, p.ic, p.ih * p.iw], row.x, lanes);
        let mut w = buffer((row.packed_len)(p), 0.0);
        (row.pack)(p, &operands.w, w.as_mut_slice());
        let y = buffer(p.n * p.oc.next_multiple_of(lanes) * p.oh() * p.ow(), 0.0);
        let scratch = buffer((row.scratch_len)(p, &blocks, 1), 0.0);
        Timed { row, blocks, buffers: [x, w, y, scratch], best: std::time::Duration::MAX }
    }

    fn time(&mut self, p: &Conv2d, pool: &Pool) {
        let [x, w, y, scratch] = &mut self.buffers;
        let (bias, residual) = (&[][..], &[][..]);
        let args = ConvArgs { x: x.as_slice(), w: w.as_slice(), bias, residual, y: y.as_mut_slice() };
        let start = std::time::Instant::now();
        (self.row.run)(p, &self.blocks, args, Ctx { pool, scratch: scratch.as_mut_slice() });
        self.best = self.best.min(start.elapsed());
    }
}

#[test]
fn rows_in_parts_have_the_bits_of_all_at_once() {
    let pools = [Pool::new(1), Pool::new(2)];
    let (mut r, problems) = problems(9, false, 300);
    let mut used = 0;
    for p in problems.iter().filter(|p| p.pads.top.max(p.pads.bottom) < p.reach()[0]) {
        let operands = Operands::new(p, |len| r.values(len));
        for (row, pool) in here().filter(|row| (row.accepts)(p)).zip(pools.iter().cycle()) {
            let Some(run_part) = row.run_part else { continue };
            let (cpu, lanes) = (cpu(row.id.tier, pool.threads()), row.id.tier.lanes());
            let whole = run(row, p, &(row.blocks)(p, &cpu), &operands, pool);
            let middle = r.below(p.oh()) / row.band * row.band;
            let blocks = ConvBlocks { rows: 1 + r.below(p.oh()), ..(row.blocks)(p, &cpu) };
            // In any order, as nothing but the rows themselves is written.
            let in_parts = run_with(row, p, &blocks, &operands, pool, |args, ctx| {
                let ConvArgs { x, w, bias, residual, y } = args;
                let x_lanes = if row.x == Layout::Nchw { 1 } else { lanes };
                let image =
                    [p.ic.next_multiple_of(x_lanes) * p.ih * p.iw, p.oc.next_multiple_of(lanes) * p.oh() * p.ow()];
                let parts = [middle..p.oh(), 0..middle].into_iter().filter(|rows| !rows.is_empty());
                for (rows, n) in parts.flat_map(|rows| (0..p.n).map(move |n| (rows.clone(), n))) {
                    let y_at = n * image[1] + rows.start * p.ow() * lanes;
                    let (part, read) = p.rows(rows);
                    let x_at = n * image[0] + read.start * p.iw * x_lanes;
                    let residual = residual.get(y_at..).unwrap_or_default();
                    let args = ConvArgs { x: &x[x_at..], w, bias, residual, y: &mut y[y_at..] };
                    run_part(&part, &blocks, Planes::of(p), args, Ctx { pool: ctx.pool, scratch: &mut *ctx.scratch });
                }
            });
            let same = whole.iter().zip(&in_parts).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{} {p} from row {middle}", row.id.name);
            used += 1;
        }
    }
    assert!(used > 300, "{used}");
}
