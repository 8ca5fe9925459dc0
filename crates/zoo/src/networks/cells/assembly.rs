//! How a network is assembled from cells: a stem that quarters the image, and three stages of repeated cells.

use tilewise_graph::ValueId;

use super::cell::{Cell, Genotype, Place, cell};
use crate::Variant;
use crate::layers::conv;
use crate::net::Net;

/// A network of cells.
pub(super) struct Assembly {
    pub(super) genotype: Genotype,
    /// Cells of a stage.
    pub(super) repeats: usize,
    /// Filters of the first stage; each reduction doubles them.
    pub(super) filters: usize,
    /// Channels of the first convolution.
    pub(super) stem: usize,
    /// The cell after a reduction cell takes, as its previous input, what the reduction cell took.
    pub(super) skips_reduction: bool,
}

/// Epsilon of all batch norms, as in the released code.
const EPSILON: f32 = 1e-3;

/// Describes the network from the image to the scores.
pub(super) fn assemble(net: &mut Net<'_>, image: ValueId, v: &Variant, a: &Assembly) -> ValueId {
    net.epsilon = EPSILON;
    let Genotype { normal, reduction, prefixes } = a.genotype;
    let halving = reduction.unwrap_or(normal);
    let stem = net.within(prefixes.stem, |net| net.conv_bn(["conv", "bn"], image, conv(a.stem, 3).stride(2)));
    let mut put = |name: &str, genotype: &Cell, place| net.within(name, |net| cell(net, genotype, prefixes, place));

    let place = |current, previous, filters, stride| Place { current, previous, filters, stride };
    let mut previous = put("cell_stem_0", halving, place(stem, None, a.filters / 4, 2));
    let mut current = put("cell_stem_1", halving, place(previous, Some(stem), a.filters / 2, 2));
    let mut filters = a.filters;
    for number in 0..3 * a.repeats {
        let mut stride = 1;
        if number > 0 && number % a.repeats == 0 {
            filters *= 2;
            if let Some(reduction) = reduction {
                let name = format!("reduction_cell_{}", number / a.repeats - 1);
                let reduced = put(&name, reduction, place(current, Some(previous), filters, 2));
                previous = if a.skips_reduction { previous } else { current };
                current = reduced;
            } else {
                stride = 2;
            }
        }
        let next = put(&format!("cell_{number}"), normal, place(current, Some(previous), filters, stride));
        (previous, current) = (current, next);
    }
    let x = net.relu(current);
    net.classifier("last_linear", x, v.classes)
}
