//! Schedules as loop nests: what the kernels do with a choice, written out to be read.

use std::fmt::{self, Display, Write};

use tilewise_kernels::conv::fused::FusedKernel;
use tilewise_kernels::conv::{self, ConvBlocks, ConvKernel, Layout, Squares};
use tilewise_kernels::gemm::{Gemm, GemmBlocks, GemmKernel};
use tilewise_kernels::{Conv2d, DepthwisePointwise, Epilogue};

use super::{Choice, Decision, Problem};

/// Lines of a nest, each deeper than the one before until the next `at`.
struct Nest {
    text: String,
    depth: usize,
}

impl Nest {
    fn new(problem: &dyn Display) -> Self {
        Nest { text: format!("{problem}\n"), depth: 0 }
    }

    /// A line at the present depth.
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _always = writeln!(self.text, "{:indent$}{line}", "", indent = 2 * self.depth);
    }

    /// A loop over `count` steps; left out where there is but one.
    fn each(&mut self, count: usize, line: fmt::Arguments<'_>) {
        if count > 1 {
            self.line(format_args!("for {line}"));
            self.depth += 1;
        }
    }
}

/// The loops of a decision; nothing where the choice is none for the problem.
pub(super) fn loops(decision: &Decision) -> String {
    match (&decision.problem, &decision.choice) {
        (Problem::Conv(p) | Problem::FlatConv(p), Choice::Conv(kernel, blocks)) => conv(p, kernel, blocks),
        (Problem::Pair(p), Choice::Fused(kernel, blocks)) => fused(p, kernel, blocks),
        (Problem::Gemm { problem, packed, .. }, Choice::Gemm(kernel, blocks)) => gemm(problem, kernel, blocks, *packed),
        (Problem::Conv(_) | Problem::FlatConv(_) | Problem::Pair(_) | Problem::Gemm { .. }, _) => String::new(),
    }
}

