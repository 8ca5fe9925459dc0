//! Layouts: how each value stands in memory, and the reorders between steps that disagree.

use std::ops::Range;

use tilewise_graph::{Constant, GraphError, ValueId};
use tilewise_kernels::movement::{self, Reorder};
use tilewise_kernels::{Ctx, conv};
use tilewise_tensor::{AlignedBuffer, TensorError, numel};

use super::{Lowering, Storage};
use crate::PlanError;
use crate::plan::{BufferId, Form, Room};

/// How a value stands in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Layout {
    /// Row-major.
    Plain,
    /// Axes n, c, h, w as `[n][ceil(c / V)][h][w][V]`, where V is the lanes of the machine's tier. The lanes past c
    /// are unspecified.
    Blocked,
}

impl From<conv::Layout> for Layout {
    fn from(layout: conv::Layout) -> Self {
        match layout {
            conv::Layout::Nchw => Layout::Plain,
            conv::Layout::Nchwc => Layout::Blocked,
        }
    }
}

impl Lowering<'_> {
    /// The lanes of a block.
    pub(crate) fn lanes(&self) -> usize {
        self.cpu.tier.lanes()
    }

    /// The shape of a value whose lengths are all known.
    pub(crate) fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.value(id).ty.known_shape().unwrap_or_default()
    }

    /// The shape of a value as the array that stands in memory: five axes where it is blocked.
    pub(crate) fn stored_shape(&self, id: ValueId, layout: Layout) -> Vec<usize> {
        let shape = self.shape(id);
        match (layout, shape.as_slice()) {
            (Layout::Blocked, &[n, c, h, w]) => vec![n, c.div_ceil(self.lanes()), h, w, self.lanes()],
            _ => shape,
        }
    }

    /// True for a value whose shape the data decide.
    pub(crate) fn is_dynamic(&self, id: ValueId) -> bool {
        let buffer = self.held.get(&(id, Layout::Plain));
        let made_so = buffer.is_some_and(|b| matches!(self.buffers[b.index()].storage, Storage::Dynamic(_)));
        made_so || self.graph.value(id).ty.known_shape().is_none()
    }

    /// The layout in which a value was made: the one to read it in where that is all the same. A step that asks follows
    /// the value.
    pub(crate) fn home(&self, id: ValueId) -> Layout {
        self.followed.borrow_mut().push(id);
        self.made_in(id)
    }

    /// The layout in which a value was made.
    pub(super) fn made_in(&self, id: ValueId) -> Layout {
        self.home.get(&id).copied().unwrap_or(Layout::Plain)
    }

    /// True for a constant, and for a value that a step before makes or the caller gives.
    pub(crate) fn is_made(&self, id: ValueId) -> bool {
        self.graph.constant(id).is_some() || self.home.contains_key(&id)
    }

    /// A new buffer for a value that the next step makes in a layout.
    pub(crate) fn make(&mut self, id: ValueId, layout: Layout) -> Result<BufferId, PlanError> {
        let storage = if self.is_dynamic(id) {
            self.dynamic += 1;
            Storage::Dynamic(self.dynamic - 1)
        } else {
            let bytes = self.bytes(id, layout)?;
            match self.seat(id, layout)? {
                Some((of, offset)) => Storage::Part { of, offset, bytes },
                None => Storage::Arena { bytes },
            }
        };
        let buffer = self.add(storage);
        self.hold(id, layout, buffer);
        Ok(buffer)
    }

    /// True for a buffer that is the part of another from a byte on.
    pub(crate) fn stands_at(&self, buffer: BufferId, whole: BufferId, at: usize) -> bool {
        matches!(self.buffers[buffer.index()].storage, Storage::Part { of, offset, .. } if (of, offset) == (whole, at))
    }

    /// Bytes of a value of known shape in a layout.
    pub(crate) fn bytes(&self, id: ValueId, layout: Layout) -> Result<usize, PlanError> {
        let bytes = numel(&self.stored_shape(id, layout)).and_then(|n| n.checked_mul(self.element_size(id)));
        let memory = self.cpu.memory;
        match bytes {
            Some(bytes) if bytes <= memory => Ok(bytes),
            other => Err(PlanError::TooLarge { bytes: other.unwrap_or(usize::MAX), memory }),
        }
    }

    /// Notes that a buffer holds a value in a layout.
    pub(crate) fn hold(&mut self, id: ValueId, layout: Layout, buffer: BufferId) {
        self.home.entry(id).or_insert(layout);
        self.held.insert((id, layout), buffer);
    }

    /// A buffer that holds a value in a layout: one that is there, a constant, or the result of a reorder.
    pub(crate) fn buffer(&mut self, id: ValueId, layout: Layout) -> Result<BufferId, PlanError> {
        self.flow.reads.push((id, layout));
        if let Some(&buffer) = self.held.get(&(id, layout)) {
            return Ok(buffer);
        }
        let buffer = match self.graph.constant(id) {
            Some(_) => self.constant(id, layout)?,
            None => self.reordered(id, layout)?,
        };
        self.held.insert((id, layout), buffer);
        Ok(buffer)
    }

    /// True where a value stands in memory in the same order under both layouts.
    fn same_in_both(&self, id: ValueId) -> bool {
        matches!(self.shape(id).as_slice(), &[_, c, 1, 1] if c.is_multiple_of(self.lanes()))
    }
}

