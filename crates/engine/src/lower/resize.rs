//! Lowering of resizes of the two spatial axes of an image batch.

use tilewise_graph::{OpError, ValueId, ops};
use tilewise_kernels::resize::{self, Resize2d, ResizeAxis, Taps};
use tilewise_tensor::DType;

use super::pool::planes;
use super::{Layer, Lowering};
use crate::PlanError;

/// Lowers a resize with constant sizes or scales, in the layout in which x stands; returns false where other axes
/// change or where places outside of the image have a value of their own.
pub(super) fn lower(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Resize) -> Result<bool, PlanError> {
    let (Some(x), Some(&y)) = (layer.input(0), layer.node.outputs.first()) else { return Ok(false) };
    if lowering.graph.value(x).ty.dtype != DType::F32 {
        return Ok(false);
    }
    let shape = lowering.shape(x);
    let &[n, c, _, _] = &*shape else { return Ok(false) };
    let floats = |i: usize| layer.input(i).map_or(Some(Vec::new()), |id| floats(lowering, id));
    let sizes = layer.input(3).map_or(Some(Vec::new()), |id| lowering.ints(id));
    let (Some(roi), Some(scales), Some(sizes)) = (floats(1), floats(2), sizes) else { return Ok(false) };
    let axes = op.axes(&shape, &roi, &scales, &sizes).map_err(|error: OpError| lowering.fail(layer, error))?;
    if axes[..2].iter().any(|axis| axis.input != axis.output || axis.scale != 1.0) {
        return Ok(false);
    }
    let axis = |axis: &ops::ResizeAxis| table(axis.input, &op.taps(axis));
    let (Some(vertical), Some(horizontal)) = (axis(&axes[2]), axis(&axes[3])) else { return Ok(false) };
    let layout = lowering.home(x);
    let problem = Resize2d { n, c, vertical, horizontal, layout: planes(layout) };
    let kernel = resize::choose(lowering.cpu.tier);
    let scratch = (kernel.scratch_len)(&problem, lowering.cpu.cores);
    let (x, y) = (lowering.buffer(x, layout)?, lowering.make(y, layout)?);
    lowering.push_map(layer, kernel.id.name, [x, y], scratch, move |x, y, ctx| (kernel.run)(&problem, x, y, ctx));
    Ok(true)
}

/// The kernel's table of an axis from the operator's taps; none where a place has no tap.
fn table(input: usize, places: &[Vec<(usize, f32)>]) -> Option<ResizeAxis> {
    let (mut taps, mut weights) = (Vec::with_capacity(places.len()), Vec::new());
    for place in places {
        let first = place.iter().map(|&(at, _)| at).min()?;
        let last = place.iter().map(|&(at, _)| at).max()?;
        let begin = weights.len();
        weights.resize(begin + last - first + 1, 0.0);
        for &(at, weight) in place {
            weights[begin + at - first] += weight;
        }
        taps.push(Taps { first: first as u32, count: (last - first + 1) as u32, weights: begin as u32 });
    }
    ResizeAxis::new(input, taps, weights).ok()
}

fn floats(lowering: &Lowering<'_>, id: ValueId) -> Option<Vec<f32>> {
    let tensor = lowering.graph.constant(id)?.tensor().ok()?;
    Some(tensor.values::<f32>().ok()?.into_owned())
}
