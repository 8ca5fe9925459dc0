//! Layers around a convolution: what replaces it, and what is folded or fused into it.

mod batch_norm;
mod depthwise;
mod fusion;

pub(super) use batch_norm::RUNGS as BATCH_NORM;
pub(super) use depthwise::RUNGS as SEPARABLE;
pub(super) use fusion::RUNGS as FUSION;

use tilewise_tensor::AlignedBuffer;

use super::Built;
use super::conv::count;
use super::conv::kernel::{Image, Prepared};
use super::nest::Traffic;
use super::operands::zeros;
use crate::conv::Layout;
use crate::eltwise::choose_unary;
use crate::{Conv2d, Cpu, Ctx, Pool, Unary, conv};

/// The engine's choice for a convolution.
fn chosen(p: &Conv2d, cpu: &Cpu) -> Option<&'static conv::ConvKernel> {
    cpu.tier.available().then(|| conv::choose(p, cpu)).flatten().map(|(row, _)| row)
}

/// What the chosen kernel moves, with `passes` more of its output: reads and writes counted one by one.
fn with_passes(p: &Conv2d, cpu: &Cpu, passes: usize) -> Option<Traffic> {
    let each = Traffic::again(p.oc * p.oh() * p.ow(), cpu);
    let mut traffic = count::kernel(p, chosen(p, cpu)?, cpu)?;
    for _ in 0..passes {
        traffic = traffic.then(each);
    }
    Some(traffic)
}

/// A layer that reads an image and writes one of the same layout.
type Pass = Box<dyn FnMut(&[f32], &mut [f32], &Pool)>;

/// A convolution of planar `x` and the layers behind it, each with an output of its own.
fn chain(mut first: Prepared, x: &[f32], mut passes: Vec<Pass>) -> Built {
    let (x, output) = (first.input(x), first.output());
    let mut between: Vec<AlignedBuffer> = passes.iter().map(|_| zeros(output.len())).collect();
    Built {
        y: zeros(output.len()),
        run: Box::new(move |y, pool| {
            let Some((last, others)) = passes.split_last_mut() else { return first.run(x.as_slice(), y, pool) };
            first.run(x.as_slice(), between[0].as_mut_slice(), pool);
            for (at, pass) in others.iter_mut().enumerate() {
                let (from, to) = between.split_at_mut(at + 1);
                pass(from[at].as_slice(), to[0].as_mut_slice(), pool);
            }
            last(between[others.len()].as_slice(), y, pool);
        }),
        plain: Box::new(move |y| output.plain(y)),
    }
}

/// The engine's ReLU as a layer.
fn relu(output: &Image) -> Pass {
    let row = choose_unary(output.tier);
    Box::new(move |x, y, pool| (row.run)(Unary::Relu, x, y, context(pool)))
}

/// For kernels without scratch.
fn context(pool: &Pool) -> Ctx<'_> {
    Ctx { pool, scratch: &mut [] }
}

/// `[images][planes][pixels][lanes]` of an image in its layout.
fn shape(image: &Image) -> [usize; 4] {
    let lanes = if image.layout == Layout::Nchwc { image.tier.lanes() } else { 1 };
    [image.shape.n, image.shape.c.div_ceil(lanes), image.shape.pixels, lanes]
}
