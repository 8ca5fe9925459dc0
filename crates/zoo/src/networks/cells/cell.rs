//! The cell language: a cell is a list of sums of two operations on earlier states.

use tilewise_graph::ValueId;

use super::operation::{Operation, Shape, apply, relu_conv_bn};
use crate::layers::conv;
use crate::net::Net;

/// A cell. State 0 is the output of the cell before it, state 1 that of the cell before that one, both brought to the
/// cell's filters; state 2 + i is what block i makes.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    /// Each block is the sum of two operations, each on a state.
    pub(super) blocks: &'static [[(Operation, usize); 2]],
    /// The states that stand side by side in the output.
    pub(super) outputs: &'static [usize],
}

/// The cells of a family of networks.
#[derive(Clone, Copy)]
pub(super) struct Genotype {
    /// The cell that keeps the size.
    pub(super) normal: &'static Cell,
    /// The cell that halves the size; without one, the normal cell at stride 2 does, and counts as one of its stage.
    pub(super) reduction: Option<&'static Cell>,
    pub(super) prefixes: Prefixes,
}

/// Where a cell stands in its network.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Output of the cell before.
    pub(super) current: ValueId,
    /// Output of the cell before that one; none in the first cell, which takes its one input twice.
    pub(super) previous: Option<ValueId>,
    pub(super) filters: usize,
    /// Of operations on states 0 and 1.
    pub(super) stride: usize,
}

/// What in the names of parameters differs from family to family.
#[derive(Clone, Copy)]
pub(super) struct Prefixes {
    /// Of the first convolution.
    pub(super) stem: &'static str,
    /// Of a factorized reduction of the previous output, within its cell.
    pub(super) reduction: Option<&'static str>,
}

/// Describes one cell.
pub(super) fn cell(net: &mut Net<'_>, cell: &Cell, prefixes: Prefixes, place: Place) -> ValueId {
    let Place { current, previous, filters, stride } = place;
    let previous = previous.map_or(current, |x| match_previous(net, x, prefixes, place));
    let current = net.within("conv_1x1", |net| relu_conv_bn(net, current, conv(filters, 1)));
    let mut states = vec![current, previous];
    for (number, block) in cell.blocks.iter().enumerate() {
        let mut side = |side: &str, (operation, from): (Operation, usize)| {
            let shape = Shape { filters, stride: if from < 2 { stride } else { 1 } };
            net.within(&format!("comb_iter_{number}_{side}"), |net| apply(net, operation, states[from], shape))
        };
        let (left, right) = (side("left", block[0]), side("right", block[1]));
        states.push(net.add(left, right));
    }
    let size = net.size(states[states.len() - 1]);
    let outputs: Vec<ValueId> = cell.outputs.iter().map(|&from| fit(net, &states, from, size, filters)).collect();
    net.concat(&outputs)
}

/// The previous output with the size of the current one and the cell's filters.
fn match_previous(net: &mut Net<'_>, x: ValueId, prefixes: Prefixes, place: Place) -> ValueId {
    let filters = place.filters;
    if net.size(x) != net.size(place.current) {
        let x = net.relu(x);
        return match prefixes.reduction {
            Some(prefix) => net.within(prefix, |net| factorized_reduction(net, x, filters)),
            None => factorized_reduction(net, x, filters),
        };
    }
    if net.channels(x) == filters {
        return x;
    }
    net.within("conv_prev_1x1", |net| relu_conv_bn(net, x, conv(filters, 1)))
}

/// State `from`, halved where it is larger than the cell's output.
fn fit(net: &mut Net<'_>, states: &[ValueId], from: usize, size: [usize; 2], filters: usize) -> ValueId {
    let x = states[from];
    if net.size(x) == size {
        return x;
    }
    net.within(&format!("reduction_{from}"), |net| factorized_reduction(net, x, filters))
}

/// Halves an image: half of the filters read the even rows and columns, the other half the odd ones. Past the last row
/// or column zeros are read, so that both halves have one size.
/// Of an odd number of filters the second half has one more, as in the released code.
fn factorized_reduction(net: &mut Net<'_>, x: ValueId, filters: usize) -> ValueId {
    let even = filters / 2;
    let missing = net.size(x).map(|n| n % 2);
    let first = net.conv("path_1.conv", x, conv(even, 1).stride(2));
    let odd = net.every(x, 1, 2);
    let second = net.conv("path_2.conv", odd, conv(filters - even, 1).pad_after(missing));
    let both = net.concat(&[first, second]);
    net.batch_norm("final_path_bn", both)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use tilewise_graph::Interpreter;
    use tilewise_tensor::Tensor;

    use super::*;
    use crate::Weights;

    #[test]
    fn a_factorized_reduction_reads_even_and_odd_pixels() {
        let tensor = |shape: &[usize], value: f32| Tensor::from_slice(shape, &[value; 3][..shape[0]]).unwrap();
        // One filter for the even pixels, twice their value, and two for the odd ones.
        let mut weights = BTreeMap::from([("path_1.conv.weight".to_owned(), tensor(&[1, 1, 1, 1], 2.0))]);
        weights.insert("path_2.conv.weight".to_owned(), tensor(&[2, 1, 1, 1], 1.0));
        for (name, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            weights.insert(format!("final_path_bn.{name}"), tensor(&[3], value));
        }
        let weights = Weights::Named(weights);
        for [h, w] in [[4, 6], [5, 4], [3, 7]] {
            let (mut net, x) = Net::new(&weights, &[1, h, w]);
            let y = factorized_reduction(&mut net, x, 3);
            let (graph, mismatch) = net.finish(y).unwrap();
            assert_eq!(mismatch, crate::Mismatch::default());

            let pixel = |row: usize, column: usize| {
                if row < h && column < w { (1 + row * w + column) as f32 } else { 0.0 }
            };
            let image: Vec<f32> = (0..h * w).map(|i| pixel(i / w, i % w)).collect();
            let image = Tensor::from_slice(&[1, 1, h, w], &image).unwrap();
            let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
            let at = |shift: usize| (0..oh * ow).map(move |i| pixel(2 * (i / ow) + shift, 2 * (i % ow) + shift));
            let expected: Vec<f32> = at(0).map(|x| 2.0 * x).chain(at(1)).chain(at(1)).collect();

            let actual = Interpreter::new(&graph).unwrap().run(&[image], |_, _| {}).unwrap();
            assert_eq!(actual[0].shape(), [1, 3, oh, ow]);
            // The batch norm's epsilon of 1e-5 makes each a little smaller.
            for (actual, expected) in actual[0].values::<f32>().unwrap().iter().zip(expected) {
                assert!((actual - expected).abs() <= 1e-5 * expected, "{h} x {w}: {actual}, not {expected}");
            }
        }
    }
}