/// Constants as buffers.
impl Lowering<'_> {
    /// A constant of f32 with fewer axes, blocked as if it had the four of `shape`.
    pub(crate) fn blocked_constant(&mut self, id: ValueId, shape: &[usize]) -> BufferId {
        let lanes = self.lanes();
        let &[n, c, h, w] = shape else { return BufferId::NONE };
        let stored = [n, c.div_ceil(lanes), h, w, lanes];
        let form = Form { name: "blocked", sizes: vec![lanes, n, c, h, w] };
        let len = stored.iter().product();
        let plain = [n, c, h, w];
        self.packed_f32(id, form, len, move |values, packed| block(&plain, &stored, values, packed))
    }

    /// A constant as it is read from memory in a layout.
    fn constant(&mut self, id: ValueId, layout: Layout) -> Result<BufferId, PlanError> {
        match layout {
            Layout::Plain => {
                let (form, len) = (Form { name: "plain", sizes: Vec::new() }, self.bytes(id, layout)?);
                Ok(self.packed_with(id, form, len, |constant, room| {
                    let tensor = constant.tensor()?;
                    let mut buffer = room.slab.zeroed(tensor.bytes().len());
                    buffer.bytes_mut().copy_from_slice(tensor.bytes());
                    Ok(buffer)
                }))
            }
            Layout::Blocked => Ok(self.blocked_constant(id, &self.shape(id))),
        }
    }

    /// A constant of f32 rearranged by `pack` into `len` values, zero to begin with.
    pub(crate) fn packed_f32(
        &mut self,
        id: ValueId,
        form: Form,
        len: usize,
        pack: impl Fn(&[f32], &mut [f32]) + Send + 'static,
    ) -> BufferId {
        self.packed_by_rows(id, form, len, usize::MAX, move |_, values, packed| pack(values, packed))
    }

    /// As [`Lowering::packed_f32`], from `step` indices of the first axis at a time: what is not read where it stands
    /// then takes little memory.
    pub(crate) fn packed_by_rows(
        &mut self,
        id: ValueId,
        form: Form,
        len: usize,
        step: usize,
        pack: impl Fn(Range<usize>, &[f32], &mut [f32]) + Send + 'static,
    ) -> BufferId {
        let len = len * size_of::<f32>();
        self.packed_with(id, form, len, move |constant, Room { staging, slab }| {
            let mut buffer = slab.zeroed(len);
            let rows = constant.stored().shape().first().copied().unwrap_or(1);
            let step = step.clamp(1, rows.max(1));
            for first in (0..rows).step_by(step) {
                let part = first..rows.min(first + step);
                pack(part.clone(), constant.rows(part, staging)?, buffer.as_mut_slice());
            }
            Ok(buffer)
        })
    }

    fn packed_with(
        &mut self,
        id: ValueId,
        form: Form,
        len: usize,
        pack: impl FnOnce(&Constant, &mut Room) -> Result<AlignedBuffer, TensorError> + Send + 'static,
    ) -> BufferId {
        let Some(constant) = self.graph.constant(id) else { return BufferId::NONE };
        let packed = self.weights.get(constant, form, len, Box::new(pack));
        self.add(Storage::Constant(packed))
    }
}

/// Writes row-major `[n][c][h][w]` values as `[n][blocks][h][w][lanes]`.
fn block(plain: &[usize], stored: &[usize], values: &[f32], packed: &mut [f32]) {
    let (&[_, c, h, w], &[n, blocks, _, _, lanes]) = (plain, stored) else { return };
    for image in 0..n {
        for channel in 0..c {
            let from = (image * c + channel) * h * w;
            let to = (image * blocks + channel / lanes) * h * w * lanes + channel % lanes;
            for (pixel, &value) in values[from..from + h * w].iter().enumerate() {
                packed[to + pixel * lanes] = value;
            }
        }
    }
}

/// Reorders.
impl Lowering<'_> {
    /// The value, which exists in its home layout, in the other one.
    fn reordered(&mut self, id: ValueId, layout: Layout) -> Result<BufferId, PlanError> {
        let from = self.made_in(id);
        let Some(&x) = self.held.get(&(id, from)) else {
            return Err(
                GraphError::Broken(format!("value '{}' is read before it is made", self.graph.value(id).name)).into()
            );
        };
        if self.same_in_both(id) {
            return Ok(x);
        }
        let &[n, c, h, w] = &*self.shape(id) else {
            return Err(
                GraphError::Broken(format!("value '{}' has no channels to block", self.graph.value(id).name)).into()
            );
        };
        let problem = Reorder { n, c, pixels: h * w };
        let y = self.make(id, layout)?;
        let kernel = movement::choose_reorder(self.cpu.tier);
        let run = if layout == Layout::Blocked { kernel.to_blocked } else { kernel.to_planar };
        self.push_reorder(
            id,
            problem,
            [x, y],
            Box::new(move |memory| {
                let pool = memory.pool;
                let ([x], [y]) = memory.split([x], [y]);
                run(&problem, x, y, Ctx { pool, scratch: &mut [] });
                Ok(())
            }),
        );
        Ok(y)
    }
}
