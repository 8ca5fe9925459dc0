//! Broadcasting of two shapes, brought down to a few loops.

use std::ops::Range;

use super::CHUNK;

/// Most axes that remain when neighbours are merged.
const AXES: usize = 8;

/// One loop over both operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Axis {
    extent: usize,
    /// Step of the operands in elements, 0 where an operand is repeated.
    steps: [usize; 2],
}

/// Where the elements of two operands meet, as NumPy broadcasts shapes: made once for a problem.
///
/// Neighbouring axes over which both operands go on (or repeat) alike are one axis. What remains is an innermost run,
/// rows of it, and the axes around these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broadcast {
    /// Outermost first; unused places, at the front, have extent 1.
    axes: [Axis; AXES],
    lens: [usize; 2],
}

/// One piece of the work: whole outer indices, or rows of one, or a part of one row. Its outputs are contiguous.
pub(super) struct Piece {
    pub(super) outer: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) run: Range<usize>,
}

impl Broadcast {
    /// The loops for operands of the shapes `a` and `b`, dense and row-major; `None` where the shapes do not
    /// broadcast, or where more than eight axes alternate between repetition and none.
    pub fn new(a: &[usize], b: &[usize]) -> Option<Self> {
        let rank = a.len().max(b.len());
        let extent = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
        let mut merged = Broadcast { axes: [Axis { extent: 1, steps: [0; 2] }; AXES], lens: [1; 2] };
        let mut at = AXES;
        for i in (0..rank).rev() {
            let pair = [extent(a, i), extent(b, i)];
            let size = if pair[0] == 1 { pair[1] } else { pair[0] };
            if pair.iter().any(|&e| e != size && e != 1) {
                return None;
            }
            let steps = [0, 1].map(|side| if pair[side] == 1 { 0 } else { merged.lens[side] });
            merged.lens = [merged.lens[0] * pair[0], merged.lens[1] * pair[1]];
            if size == 1 {
                continue;
            }
            if let Some(inner) = merged.axes.get_mut(at)
                && [0, 1].iter().all(|&side| steps[side] == inner.steps[side] * inner.extent)
            {
                inner.extent *= size;
                continue;
            }
            at = at.checked_sub(1)?;
            merged.axes[at] = Axis { extent: size, steps };
        }
        if at == AXES {
            merged.axes[AXES - 1].steps = [1, 1];
        }
        Some(merged)
    }

    /// Elements of the two operands.
    pub fn operand_lens(&self) -> [usize; 2] {
        self.lens
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.axes.iter().map(|axis| axis.extent).product()
    }

    /// True where an operand has the output's shape, so that the output may replace it.
    pub fn covers(&self, side: usize) -> bool {
        self.lens[side] == self.output_len()
    }

    /// Elements of the innermost run.
    pub(super) fn run(&self) -> usize {
        self.axes[AXES - 1].extent
    }

    /// Which operands go on along the innermost run; at least one does.
    pub(super) fn vectors(&self) -> [bool; 2] {
        self.axes[AXES - 1].steps.map(|step| step == 1)
    }

    /// Rows below each outer index, and the operands' steps between them.
    pub(super) fn rows(&self) -> (usize, [usize; 2]) {
        let axis = self.axes[AXES - 2];
        (axis.extent, axis.steps)
    }

    fn outer(&self) -> usize {
        self.axes[..AXES - 2].iter().map(|axis| axis.extent).product()
    }

    /// Where the operands stand at an outer index.
    pub(super) fn offsets(&self, mut outer: usize) -> [usize; 2] {
        let mut at = [0; 2];
        for axis in self.axes[..AXES - 2].iter().rev() {
            let i = outer % axis.extent;
            outer /= axis.extent;
            at = [at[0] + i * axis.steps[0], at[1] + i * axis.steps[1]];
        }
        at
    }

    /// Outer indices, rows and elements of a run in one piece: as much as fits into a chunk.
    fn piece_sizes(&self) -> [usize; 3] {
        let (run, rows) = (self.run(), self.rows().0);
        let whole_rows = (CHUNK / run.max(1)).clamp(1, rows.max(1));
        let whole_outer = if whole_rows == rows { (CHUNK / (run * rows).max(1)).max(1) } else { 1 };
        [whole_outer, whole_rows, run.clamp(1, CHUNK)]
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> usize {
        let [outer, rows, run] = self.piece_sizes();
        self.outer().div_ceil(outer) * self.rows().0.div_ceil(rows) * self.run().div_ceil(run)
    }

    /// A piece by its number.
    pub(super) fn piece(&self, index: usize) -> Piece {
        let steps = self.piece_sizes();
        let extents = [self.outer(), self.rows().0, self.run()];
        let range = |axis: usize, i: usize| i * steps[axis]..extents[axis].min((i + 1) * steps[axis]);
        let (runs, rows) = (extents[2].div_ceil(steps[2]), extents[1].div_ceil(steps[1]));
        Piece { outer: range(0, index / runs / rows), rows: range(1, index / runs % rows), run: range(2, index % runs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_axes_merge() {
        let same = Broadcast::new(&[2, 3, 4], &[2, 3, 4]).unwrap();
        assert_eq!((same.run(), same.rows().0, same.vectors()), (24, 1, [true, true]));
        let scalar = Broadcast::new(&[2, 3, 4], &[]).unwrap();
        assert_eq!((scalar.run(), scalar.vectors()), (24, [true, false]));
        let channel = Broadcast::new(&[2, 3, 4, 5], &[3, 1, 1]).unwrap();
        assert_eq!((channel.run(), channel.rows(), channel.vectors()), (20, (3, [20, 1]), [true, false]));
        assert_eq!(Broadcast::new(&[2, 3], &[2]), None);
        assert_eq!(Broadcast::new(&[0, 3], &[1]).unwrap().output_len(), 0);
    }

    #[test]
    fn pieces_cover_the_output_once_and_in_order() {
        for (a, b) in
            [(vec![3, 5, 9000], vec![5, 1]), (vec![700, 50, 16], vec![700, 1, 16]), (vec![2, 9, 3, 7], vec![9, 1, 7])]
        {
            let map = Broadcast::new(&a, &b).unwrap();
            let mut at = 0;
            for index in 0..map.pieces() {
                let piece = map.piece(index);
                let (rows, run) = (map.rows().0, map.run());
                assert_eq!((piece.outer.start * rows + piece.rows.start) * run + piece.run.start, at);
                at += piece.outer.len() * piece.rows.len() * piece.run.len();
            }
            assert_eq!(at, map.output_len());
        }
    }
}
