//! What several passes look for in a graph: constants, scalars, functions of one value, products.

use tilewise_tensor::{DType, Unary as Function};

use super::rewriter::Rewriter;
use crate::ops::{Binary, BinaryFn, Reduce, ReduceFn, Unary};
use crate::{Dim, Graph, Node, Op, ValueId};

/// Relative difference of two constants that mean the same number: f32 keeps 24 bits, exporters print 7 digits.
const SAME: f64 = 1e-6;

/// True for numbers that differ by rounding alone.
pub(super) fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * b.abs()
}

/// Input number `index`, where it is given.
pub(super) fn input(node: &Node, index: usize) -> Option<ValueId> {
    node.inputs.get(index).copied().flatten()
}

/// The element of an f32 constant with one element, whatever its rank.
pub(super) fn scalar(graph: &Graph, id: ValueId) -> Option<f32> {
    let constant = graph.constant(id)?;
    if constant.stored().numel() != 1 {
        return None;
    }
    constant.tensor().ok()?.values::<f32>().ok()?.first().copied()
}

/// The elements of an f32 constant.
pub(super) fn floats(graph: &Graph, id: ValueId) -> Option<Vec<f32>> {
    Some(graph.constant(id)?.tensor().ok()?.values::<f32>().ok()?.into_owned())
}

/// The elements of an integer constant.
pub(super) fn ints(graph: &Graph, id: ValueId) -> Option<Vec<i64>> {
    crate::ops::ints(&graph.constant(id)?.tensor().ok()?).ok()
}

/// The operands of the node behind a value that is this function of two.
pub(super) fn binary(graph: &Graph, id: ValueId, function: BinaryFn) -> Option<[ValueId; 2]> {
    let (_, node) = graph.producer(id)?;
    if node.op != Op::Binary(Binary(function)) {
        return None;
    }
    Some([input(node, 0)?, input(node, 1)?])
}

/// The operand and the constant of a commutative function of a value and a scalar.
pub(super) fn with_scalar(graph: &Graph, id: ValueId, function: BinaryFn) -> Option<(ValueId, f64)> {
    let [a, b] = binary(graph, id, function)?;
    let (x, s) = scalar(graph, b).map(|s| (a, s)).or_else(|| Some((b, scalar(graph, a)?)))?;
    Some((x, s.into()))
}

/// The function of one number behind a value, and its operand.
pub(super) fn unary(graph: &Graph, id: ValueId) -> Option<(Function, ValueId)> {
    let (_, node) = graph.producer(id)?;
    let Op::Unary(Unary(function)) = &node.op else { return None };
    Some((*function, input(node, 0)?))
}

/// The operand of this function of one number behind a value.
pub(super) fn operand_of(graph: &Graph, id: ValueId, function: Function) -> Option<ValueId> {
    unary(graph, id).filter(|(f, _)| *f == function).map(|(_, x)| x)
}

/// True for what a function made that yields no number below zero.
pub(super) fn is_nonnegative(graph: &Graph, id: ValueId) -> bool {
    let Some((function, _)) = unary(graph, id) else { return false };
    if let Function::Clip { lo, hi } = function {
        return lo >= 0.0 && hi >= 0.0;
    }
    [Function::Relu, Function::Sigmoid, Function::Softplus, Function::Abs].contains(&function)
}

/// True for an f32 value whose rank is known to be that of `x`: scalars of a higher rank have not raised it.
pub(super) fn is_f32_of_rank(graph: &Graph, id: ValueId, x: ValueId) -> bool {
    let (ty, other) = (&graph.value(id).ty, &graph.value(x).ty);
    ty.dtype == DType::F32 && ty.rank().is_some() && ty.rank() == other.rank()
}

/// True for two values of one element type whose lengths are known to be the same, by number or by symbol.
pub(super) fn are_alike(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    let (a, b) = (&graph.value(a).ty, &graph.value(b).ty);
    a == b && a.shape.as_ref().is_some_and(|shape| !shape.contains(&Dim::Unknown))
}

/// The operand and the axes, in order, of this reduction behind a value, and whether it keeps them with length 1.
pub(super) fn reduction(graph: &Graph, id: ValueId, function: ReduceFn) -> Option<(ValueId, Vec<usize>, bool)> {
    let (_, node) = graph.producer(id)?;
    let Op::Reduce(Reduce { function: actual, keepdims, .. }) = node.op else { return None };
    let x = input(node, 0)?;
    let rank = graph.value(x).ty.rank()?;
    // Without axes the meaning hangs on an attribute; no pattern is written so.
    let axes = ints(graph, input(node, 1)?)?;
    let mut axes: Vec<usize> =
        axes.iter().map(|&axis| crate::ops::resolve_axis(axis, rank).ok()).collect::<Option<_>>()?;
    axes.sort_unstable();
    (actual == function && !axes.is_empty()).then_some((x, axes, keepdims))
}

/// A value as the product of a number and some values, whatever the order they were multiplied in.
pub(super) struct Monomial {
    /// The number.
    pub(super) coefficient: f64,
    /// The values, sorted; a square has one twice.
    pub(super) factors: Vec<ValueId>,
}

impl Monomial {
    /// Most nodes that are taken apart: no pattern has more, and long chains are not walked again and again.
    const MOST: usize = 6;

    /// Takes apart the product that `id` is, and products within that nothing else reads.
    pub(super) fn of(graph: &Rewriter<'_>, id: ValueId) -> Monomial {
        let mut monomial = Monomial { coefficient: 1.0, factors: Vec::new() };
        let parts = monomial.split(graph, id).unwrap_or_else(|| vec![id]);
        monomial.expand(graph, parts);
        monomial
    }

    /// Takes apart a part of a pattern: what something else reads too, such as the operand of the whole pattern, is
    /// a factor as it stands, even where it is a product itself.
    pub(super) fn within(graph: &Rewriter<'_>, id: ValueId) -> Monomial {
        let mut monomial = Monomial { coefficient: 1.0, factors: Vec::new() };
        monomial.expand(graph, vec![id]);
        monomial
    }

    fn expand(&mut self, graph: &Rewriter<'_>, mut open: Vec<ValueId>) {
        let mut taken = 0;
        while let Some(id) = open.pop() {
            taken += 1;
            let may = taken <= Self::MOST && graph.is_read_once(id);
            match if may { self.split(graph, id) } else { None } {
                Some(parts) => open.extend(parts),
                None => self.factors.push(id),
            }
        }
        self.factors.sort();
    }

    /// The factors of one product, a number among them taken into the coefficient.
    fn split(&mut self, graph: &Graph, id: ValueId) -> Option<Vec<ValueId>> {
        if let Some((x, s)) = with_scalar(graph, id, BinaryFn::Mul) {
            self.coefficient *= s;
            return Some(vec![x]);
        }
        if let Some([x, by]) = binary(graph, id, BinaryFn::Div) {
            self.coefficient /= f64::from(scalar(graph, by)?);
            return Some(vec![x]);
        }
        binary(graph, id, BinaryFn::Mul).map(Vec::from)
    }

    /// The other factor of a product of `coefficient`, `x` and one more.
    pub(super) fn other(&self, x: ValueId) -> Option<ValueId> {
        match self.factors[..] {
            [a, b] if a == x => Some(b),
            [a, b] if b == x => Some(a),
            _ => None,
        }
    }
}
