//! Lets convolutions and poolings do the padding that a Pad node before them does.

use super::pattern::{input, ints, is_nonnegative, scalar};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{AutoPad, PadMode, resolve_axis};
use crate::{Graph, GraphError, NodeId, Op, ValueId};

/// Adds constant padding of spatial axes to the pads of what reads it, where the added value is what those pads mean.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(absorb_pad(graph, id)))
}

/// A Pad of spatial axes: what it pads, the value, and the places before each axis, then after each.
struct Padding {
    x: ValueId,
    value: f32,
    places: Vec<usize>,
}

impl Padding {
    fn of(graph: &Graph, y: ValueId) -> Option<Padding> {
        let (_, node) = graph.producer(y)?;
        let Op::Pad(op) = &node.op else { return None };
        let x = input(node, 0)?;
        let rank = graph.value(x).ty.rank().filter(|&rank| rank >= 3 && op.mode == PadMode::Constant)?;
        let value = input(node, 2).map_or(Some(0.0), |value| scalar(graph, value))?;
        let given = ints(graph, input(node, 1)?)?;
        let axes = match input(node, 3) {
            None => (0..rank).collect(),
            Some(axes) => ints(graph, axes)?.iter().map(|&a| resolve_axis(a, rank).ok()).collect::<Option<Vec<_>>>()?,
        };
        if given.len() != 2 * axes.len() {
            return None;
        }
        let mut places = vec![0; 2 * (rank - 2)];
        for (i, &axis) in axes.iter().enumerate() {
            for (side, pad) in [given[i], given[i + axes.len()]].into_iter().enumerate() {
                let pad = usize::try_from(pad).ok()?;
                match axis.checked_sub(2) {
                    Some(spatial) => places[side * (rank - 2) + spatial] = pad,
                    None if pad == 0 => (),
                    None => return None,
                }
            }
        }
        Some(Padding { x, value, places })
    }

    /// These places and those that a window adds itself; nothing where they follow from the input's length.
    fn plus(&self, own: &[usize], auto_pad: AutoPad) -> Option<Vec<usize>> {
        match (auto_pad, own) {
            (AutoPad::SameUpper | AutoPad::SameLower, _) => None,
            (AutoPad::Valid, _) | (AutoPad::NotSet, []) => Some(self.places.clone()),
            (AutoPad::NotSet, own) => Some(self.places.iter().zip(own).map(|(a, b)| a + b).collect()),
        }
    }
}

fn absorb_pad(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((op, x)) = padded(graph, id) else { return false };
    let mut inputs = graph.node(id).inputs.clone();
    inputs[0] = Some(x);
    graph.replace(id, op, inputs);
    true
}

/// The operator with the padding before it, and what is padded.
fn padded(graph: &Rewriter<'_>, id: NodeId) -> Option<(Op, ValueId)> {
    let node = graph.node(id);
    let padding = Padding::of(graph, input(node, 0)?)?;
    let not_set = AutoPad::NotSet;
    let op: Op = if let Op::Conv(op) = &node.op {
        let pads = padding.plus(&op.pads, op.auto_pad).filter(|_| padding.value == 0.0)?;
        crate::ops::Conv { pads, auto_pad: not_set, ..op.clone() }.into()
    } else if let Op::AveragePool(op) = &node.op {
        // Zeros count as elements; with ceil_mode a window may start in these zeros, but in no pads.
        let counted = op.count_include_pad || op.pads.iter().all(|&pad| pad == 0);
        let fits = counted && padding.value == 0.0 && !op.ceil_mode;
        let pads = padding.plus(&op.pads, op.auto_pad).filter(|_| fits)?;
        crate::ops::AveragePool { pads, auto_pad: not_set, count_include_pad: true, ..op.clone() }.into()
    } else if let Op::MaxPool(op) = &node.op {
        // Pads never win. Nor does minus infinity, nor zero against numbers from zero on, of which each window must
        // have one. Positions of the largest would count the padding.
        let neutral = padding.value == f32::NEG_INFINITY || (padding.value == 0.0 && is_nonnegative(graph, padding.x));
        let pads = padding.plus(&op.pads, op.auto_pad).filter(|_| neutral && !op.ceil_mode)?;
        let never_alone = pads.iter().zip(op.kernel_shape.iter().cycle()).all(|(pad, kernel)| pad < kernel);
        if !never_alone || node.outputs[1..].iter().any(|&output| graph.is_read(output)) {
            return None;
        }
        crate::ops::MaxPool { pads, auto_pad: not_set, ..op.clone() }.into()
    } else {
        return None;
    };
    Some((op, padding.x))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn padding_becomes_pads() {
        check(
            run,
            &[
                Case {
                    what: "a convolution with pads of its own, over named axes",
                    before: "input x: f32[N,1,4,4]
                         const w: f32[1,1,3,3] = fill
                         const p: i64[4] = 0 1 2 1
                         const z: f32[] = 0
                         const a: i64[2] = -2 3
                         q = Pad(x, p, z, a)
                         y = Conv(q, w) pads=[1,0,0,0]
                         output y",
                    after: "input x: f32[N,1,4,4]
                        const w: f32[1,1,3,3] = fill
                        y = Conv(x, w) pads=[1,1,2,1]
                        output y",
                },
                Case {
                    what: "poolings",
                    before: "input x: f32[1,1,4,4]
                         const p: i64[8] = 0 0 1 1 0 0 1 1
                         const m: f32[] = -inf
                         q = Pad(x, p)
                         r = Pad(x, p, m)
                         s = Relu(x)
                         t = Pad(s, p)
                         a = AveragePool(q) kernel_shape=[3,3] strides=[2,2]
                         b = MaxPool(r) kernel_shape=[3,3]
                         c = MaxPool(t) kernel_shape=[2,2] auto_pad=\"VALID\"
                         output a
                         output b
                         output c",
                    after: "input x: f32[1,1,4,4]
                        s = Relu(x)
                        a = AveragePool(x) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] count_include_pad=1
                        b = MaxPool(x) kernel_shape=[3,3] pads=[1,1,1,1]
                        c = MaxPool(s) kernel_shape=[2,2] pads=[1,1,1,1]
                        output a
                        output b
                        output c",
                },
            ],
        );
    }

    #[test]
    fn padding_that_means_something_else_stays() {
        let head = "input x: f32[1,1,4,4]\nconst p: i64[8] = 0 0 1 1 0 0 1 1\nconst o: f32[] = 1\nconst w: f32[1,1,3,3] = fill\n";
        let nodes = [
            "q = Pad(x, p, o)\ny = Conv(q, w)",
            "q = Pad(x, p) mode=\"edge\"\ny = Conv(q, w)",
            "q = Pad(x, p)\ny = Conv(q, w) auto_pad=\"SAME_UPPER\"",
            "q = Pad(x, p)\ny = MaxPool(q) kernel_shape=[2,2]",
            "r = Relu(x)\nq = Pad(r, p)\ny = MaxPool(q) kernel_shape=[1,2]",
            "q = Pad(x, p)\ny = AveragePool(q) kernel_shape=[2,2] pads=[1,0,0,0]",
            "const c: i64[8] = 0 1 0 0 0 1 0 0\nconst v: f32[1,3,1,1] = 1 2 3\nq = Pad(x, c)\ny = Conv(q, v)",
        ];
        for node in nodes {
            check_unchanged(run, &[(node, &format!("{head}{node}\noutput y"))]);
        }
    }
}
