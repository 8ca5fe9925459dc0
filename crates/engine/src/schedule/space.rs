//! The space: every choice that computes a problem on a machine. What cannot run is not in it.

use tilewise_kernels::conv::{self, ConvBlocks, ConvKernel, ConvStage, Layout};
use tilewise_kernels::gemm::{self, Gemm, GemmBlocks};
use tilewise_kernels::nest::{Nest, Order, Stage};
use tilewise_kernels::{Conv2d, Cpu, DepthwisePointwise};

use super::{Choice, Problem};

/// Whether a choice computes a problem on a machine.
///
/// # Errors
/// Why it does not.
pub fn fits(choice: &Choice, problem: &Problem, cpu: &Cpu) -> Result<(), String> {
    let tier = match choice {
        Choice::Conv(kernel, _) => kernel.id.tier,
        Choice::Fused(kernel, _) => kernel.id.tier,
        Choice::Gemm(kernel, _) => kernel.id.tier,
    };
    if tier != cpu.tier {
        return Err(format!("the kernel is for {tier}, and this runs on {}", cpu.tier));
    }
    let accepted = match (choice, problem) {
        (Choice::Conv(kernel, _), Problem::Conv(p)) => (kernel.accepts)(p),
        (Choice::Conv(kernel, _), Problem::FlatConv(p)) => (kernel.accepts)(p) && is_flat(kernel),
        (Choice::Fused(..), Problem::Pair(_)) | (Choice::Gemm(..), Problem::Gemm { .. }) => true,
        (Choice::Fused(..), Problem::Conv(_) | Problem::FlatConv(_)) => {
            return Err("there is no depthwise convolution before it to be fused with".to_owned());
        }
        (Choice::Conv(..) | Choice::Fused(..) | Choice::Gemm(..), _) => false,
    };
    if !accepted {
        return Err(format!("the kernel does not compute {problem}"));
    }
    match choice {
        Choice::Conv(ConvKernel { nest: None, .. }, blocks) | Choice::Fused(_, blocks)
            if blocks.order != Order::default() =>
        {
            Err("the loops of this kernel have an order of their own: leave out order=".to_owned())
        }
        Choice::Conv(..) | Choice::Fused(..) | Choice::Gemm(..) => Ok(()),
    }
}

/// True for a kernel that reads and writes row-major images.
fn is_flat(kernel: &ConvKernel) -> bool {
    (kernel.x, kernel.y) == (Layout::Nchw, Layout::Nchw)
}

/// What the kernels' own choosers make of a problem: a pure function of problem and machine. `None` for a pair that is
/// faster as two steps, and for a convolution that no kernel computes.
pub fn default(problem: &Problem, cpu: &Cpu) -> Option<Choice> {
    match problem {
        Problem::Conv(p) => conv::choose(p, cpu).map(|(kernel, blocks)| Choice::Conv(kernel, blocks)),
        Problem::FlatConv(p) => {
            let kernel = conv::candidates(p, cpu).find(|kernel| is_flat(kernel))?;
            Some(Choice::Conv(kernel, (kernel.blocks)(p, cpu)))
        }
        Problem::Pair(p) => {
            let kernel = conv::fused::choose(cpu.tier);
            conv::fused::pays(p, cpu).then(|| Choice::Fused(kernel, (kernel.blocks)(p, cpu)))
        }
        Problem::Gemm { problem, .. } => {
            let (kernel, blocks) = gemm::choose(problem, cpu);
            Some(Choice::Gemm(kernel, blocks))
        }
    }
}

