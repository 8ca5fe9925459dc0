//! Schedules as loop nests: what the kernels do with a choice, written out to be read.

use std::fmt::{self, Display, Write};

use tilewise_kernels::conv::fused::FusedKernel;
use tilewise_kernels::conv::{self, Bands, ConvBlocks, ConvKernel, ConvStage, Layout, Squares};
use tilewise_kernels::gemm::{Gemm, GemmKernel, GemmStage};
use tilewise_kernels::nest::{Level, Stage};
use tilewise_kernels::{Conv2d, Cpu, DepthwisePointwise, Epilogue};

use super::reuse::{self, Reuse};
use super::{Choice, Decision, Problem};

/// Lines of a nest, each deeper than the one before until the next `at`.
struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    fn new(problem: &dyn Display) -> Self {
        Lines { text: format!("{problem}\n"), depth: 0 }
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

    /// The levels of a nest: `told` says what a level does, and after each loop stands what its rounds use again.
    fn levels<S: Stage>(&mut self, reuse: &Reuse<S>, cpu: &Cpu, told: impl Fn(usize, &Level<S>) -> String) {
        for (number, level) in reuse.nest.levels().iter().enumerate() {
            let line = told(number, level);
            let Some(_) = level.stage.kind().axis() else {
                self.line(format_args!("{line}"));
                continue;
            };
            let notes: Vec<String> = match number < reuse.nest.shared() {
                true => vec!["in parallel".to_owned()],
                false => reuse.kept(number, cpu).map(|kept| kept.to_string()).collect(),
            };
            let notes = notes.iter().map(|note| format!(", {note}")).collect::<String>();
            self.each(level.rounds(), format_args!("{line}{notes}"));
        }
    }
}

/// The loops of a decision; nothing where the choice is none for the problem.
pub(super) fn loops(decision: &Decision, cpu: &Cpu) -> String {
    match (&decision.problem, &decision.choice) {
        (Problem::Conv(p) | Problem::FlatConv(p), Choice::Conv(kernel, blocks)) => conv(p, kernel, blocks, cpu),
        (Problem::Pair(p), Choice::Fused(kernel, blocks)) => fused(p, kernel, blocks),
        (Problem::Gemm { problem, count, packed }, Choice::Gemm(kernel, blocks)) => {
            let reuse = reuse::product(problem, (*count, *packed), (kernel, blocks), cpu);
            gemm(problem, *count, kernel, (&reuse, cpu))
        }
        (Problem::Conv(_) | Problem::FlatConv(_) | Problem::Pair(_) | Problem::Gemm { .. }, _) => String::new(),
    }
}

/// The loops of a convolution.
fn conv(p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks, cpu: &Cpu) -> String {
    if let Some(reuse) = reuse::convolution(p, kernel, blocks) {
        return direct(p, kernel, &reuse, cpu);
    }
    let mut nest = Lines::new(p);
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
    if let Some(bands) = conv::bands(p, kernel) {
        banded(&mut nest, p, kernel, blocks, &bands);
        return nest.text;
    }
    let vectors = p.ic.div_ceil(lanes);
    nest.each(p.n * vectors, format_args!("{} images x {vectors} vectors of {lanes} channels, in parallel", p.n));
    nest.each(oh, format_args!("output row of {oh}, strips of {}", blocks.rows));
    nest.each(ow.div_ceil(pixels), format_args!("{pixels} pixels of {ow}"));
    let taps = p.kh * p.kw;
    nest.line(format_args!("{taps} taps, unrolled: {pixels} sums in registers, {lanes} channels a vector"));
    epilogue(&mut nest, &p.epilogue);
    nest.text
}

