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
            let fits = ty.shape.as_ref().is_none_or(|dims| {
                dims.len() == shape.len() && dims.iter().zip(*shape).all(|(d, &n)| d.known().is_none_or(|d| d == n))
            });
            if !fits {
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