/// Every choice for a problem on a machine, each once: all kernels that compute it, each with the blocks that its model
/// gives, with larger and smaller ones around these, and with other orders of the loops where these make another nest.
/// The default is among them.
pub fn candidates(problem: &Problem, cpu: &Cpu) -> Vec<Choice> {
    let mut all: Vec<Choice> = Vec::new();
    let mut add = |choice: Choice| {
        if !all.contains(&choice) && fits(&choice, problem, cpu).is_ok() {
            all.push(choice);
        }
    };
    if let Some(choice) = default(problem, cpu) {
        add(choice);
    }
    match problem {
        Problem::Conv(p) | Problem::FlatConv(p) => {
            for kernel in conv::candidates(p, cpu) {
                conv_blocks(p, kernel, cpu).for_each(|blocks| add(Choice::Conv(kernel, blocks)));
            }
        }
        Problem::Pair(p) => {
            let kernel = conv::fused::choose(cpu.tier);
            fused_blocks(p, (kernel.blocks)(p, cpu), cpu).for_each(|blocks| add(Choice::Fused(kernel, blocks)));
        }
        Problem::Gemm { problem: p, count, packed } => {
            for kernel in gemm::ROWS.iter().filter(|row| row.id.tier == cpu.tier) {
                let base = (kernel.blocks)(p, cpu);
                let nest = |blocks: &GemmBlocks| (kernel.nest)(p, blocks, *packed, *count, cpu.cores.max(1));
                let orders = gemm::ORDERS.iter().filter_map(|stages| Order::new(stages).ok());
                let orders = distinct(orders.map(|order| GemmBlocks { order, ..base }).collect(), nest);
                let all = gemm_blocks(p, base, kernel.id.tile).chain(orders);
                all.for_each(|blocks| add(Choice::Gemm(kernel, blocks)));
            }
        }
    }
    all
}

/// Sizes of a block, in whole `unit`s up to `most`.
#[derive(Clone, Copy)]
struct Axis {
    unit: usize,
    most: usize,
    /// Into how many parts a block cuts the axis that gives each core one.
    cores: usize,
}

impl Axis {
    /// A size, its half and its double, one part for each core, and all there is.
    fn around(self, size: usize) -> impl Iterator<Item = usize> + Clone {
        let whole = move |size: usize| size.clamp(1, self.most.max(1)).next_multiple_of(self.unit);
        [size, size / 2, size.saturating_mul(2), self.most.div_ceil(self.cores), self.most].map(whole).into_iter()
    }
}

/// The blocks around those of a kernel's model: rows with output channels, and input channels by themselves.
fn conv_blocks(p: &Conv2d, kernel: &ConvKernel, cpu: &Cpu) -> impl Iterator<Item = ConvBlocks> {
    let base = (kernel.blocks)(p, cpu);
    let (icg, ocg, lanes, cores) = (p.ic / p.groups, p.oc / p.groups, kernel.id.tier.lanes(), cpu.cores.max(1));
    // Squares of a task stand in its scratch: more than twice the model's leave L2.
    let tallest = conv::squares(p, kernel).map_or(p.oh(), |squares| squares.count.min(2 * base.rows));
    let (unit, widest) = if p.is_depthwise() { (lanes, p.oc) } else { (kernel.id.tile[1], ocg) };
    let (rows, oc) = (Axis { unit: kernel.band, most: tallest, cores }, Axis { unit, most: widest, cores });
    let outputs =
        rows.around(base.rows).flat_map(move |rows| oc.around(base.oc).map(move |oc| ConvBlocks { rows, oc, ..base }));
    let inputs = Axis { unit: lanes, most: icg, cores: 1 }.around(base.ic).map(move |ic| ConvBlocks { ic, ..base });
    let order = |order: Order<ConvStage>| inputs.clone().map(move |blocks| ConvBlocks { order, ..blocks });
    let orders = conv::ORDERS.iter().filter_map(|stages| Order::new(stages).ok()).flat_map(order);
    let others = kernel.nest.map(|nest| distinct(orders.collect(), |blocks| nest(p, blocks)));
    std::iter::once(base).chain(outputs).chain(inputs).chain(others.unwrap_or_default())
}

/// The blocks of which no earlier ones have the same nest: one loop alone is the same in any order.
fn distinct<B, S: Stage>(all: Vec<B>, nest: impl Fn(&B) -> Nest<S>) -> Vec<B> {
    let nests: Vec<Nest<S>> = all.iter().map(nest).collect();
    let is_same = |a: &Nest<S>, b: &Nest<S>| (a.levels(), a.shared()) == (b.levels(), b.shared());
    let is_first = |i: usize| !nests[..i].iter().any(|other| is_same(other, &nests[i]));
    all.into_iter().enumerate().filter(|&(i, _)| is_first(i)).map(|(_, blocks)| blocks).collect()
}