/// The loops of a direct convolution, as its nest has them.
fn direct(p: &Conv2d, kernel: &ConvKernel, reuse: &Reuse<ConvStage>, cpu: &Cpu) -> String {
    let mut lines = Lines::new(p);
    lines.each(p.n * p.groups, format_args!("{} images x {} groups, in parallel", p.n, p.groups));
    lines.levels(reuse, cpu, |number, level| {
        let Level { step, of, stage } = *level;
        match stage {
            ConvStage::Oc => format!("{step} output channels of {of}"),
            ConvStage::Ic => format!("{step} input channels of {of}: sums go on from the output"),
            ConvStage::Row if step == 1 => format!("row of {of}"),
            ConvStage::Row => format!("{step} rows of {of}"),
            ConvStage::Pixel => format!("{step} pixels of {of}"),
            ConvStage::PackX => {
                let channels = reuse.nest.extents(number)[ConvStage::Ic as usize];
                format!("copy what the strip reads of {channels} input channels, padded, into the worker's scratch")
            }
        }
    });
    let innermost = reuse.nest.extents(reuse.nest.levels().len());
    let (deep, taps, lanes) = (innermost[ConvStage::Ic as usize], p.kh * p.kw, kernel.id.tier.lanes());
    let [pixels, columns] = kernel.id.tile;
    lines.line(format_args!("for {deep} input channels x {taps} taps: up to {pixels} x {columns} sums in registers, unrolled, {lanes} output channels a vector"));
    epilogue(&mut lines, &p.epilogue);
    lines.text
}

