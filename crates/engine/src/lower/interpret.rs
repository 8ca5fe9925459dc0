//! Operators without a kernel, of other types than f32, or with sizes that the data decide: evaluated by their
//! reference code, operands copied in and results copied out. Correct, and no faster than that.

use tilewise_graph::ValueId;
use tilewise_tensor::{AlignedBuffer, DType, Tensor};

use super::{Layer, Layout, Lowering, NewStep};
use crate::plan::{BufferId, Place};
use crate::run::Memory;
use crate::{PlanError, RunError};

/// What is needed to rebuild an operand.
struct Operand {
    buffer: BufferId,
    dtype: DType,
    shape: Vec<usize>,
}

/// Lowers any operator.
pub(super) fn lower(lowering: &mut Lowering<'_>, layer: Layer<'_>) -> Result<(), PlanError> {
    let node = layer.node;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for id in &node.inputs {
        let operand = id.map(|id| Ok::<_, PlanError>((lowering.buffer(id, Layout::Plain)?, id))).transpose()?;
        inputs.push(operand.map(|(buffer, id)| lowering.operand(buffer, id)));
    }
    let mut outputs = Vec::with_capacity(node.outputs.len());
    for &id in &node.outputs {
        let buffer = lowering.make(id, Layout::Plain)?;
        outputs.push(lowering.operand(buffer, id));
    }
    let reads: Vec<BufferId> = inputs.iter().flatten().map(|operand| operand.buffer).collect();
    let writes: Vec<BufferId> = outputs.iter().map(|operand| operand.buffer).collect();
    let (name, op) = (lowering.name(layer).to_owned(), node.op.clone());
    lowering.push(NewStep {
        layer,
        with: &[],
        op: node.op.name(),
        kernel: "interpreted",
        decision: None,
        macs: 0,
        reads: &reads,
        writes: &writes,
        run: Box::new(move |memory| {
            let fail = |source| RunError::Op { node: name.clone(), op: op.name().to_owned(), source };
            let tensors: Vec<Option<Tensor>> = inputs
                .iter()
                .map(|operand| operand.as_ref().map(|operand| operand.gather(memory)).transpose())
                .collect::<Result<_, _>>()
                .map_err(fail)?;
            let operands: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
            let results = op.eval(&operands).map_err(fail)?;
            for (operand, result) in outputs.iter().zip(results) {
                operand.scatter(memory, result).map_err(fail)?;
            }
            Ok(())
        }),
    });
    Ok(())
}

impl Lowering<'_> {
    fn operand(&self, buffer: BufferId, id: ValueId) -> Operand {
        Operand { buffer, dtype: self.graph.value(id).ty.dtype, shape: self.shape(id) }
    }
}

impl Operand {
    fn gather(&self, memory: &Memory<'_>) -> Result<Tensor, tilewise_graph::OpError> {
        if let Place::Dynamic(slot) = memory.places[self.buffer.index()] {
            let missing = || tilewise_graph::OpError::invalid("an operand was not computed");
            return memory.dynamic[slot].clone().ok_or_else(missing);
        }
        let bytes = memory.read(self.buffer);
        let mut copy = AlignedBuffer::zeroed(bytes.len());
        copy.bytes_mut().copy_from_slice(bytes);
        Ok(Tensor::from_bytes(self.dtype, &self.shape, copy.into())?)
    }

    fn scatter(&self, memory: &mut Memory<'_>, result: Tensor) -> Result<(), tilewise_graph::OpError> {
        if let Place::Dynamic(slot) = memory.places[self.buffer.index()] {
            memory.dynamic[slot] = Some(result);
            return Ok(());
        }
        if result.shape() != self.shape || result.dtype() != self.dtype {
            let (dtype, shape) = (result.dtype(), result.shape());
            let reason = format!("made {dtype}{shape:?} where {}{:?} was planned", self.dtype, self.shape);
            return Err(tilewise_graph::OpError::invalid(reason));
        }
        let ([], [to]) = memory.split::<u8, 0, 1>([], [self.buffer]);
        to.copy_from_slice(result.bytes());
        Ok(())
    }
}
