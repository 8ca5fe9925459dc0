//! Types and values over a whole graph: every shape rule in order, and the small tensors that shapes are computed with.

use tilewise_tensor::{DType, Tensor};

use crate::{Dim, Graph, GraphError, Op, OpError, ValueId, ValueType};

/// Largest value, in bytes, that inference computes. Shape arithmetic takes a few hundred; what is larger is data.
const LARGEST_VALUE: usize = 1 << 16;

/// Values that are known before any run, found by [`Graph::infer`]; one place a value of the graph.
pub struct Known(Vec<Option<Tensor>>);

impl Known {
    /// The value, where it was found by computing. The constants of the graph are not repeated here.
    pub fn get(&self, id: ValueId) -> Option<&Tensor> {
        self.0.get(id.index())?.as_ref()
    }
}

impl Graph {
    /// Types every value by the shape rules, from the inputs on, and computes what shape arithmetic yields.
    ///
    /// A type from the rules is refined by what the value's type said before (an importer's annotation) and must not
    /// contradict it.
    ///
    /// # Errors
    /// [`GraphError::Op`] at the first node whose rule refuses its inputs, [`GraphError::Cycle`].
    pub fn infer(&mut self) -> Result<Known, GraphError> {
        let mut known: Vec<Option<Tensor>> = vec![None; self.value_count()];
        for id in self.order()? {
            let node = self.node(id).clone();
            let types = self.infer_node(&node.name, &node.op, &node.inputs, &known)?;
            if types.len() < node.outputs.len() {
                let wanted = node.outputs.len();
                let source = OpError::invalid(format!("{wanted} outputs are read, the operator has {}", types.len()));
                return Err(self.op_error(&node.name, &node.op, &node.inputs, source));
            }
            for (&output, ty) in node.outputs.iter().zip(types) {
                let refined = refine(ty, &self.value(output).ty);
                self.set_type(output, refined);
            }
            for (&output, value) in node.outputs.iter().zip(self.values_of(&node, &known)?) {
                self.set_type(output, ValueType::known(value.dtype(), value.shape()));
                known[output.index()] = Some(value);
            }
        }
        Ok(Known(known))
    }

    /// The outputs of a node, where they are small and follow from what is known; else nothing.
    fn values_of(&self, node: &crate::Node, known: &[Option<Tensor>]) -> Result<Vec<Tensor>, GraphError> {
        // Shape and Size look at the type of their input alone, so they are known before it is.
        let ty = node.inputs.first().copied().flatten().map(|input| &self.value(input).ty);
        if let Op::Shape(op) = &node.op {
            return Ok(ty.and_then(|ty| op.known(ty.shape.as_deref()?)).into_iter().collect());
        }
        if let Op::Size(_) = &node.op {
            let count = ty.and_then(|ty| i64::try_from(ty.numel()?).ok());
            return Ok(count.map(Tensor::scalar).into_iter().collect());
        }
        let small = node.outputs.iter().all(|&id| {
            let ty = &self.value(id).ty;
            ty.numel().and_then(|n| n.checked_mul(ty.dtype.size())).is_some_and(|bytes| bytes <= LARGEST_VALUE)
        });
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for id in &node.inputs {
            let value = id.map(|id| known[id.index()].clone().or_else(|| self.small_constant(id)));
            match value {
                None => inputs.push(None),
                Some(Some(tensor)) => inputs.push(Some(tensor)),
                Some(None) => return Ok(Vec::new()),
            }
        }
        if !small || inputs.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let operands: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
        match node.op.eval(&operands) {
            Ok(outputs) => Ok(outputs),
            // Not built for this type: then the value is not known, and the run will say so.
            Err(OpError::Unsupported(_)) => Ok(Vec::new()),
            Err(source) => Err(self.op_error(&node.name, &node.op, &node.inputs, source)),
        }
    }

    fn small_constant(&self, id: ValueId) -> Option<Tensor> {
        let constant = self.constant(id)?;
        (constant.stored().bytes().len() <= LARGEST_VALUE).then(|| constant.tensor().ok()).flatten()
    }
}

/// The type that a shape rule gives, with lengths that it leaves open filled in from an annotation.
pub fn refine(rule: ValueType, noted: &ValueType) -> ValueType {
    let ValueType { dtype, shape } = rule;
    let shape = match (shape, &noted.shape) {
        (None, noted) => noted.clone(),
        (Some(rule), Some(noted)) if rule.len() == noted.len() => {
            let pick = |(rule, noted): (Dim, &Dim)| if rule == Dim::Unknown { noted.clone() } else { rule };
            Some(rule.into_iter().zip(noted).map(pick).collect())
        }
        (rule, _) => rule,
    };
    ValueType { dtype, shape }
}