/// The loops of a depthwise convolution fused with a pointwise one.
fn fused(p: &DepthwisePointwise, kernel: &FusedKernel, blocks: &ConvBlocks) -> String {
    let mut nest = Lines::new(p);
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
fn transformed(nest: &mut Lines, p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks, square: &Squares) {
    let (lanes, [most, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
    let Squares { inputs: [rows, cols], outputs: [height, width], positions, count: squares, .. } = *square;
    let (strip, passed) = (blocks.rows.clamp(1, squares), blocks.oc.clamp(1, ocg));
    let of_group = format!("{strip} of the {squares} squares of {height} x {width} outputs");
    let part = format!("{passed} output channels of {ocg}, in parallel");
    let position = match kernel.id.op.starts_with("conv-fft") {
        true => "position: 4 real frequencies, and 3 of each complex one".to_owned(),
        false => format!("position of {rows} x {cols}"),
    };
    let deep = blocks.ic.clamp(1, icg);
    let multiply = |nest: &mut Lines| {
        nest.each(icg.div_ceil(deep), format_args!("{deep} input channels of {icg}: sums go on from the scratch"));
        nest.each(strip.div_ceil(most), format_args!("{most} squares of {strip}"));
        nest.line(format_args!(
            "for {deep} input channels: {most} x {columns} sums in registers, unrolled, {lanes} channels a vector"
        ));
    };
    if square.fused {
        nest.each(p.groups, format_args!("{} groups, in parallel", p.groups));
        nest.each(squares.div_ceil(strip), format_args!("{of_group}, in parallel"));
        nest.each(ocg.div_ceil(passed), format_args!("{part}"));
        nest.line(format_args!("transform the {rows} x {cols} inputs of each square into the worker's scratch"));
        nest.each(passed.div_ceil(columns), format_args!("{columns} output channels of {passed}"));
        let outer = nest.depth;
        nest.each(positions, format_args!("{position}"));
        multiply(nest);
        nest.depth = outer;
        nest.line(format_args!("transform the sums of each square to {height} x {width} outputs"));
    } else {
        nest.each(squares.div_ceil(strip), format_args!("{of_group}"));
        let outer = nest.depth;
        nest.each(icg.div_ceil(lanes), format_args!("{lanes} input channels of {icg}, in parallel"));
        nest.line(format_args!("transform the {rows} x {cols} inputs of each square into memory"));
        nest.depth = outer;
        nest.each(positions, format_args!("{position}, in parallel"));
        nest.each(ocg.div_ceil(passed), format_args!("{part}"));
        nest.each(passed.div_ceil(columns), format_args!("{columns} output channels of {passed}"));
        multiply(nest);
        nest.depth = outer;
        nest.each(ocg.div_ceil(lanes), format_args!("{lanes} output channels of {ocg}, in parallel"));
        nest.line(format_args!("transform the sums of each square to {height} x {width} outputs"));
    }
    epilogue(nest, &p.epilogue);
}

/// The loops of a first layer whose output rows are computed in bands.
fn banded(nest: &mut Lines, p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks, bands: &Bands) {
    let (lanes, [most, columns], [oh, ow]) = (kernel.id.tier.lanes(), kernel.id.tile, [p.oh(), p.ow()]);
    let rows = blocks.rows.clamp(1, oh).next_multiple_of(bands.rows);
    let oc = blocks.oc.clamp(1, p.oc);
    nest.each(p.n, format_args!("{} images, in parallel", p.n));
    nest.each(oh.div_ceil(rows), format_args!("{rows} rows of {oh}, in parallel"));
    nest.each(p.oc.div_ceil(oc), format_args!("{oc} output channels of {}, in parallel", p.oc));
    nest.each(rows.div_ceil(bands.rows), format_args!("band of {} rows of {rows}", bands.rows));
    let Bands { rows: band, products, phases, .. } = *bands;
    nest.line(format_args!(
        "transform the input rows of {} channels x {phases} phases, down each column, into the worker's scratch",
        p.ic
    ));
    nest.each(oc.div_ceil(columns), format_args!("{columns} output channels of {oc}"));
    nest.each(ow.div_ceil(2 * most), format_args!("{} pixels of {ow}", 2 * most));
    let outer = nest.depth;
    nest.each(products, format_args!("product of {products}"));
    nest.each(2, format_args!("{most} pixels of {}", 2 * most));
    nest.line(format_args!(
        "for up to {} planes x {} taps: {most} x {columns} sums in registers, unrolled, {lanes} channels a vector",
        p.ic * phases,
        p.kw
    ));
    nest.depth = outer;
    nest.line(format_args!("transform the sums of {products} products to {band} rows"));
    epilogue(nest, &p.epilogue);
}

/// The loops of `count` matrix products, as their nest has them.
fn gemm(p: &Gemm, count: usize, kernel: &GemmKernel, (reuse, cpu): (&Reuse<GemmStage>, &Cpu)) -> String {
    let Gemm { m, n, k, .. } = *p;
    let mut lines = Lines::new(&format!("product [{m}, {k}] x [{k}, {n}]"));
    let (lanes, [rows, columns]) = (kernel.id.tier.lanes(), kernel.id.tile);
    lines.each(count, format_args!("product of {count}, in parallel"));
    lines.levels(reuse, cpu, |_, &Level { step, of, stage }| match stage {
        GemmStage::M => format!("{} rows of {}", step * rows, (of * rows).min(m)),
        GemmStage::N => format!("{} columns of {}", step * columns, (of * columns).min(n)),
        GemmStage::K => format!("{step} of the depth of {of}: sums go on from the output"),
        GemmStage::PackA => format!("pack the block of A, as panels of {rows} rows, into the worker's scratch"),
        GemmStage::PackB => format!("pack the block of B, as panels of {columns} columns, into the worker's scratch"),
    });
    let deep = reuse.nest.extents(reuse.nest.levels().len())[GemmStage::K as usize];
    lines.line(format_args!(
        "for {deep} of the depth: up to {rows} x {columns} sums in registers, unrolled, {lanes} columns a vector"
    ));
    epilogue(&mut lines, &p.epilogue);
    lines.text
}

fn epilogue(nest: &mut Lines, e: &Epilogue) {
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
        let wide = Conv2d { ic: 1024, ..p };
        let first = Conv2d { ic: 3, kh: 7, kw: 7, stride: [2, 2], ..p };
        let cases: [(&str, &Conv2d, &[&str]); 6] = [
            (
                "conv-first-winograd4_f32_14x32_avx512",
                &first,
                &["band of 4 rows", "3 channels x 2 phases", "product of 7", "6 planes x 7 taps", "to 4 rows"],
            ),
            (
                "conv-direct_f32_14x32_avx512",
                &p,
                &["9 taps", "copy what the strip reads", "14 pixels of 56, weights (18 KiB) from L1"],
            ),
            (
                "conv-winograd4_f32_14x32_avx512",
                &p,
                &["196 squares of 4 x 4", "position of 6 x 6", "inputs of each square"],
            ),
            (
                "conv-winograd6-nonfused_f32_14x32_avx512",
                &wide,
                &["inputs of each square into memory", "position of 8 x 8, in parallel", "sums go on from the scratch"],
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
            let text = super::conv(p, kernel, &(kernel.blocks)(p, &cpu), &cpu);
            let common = ["conv n1 ic", "14 x 32 sums", "store Relu(sum + bias)", "in parallel"];
            for part in common.iter().chain(parts) {
                assert!(text.contains(part), "{name}: {part}: {text}");
            }
        }
    }
}
