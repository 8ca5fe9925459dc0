//! What the steps of a plan say of their operands: role, buffer and bytes.

use super::{Lowering, Storage};
use crate::plan::{BufferId, Operand, Role};

impl Lowering<'_> {
    /// The operands of a step; those without bytes of planned size are left out.
    pub(super) fn operands(&self, reads: &[BufferId], writes: &[BufferId]) -> Vec<Operand> {
        let operand = |&id: &BufferId, of_value: Role| {
            let role = match self.buffers[id.index()].storage {
                Storage::Constant(_) => Role::Weights,
                Storage::Scratch { .. } => Role::Scratch,
                Storage::Arena { .. } | Storage::Part { .. } | Storage::Dynamic(_) | Storage::Given { .. } => of_value,
            };
            Operand { role, buffer: self.whole(id).index(), bytes: self.len(id) as u64 }
        };
        let read = reads.iter().map(|id| operand(id, Role::Input));
        let written = writes.iter().map(|id| operand(id, Role::Output));
        read.chain(written).filter(|operand| operand.bytes > 0).collect()
    }

    /// The buffer that a part is part of, or the buffer itself.
    fn whole(&self, id: BufferId) -> BufferId {
        if let Storage::Part { of, .. } = self.buffers[id.index()].storage { self.whole(of) } else { id }
    }
}