/// The blocks around those of the fused kernel's model; all output channels belong to one task.
fn fused_blocks(p: &DepthwisePointwise, base: ConvBlocks, cpu: &Cpu) -> impl Iterator<Item = ConvBlocks> {
    let rows = Axis { unit: 1, most: p.pointwise.ih, cores: cpu.cores.max(1) };
    let ic = Axis { unit: cpu.tier.lanes(), most: p.pointwise.ic, cores: 1 };
    let ics = ic.around(base.ic).map(move |ic| ConvBlocks { ic, ..base });
    rows.around(base.rows).map(move |rows| ConvBlocks { rows, ..base }).chain(ics)
}

/// The blocks around those of a matrix-product kernel's model, one size changed at a time.
fn gemm_blocks(p: &Gemm, base: GemmBlocks, [mr, nr]: [usize; 2]) -> impl Iterator<Item = GemmBlocks> {
    let axis = |unit: usize, most: usize| Axis { unit, most, cores: 1 };
    let mcs = axis(mr, p.m).around(base.mc).map(move |mc| GemmBlocks { mc, ..base });
    let kcs = axis(1, p.k).around(base.kc).map(move |kc| GemmBlocks { kc, ..base });
    let ncs = axis(nr, p.n).around(base.nc).map(move |nc| GemmBlocks { nc, ..base });
    std::iter::once(base).chain(mcs).chain(kcs).chain(ncs)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use tilewise_kernels::gemm::Strides;
    use tilewise_kernels::{Epilogue, Pads, Tier};

    use super::*;

    pub(in crate::schedule) fn conv(text: &str) -> Conv2d {
        let mut p = Conv2d {
            n: 1,
            ic: 64,
            ih: 14,
            iw: 14,
            oc: 64,
            kh: 3,
            kw: 3,
            stride: [1, 1],
            dilation: [1, 1],
            pads: Pads::default(),
            groups: 1,
            epilogue: Epilogue::default(),
        };
        for word in text.split_whitespace() {
            let at = word.find(|c: char| c.is_ascii_digit()).unwrap();
            let value: usize = word[at..].parse().unwrap();
            match &word[..at] {
                "n" => p.n = value,
                "ic" => p.ic = value,
                "oc" => p.oc = value,
                "i" => (p.ih, p.iw) = (value, value),
                "k" => (p.kh, p.kw) = (value, value),
                "s" => p.stride = [value, value],
                "p" => p.pads = Pads { top: value, left: value, bottom: value, right: value },
                "g" => p.groups = value,
                other => panic!("{other}"),
            }
        }
        p.validated().unwrap()
    }

    pub(in crate::schedule) fn problems() -> Vec<Problem> {
        let convs =
            ["i56 p1", "i28 k1 ic256", "i224 k7 s2 p3 ic3", "i7 g64 p1", "i5 k5 p2 ic20 oc36", "i9 ic12 oc12 g2"];
        let mut all: Vec<Problem> = convs.iter().map(|text| Problem::Conv(conv(text))).collect();
        all.push(Problem::FlatConv(Conv2d { ih: 1, kh: 1, ..conv("i40 k1 ic20") }));
        all.push(Problem::Pair(DepthwisePointwise { depthwise: conv("i28 g64 p1"), pointwise: conv("i28 k1 oc128") }));
        for m in [1, 197] {
            let (a, b) = (Strides { row: 768, col: 1 }, Strides { row: 1000, col: 1 });
            let problem = Gemm { m, n: 1000, k: 768, a, b, alpha: 1.0, epilogue: Epilogue::default() };
            all.push(Problem::Gemm { problem, count: 1, packed: true });
        }
        all
    }

    fn machines() -> [Cpu; 5] {
        [Cpu::zen5(), Cpu::zen4(), Cpu::haswell(), Cpu::skylake_x(), Cpu::scalar()]
    }

    #[test]
    fn candidates_are_legal_each_there_once_and_the_default_among_them() {
        for (cpu, problem) in machines().iter().flat_map(|cpu| problems().into_iter().map(move |p| (cpu, p))) {
            let all = candidates(&problem, cpu);
            assert!(all.len() >= 3, "{cpu}: {problem}: {all:?}");
            for choice in &all {
                assert_eq!(fits(choice, &problem, cpu), Ok(()), "{cpu}: {problem}: {choice}");
                assert_eq!(choice.to_string().parse::<Choice>().as_ref(), Ok(choice));
            }
            let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), all.len(), "{cpu}: {problem}");
            assert!(default(&problem, cpu).is_none_or(|choice| all.contains(&choice)), "{cpu}: {problem}");
        }
    }

    #[test]
    fn every_method_that_computes_a_layer_is_a_candidate() {
        let ops = |text: &str| {
            let all = candidates(&Problem::Conv(conv(text)), &Cpu::zen5());
            all.iter().map(|choice| choice.kernel().split('_').next().unwrap()).collect::<BTreeSet<&str>>()
        };
        let three = ops("i56 p1");
        for method in ["conv-direct", "conv-winograd2", "conv-winograd4", "conv-winograd6", "conv-im2col"] {
            assert!(three.contains(method), "{method} is not in {three:?}");
        }
        assert!(ops("i28 g64 p1").contains("conv-depthwise"));
        assert_eq!(ops("i28 k1"), BTreeSet::from(["conv-pointwise", "conv-im2col"]));
    }

    #[test]
    fn orders_of_loops_are_candidates_where_they_make_another_nest() {
        let orders = |problem: &Problem| {
            let all = candidates(problem, &Cpu::zen5());
            let order = |choice: &Choice| match choice {
                Choice::Conv(_, blocks) | Choice::Fused(_, blocks) => blocks.order.to_string(),
                Choice::Gemm(_, blocks) => blocks.order.to_string(),
            };
            all.iter().map(order).collect::<BTreeSet<String>>()
        };
        let product = |m: usize| {
            let (a, b) = (Strides { row: 768, col: 1 }, Strides { row: 1000, col: 1 });
            let problem = Gemm { m, n: 1000, k: 768, a, b, alpha: 1.0, epilogue: Epilogue::default() };
            Problem::Gemm { problem, count: 1, packed: true }
        };
        let (row, pixel, ic) = ("row,oc,ic,pixel", "pixel,row,oc,ic", "ic,pack-x,oc,row,pixel");
        let cases: [(Problem, &[&str]); 5] = [
            (Problem::Conv(conv("i56 p1 ic256 oc256")), &["oc,ic,row,pixel", row, pixel, ic]),
            // A pointwise convolution has no rows.
            (Problem::Conv(conv("i28 k1 ic256")), &["oc,ic,row,pixel", pixel, ic]),
            (Problem::Conv(conv("i28 g64 p1")), &["oc,ic,row,pixel"]),
            (product(197), &["n,k,m,n,m", "n,k,m,m,n"]),
            (product(1), &["n,k,m,n,m"]),
        ];
        for (problem, want) in cases {
            assert_eq!(orders(&problem), want.iter().map(ToString::to_string).collect(), "{problem}");
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let cpu = Cpu::zen5();
        let [three, one] = ["i56 p1", "i56 k1"].map(|text| Problem::Conv(conv(text)));
        let direct: Choice = "conv-direct_f32_14x32_avx512 rows=7 oc=64 ic=64".parse().unwrap();
        let fused: Choice = "conv-dwpw_f32_14x32_avx512 rows=7 oc=64 ic=64".parse().unwrap();
        let cases = [
            (&direct, &one, &cpu, "does not compute"),
            (&direct, &three, &cpu.clone().with_tier(Tier::Avx2), "for avx512"),
            (&fused, &three, &cpu, "no depthwise convolution before it"),
        ];
        for (choice, problem, cpu, why) in cases {
            let reason = fits(choice, problem, cpu).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
        assert_eq!(fits(&direct, &three, &cpu), Ok(()));
    }
}
