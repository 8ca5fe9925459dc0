//! Operands: what a step reads and writes, for models of its traffic.

/// What an operand is to its step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Packed weights and other constants, read.
    Weights,
    /// A value that a step before made or the caller gave, read.
    Input,
    /// A value that later steps or the caller read, written.
    Output,
    /// Room for what lies between, written and read by the step alone.
    Scratch,
}

/// What a step reads or writes: a buffer of the plan, or part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operand {
    /// What it is to the step.
    pub role: Role,
    /// The number of the buffer; a part has that of the whole. Operands of one number share their bytes.
    pub buffer: usize,
    /// Bytes, each counted once.
    pub bytes: u64,
}