impl Graph {
    /// Fixes the types of inputs by name, as a caller or a run gives them, and types everything that follows anew.
    ///
    /// # Errors
    /// [`GraphError::Input`] for a name that is no input or a shape that contradicts the model's; those of
    /// [`Graph::infer`].
    pub fn bind(&mut self, shapes: &[(&str, &[usize])]) -> Result<Known, GraphError> {
        for (name, shape) in shapes {
            let input = self.inputs().iter().copied().find(|&id| &*self.value(id).name == *name);
            let actual = ValueType::known(DType::F32, shape).to_string().replacen("f32", "", 1);
            let Some(id) = input else {
                let names = self.inputs().iter().map(|&id| &*self.value(id).name).collect::<Vec<_>>().join(", ");
                let expected = format!("one of the inputs {names}");
                return Err(GraphError::Input { name: (*name).to_owned(), expected, actual });
            };
            let ty = self.value(id).ty.clone();
            if !ty.admits(shape) {
                return Err(GraphError::Input { name: (*name).to_owned(), expected: ty.to_string(), actual });
            }
            self.set_type(id, ValueType::known(ty.dtype, shape));
        }
        // What was typed under other lengths must not refine the new ones.
        let outputs: Vec<ValueId> = self.nodes().flat_map(|(_, node)| node.outputs.clone()).collect();
        for id in outputs {
            let dtype = self.value(id).ty.dtype;
            self.set_type(id, ValueType::unranked(dtype));
        }
        self.infer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::AttrMap;
    use crate::ops::{Concat, Expand, Gather, Reshape, Shape, Slice, Unsqueeze};
    use crate::{Op, evaluate};

    struct Builder(Graph);

    impl Builder {
        fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
            let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
            self.0.add_node(name, op, &inputs).unwrap()[0]
        }

        fn list(&mut self, name: &str, values: &[i64]) -> ValueId {
            self.0.add_constant(name, Tensor::vector(values))
        }

        /// One length of `x`, as a list: Shape, Gather, Unsqueeze.
        fn length(&mut self, x: ValueId, axis: i64) -> ValueId {
            let at = self.0.add_constant("axis", Tensor::scalar(axis));
            let zero = self.list("zero", &[0]);
            let shape = self.node("shape", Shape { start: 0, end: None }, &[x]);
            let length = self.node("length", Gather { axis: 0 }, &[shape, at]);
            self.node("list", Unsqueeze {}, &[length, zero])
        }
    }

    /// The shape arithmetic that PyTorch exports around views, interpolation and broadcasting.
    #[test]
    fn shapes_computed_from_a_free_batch_are_known_once_it_is_bound() {
        let mut b = Builder(Graph::default());
        let shape = vec![Dim::Symbol("N".into()), 3.into(), 4.into(), 4.into()];
        let x = b.0.add_input("x", ValueType::new(DType::F32, shape));

        // x.view(x.size(0), -1)
        let (batch, rest) = (b.length(x, 0), b.list("rest", &[-1]));
        let target = b.node("view", Concat { axis: 0 }, &[batch, rest]);
        let flat = b.node("flat", Reshape { allowzero: false }, &[x, target]);

        // interpolate(x, size=(2 h, 2 w)): sizes are the first two lengths of x and twice the other two.
        let (starts, middle, end) = (b.list("0", &[0]), b.list("2", &[2]), b.list("4", &[4]));
        let shape = b.node("shape_of_x", Shape { start: 0, end: None }, &[x]);
        let head = b.node("head", Slice {}, &[shape, starts, middle]);
        let tail = b.node("tail", Slice {}, &[shape, middle, end]);
        let twice = b.node("twice", crate::ops::Binary(crate::ops::BinaryFn::Mul), &[tail, middle]);
        let sizes = b.node("sizes", Concat { axis: 0 }, &[head, twice]);
        let resize = Op::read("Resize", &mut AttrMap::default()).unwrap().unwrap();
        let large = b.0.add_node("large", resize, &[Some(x), None, None, Some(sizes)]).unwrap()[0];

        // token.expand(x.size(0), -1), the -1 being written as the length it keeps
        let token = b.0.add_constant("token", Tensor::from_slice(&[1, 2], &[1.0f32, 2.0]).unwrap());
        let (batch, one) = (b.length(x, 0), b.list("one", &[1]));
        let target = b.node("expansion", Concat { axis: 0 }, &[batch, one]);
        let tokens = b.node("tokens", Expand {}, &[token, target]);

        for (name, value) in [("flat", flat), ("large", large), ("tokens", tokens)] {
            b.0.add_output(name, value);
        }
        let graph = &mut b.0;
        assert_eq!(graph.value(flat).ty.to_string(), "f32[?,?]");
        let expected = ["f32[5,48]", "f32[5,3,8,8]", "f32[5,2]"];
        graph.bind(&[("x", &[5, 3, 4, 4])]).unwrap();
        assert_eq!([flat, large, tokens].map(|id| graph.value(id).ty.to_string()), expected);
        let input = Tensor::zeros(DType::F32, &[5, 3, 4, 4]).unwrap();
        let outputs = evaluate(graph, &[input]).unwrap();
        let types = outputs.iter().map(|t| ValueType::known(t.dtype(), t.shape()).to_string());
        assert_eq!(types.collect::<Vec<_>>(), expected);
        graph.verify().unwrap();
    }
}
