//! What the graph around a layer says.

use tilewise_graph::{Op, ValueId};
use tilewise_kernels::Unary;
use tilewise_tensor::DType;

use super::{Layer, Lowering, norm};

impl<'a> Lowering<'a> {
    /// The node that alone reads what a layer makes; `None` where several do, or the caller of the run.
    pub(crate) fn sole_reader(&self, layer: Layer<'_>) -> Option<Layer<'a>> {
        let &[output] = &*layer.node.outputs else { return None };
        match self.uses[output.index()][..] {
            [(id, _)] if !self.graph.is_output(output) => Some(Layer { id, node: self.graph.node(id) }),
            _ => None,
        }
    }

    /// The function that alone reads what a layer makes, with the layer of its node; the identity and the layer itself
    /// where there is none.
    pub(crate) fn activation<'l>(&self, layer: Layer<'l>) -> (Unary, Layer<'l>)
    where
        'a: 'l,
    {
        match self.sole_reader(layer) {
            Some(Layer { id, node }) if let Op::Unary(op) = &node.op => (op.0, Layer { id, node }),
            _ => (Unary::Identity, layer),
        }
    }

    /// The elements of a constant of integers.
    pub(crate) fn ints(&self, id: ValueId) -> Option<Vec<i64>> {
        let tensor = self.graph.constant(id)?.tensor().ok()?;
        if tensor.dtype() == DType::I32 {
            return Some(tensor.values::<i32>().ok()?.iter().map(|&x| i64::from(x)).collect());
        }
        Some(tensor.values::<i64>().ok()?.into_owned())
    }

    /// The axes that a constant names among `rank`, in order, each once.
    pub(crate) fn axes(&self, id: ValueId, rank: usize) -> Option<Vec<usize>> {
        let axes = self.ints(id)?.into_iter().map(|axis| norm::resolve(axis, rank));
        let mut axes = axes.collect::<Option<Vec<usize>>>()?;
        axes.sort_unstable();
        axes.dedup();
        Some(axes)
    }

    /// Bytes of one element of a value.
    pub(crate) fn element_size(&self, id: ValueId) -> usize {
        self.graph.value(id).ty.dtype.size()
    }
}