/// The loops of a convolution.
fn conv(p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks) -> String {
    let mut nest = Nest::new(p);
    let (lanes, [pixels, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    let (icg, ocg, [oh, ow]) = (p.ic / p.groups, p.oc / p.groups, [p.oh(), p.ow()]);
    if kernel.y == Layout::Nchw {
        nest.each(p.n * p.groups, format_args!("{} images x {} groups, in parallel", p.n, p.groups));
        nest.line(format_args!("a product of weights [{ocg}, {}] and columns [_, {}]", icg * p.kh * p.kw, oh * ow));
        nest.each(ocg.div_ceil(pixels) * (oh * ow).div_ceil(columns), format_args!("parts of the output, in parallel"));
        nest.line(format_args!(
            "gather a block of columns from the image, as panels of {columns}, into the worker's scratch"
        ));
        nest.each(
            ocg.div_ceil(pixels),
            format_args!("{pixels} output channels of {ocg}, for {columns} pixels of {}", oh * ow),
        );
        nest.line(format_args!(
            "for each weight of {}: {pixels} x {columns} sums in registers, {lanes} pixels a vector",
            icg * p.kh * p.kw
        ));
        epilogue(&mut nest, &p.epilogue);
        return nest.text;
    }
    if let Some(squares) = conv::squares(p, kernel) {
        transformed(&mut nest, p, kernel, blocks, &squares);
        return nest.text;
    }
    if p.is_depthwise() {
        let vectors = p.ic.div_ceil(lanes);
        nest.each(p.n * vectors, format_args!("{} images x {vectors} vectors of {lanes} channels, in parallel", p.n));
        nest.each(oh, format_args!("output row of {oh}, strips of {}", blocks.rows));
        nest.each(ow.div_ceil(pixels), format_args!("{pixels} pixels of {ow}"));
        let taps = p.kh * p.kw;
        nest.line(format_args!("{taps} taps, unrolled: {pixels} sums in registers, {lanes} channels a vector"));
        epilogue(&mut nest, &p.epilogue);
        return nest.text;
    }
    nest.each(p.n * p.groups, format_args!("{} images x {} groups, in parallel", p.n, p.groups));
    nest.each(oh.div_ceil(blocks.rows), format_args!("strip of {} output rows of {oh}, in parallel", blocks.rows));
    nest.each(ocg.div_ceil(blocks.oc), format_args!("{} output channels of {ocg}, in parallel", blocks.oc));
    if p.pads != Default::default() || p.stride != [1, 1] {
        nest.line(format_args!("copy the strip's input, padded, into the worker's scratch"));
    }
    let passed = blocks.oc.min(ocg);
    nest.each(
        passed.div_ceil(columns),
        format_args!("{columns} output channels of {passed}: their weights stay in L2"),
    );
    nest.each(
        icg.div_ceil(blocks.ic),
        format_args!("{} input channels of {icg}: sums go on from the output", blocks.ic),
    );
    nest.each(blocks.rows.min(oh), format_args!("row of {}", blocks.rows.min(oh)));
    nest.each(ow.div_ceil(pixels), format_args!("{pixels} pixels of {ow}"));
    let (taps, deep) = (p.kh * p.kw, blocks.ic.min(icg));
    nest.line(format_args!("for {deep} input channels x {taps} taps: {pixels} x {columns} sums in registers, unrolled, {lanes} channels a vector"));
    epilogue(&mut nest, &p.epilogue);
    nest.text
}

/// The loops of a depthwise convolution fused with a pointwise one.
fn fused(p: &DepthwisePointwise, kernel: &FusedKernel, blocks: &ConvBlocks) -> String {
    let mut nest = Nest::new(p);
    let (lanes, [pixels, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    let (dw, pw) = (&p.depthwise, &p.pointwise);
    let (oh, rows) = (pw.ih, blocks.rows.min(pw.ih));
    nest.each(pw.n, format_args!("{} images, in parallel", pw.n));
    nest.each(oh.div_ceil(rows), format_args!("strip of {rows} output rows of {oh}, in parallel"));
    let depth = nest.depth;
    let vectors = dw.oc.div_ceil(lanes);
    nest.each(vectors, format_args!("{vectors} vectors of {lanes} channels: the strip stays in the worker's scratch"));
    nest.line(format_args!("{} taps, unrolled, {lanes} channels a vector", dw.kh * dw.kw));
    epilogue(&mut nest, &dw.epilogue);
    nest.depth = depth;
    nest.each(pw.oc.div_ceil(columns), format_args!("{columns} output channels of {}", pw.oc));
    nest.each(pw.ic.div_ceil(blocks.ic), format_args!("{} input channels of {}", blocks.ic, pw.ic));
    nest.each((rows * pw.iw).div_ceil(pixels), format_args!("{pixels} pixels of {}", rows * pw.iw));
    let deep = blocks.ic.min(pw.ic);
    nest.line(format_args!("for {deep} input channels: {pixels} x {columns} sums in registers, unrolled"));
    epilogue(&mut nest, &pw.epilogue);
    nest.text
}

/// The loops of a convolution by way of a transform.
fn transformed(nest: &mut Nest, p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks, square: &Squares) {
    let (lanes, [most, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
    let Squares { inputs: [rows, cols], outputs: [height, width], positions, count: squares, .. } = *square;
    let (strip, passed) = (blocks.rows.clamp(1, squares), blocks.oc.clamp(1, ocg));
    nest.each(p.groups, format_args!("{} groups, in parallel", p.groups));
    nest.each(
        squares.div_ceil(strip),
        format_args!("{strip} of the {squares} squares of {height} x {width} outputs, in parallel"),
    );
    nest.each(ocg.div_ceil(passed), format_args!("{passed} output channels of {ocg}, in parallel"));
    nest.line(format_args!("transform the {rows} x {cols} inputs of each square into the worker's scratch"));
    nest.each(passed.div_ceil(columns), format_args!("{columns} output channels of {passed}"));
    let outer = nest.depth;
    if kernel.id.op.starts_with("conv-fft") {
        nest.each(positions, format_args!("position: 4 real frequencies, and 3 of each complex one"));
    } else {
        nest.each(positions, format_args!("position of {rows} x {cols}"));
    }
    nest.each(strip.div_ceil(most), format_args!("{most} squares of {strip}"));
    nest.line(format_args!(
        "for {icg} input channels: {most} x {columns} sums in registers, unrolled, {lanes} channels a vector"
    ));
    nest.depth = outer;
    nest.line(format_args!("transform the sums of each square to {height} x {width} outputs"));
    epilogue(nest, &p.epilogue);
}

/// The loops of a matrix product; `packed` tells whether B was packed at load.
fn gemm(p: &Gemm, kernel: &GemmKernel, blocks: &GemmBlocks, packed: bool) -> String {
    let Gemm { m, n, k, .. } = *p;
    let mut nest = Nest::new(&format!("product [{m}, {k}] x [{k}, {n}]"));
    let (lanes, [rows, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    nest.line(format_args!("for parts of the output, cut along its longer side, in parallel"));
    nest.depth += 1;
    nest.each(n.div_ceil(blocks.nc), format_args!("{} columns of {n}", blocks.nc));
    nest.each(k.div_ceil(blocks.kc), format_args!("{} of the depth of {k}: sums go on from the output", blocks.kc));
    if !packed {
        nest.line(format_args!("pack the block of B, as panels of {columns} columns, into the worker's scratch"));
    }
    nest.each(m.div_ceil(blocks.mc), format_args!("{} rows of {m}", blocks.mc));
    if !p.reads_a_in_place() {
        nest.line(format_args!("pack the block of A, as panels of {rows} rows, into the worker's scratch"));
    }
    nest.each(n.div_ceil(columns), format_args!("{columns} columns: a panel of B stays in L1"));
    nest.each(m.div_ceil(rows), format_args!("{rows} rows"));
    nest.line(format_args!(
        "for each of the depth: {rows} x {columns} sums in registers, unrolled, {lanes} columns a vector"
    ));
    epilogue(&mut nest, &p.epilogue);
    nest.text
}

fn epilogue(nest: &mut Nest, e: &Epilogue) {
    let bias = if e.bias { " + bias" } else { "" };
    let residual = if e.residual { " + residual" } else { "" };
    nest.line(format_args!("store {}(sum{bias}{residual})", e.act));
}

#[cfg(test)]
mod tests {
    use tilewise_kernels::{Cpu, Unary, conv};

    use super::*;

    #[test]
    fn a_convolution_is_told_from_the_tasks_down_to_the_registers() {
        let p = Conv2d {
            n: 1,
            ic: 64,
            ih: 56,
            iw: 56,
            oc: 64,
            kh: 3,
            kw: 3,
            stride: [1, 1],
            dilation: [1, 1],
            pads: tilewise_kernels::Pads { top: 1, left: 1, bottom: 1, right: 1 },
            groups: 1,
            epilogue: Epilogue { bias: true, residual: false, act: Unary::Relu },
        };
        let large = Conv2d { kh: 7, kw: 9, ..p };
        let line = Conv2d { kh: 1, kw: 7, ..p };
        let cases: [(&str, &Conv2d, &[&str]); 4] = [
            ("conv-direct_f32_14x32_avx512", &p, &["9 taps", "copy the strip's input"]),
            (
                "conv-winograd4_f32_14x32_avx512",
                &p,
                &["196 squares of 4 x 4", "position of 6 x 6", "inputs of each square"],
            ),
            (
                "conv-winograd4r1x7_f32_14x32_avx512",
                &line,
                &["squares of 1 x 4 outputs", "position of 1 x 10", "the 1 x 10 inputs"],
            ),
            (
                "conv-fft16_f32_14x32_avx512",
                &large,
                &["squares of 10 x 8 outputs", "4 real frequencies", "the 16 x 16 inputs of each square"],
            ),
        ];
        let cpu = Cpu::zen4();
        for (name, p, parts) in cases {
            let kernel = conv::candidates(p, &cpu).find(|kernel| kernel.id.name == name).unwrap();
            let text = super::conv(p, kernel, &(kernel.blocks)(p, &cpu));
            let common = ["conv n1 ic64", "14 x 32 sums", "store Relu(sum + bias)", "in parallel"];
            for part in common.iter().chain(parts) {
                assert!(text.contains(part), "{name}: {part}: {text}");
            }
        }
    }
}
