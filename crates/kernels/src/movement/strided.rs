//! Strided copies as problems: axes merged and ordered once, so that the copy itself is a few plain loops.

/// Most axes that remain when neighbours are merged.
pub(super) const AXES: usize = 8;

/// One axis of a strided copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyAxis {
    /// How many elements.
    pub extent: usize,
    /// Step in the source, in elements: negative goes backwards, zero repeats.
    pub from: isize,
    /// Step in the destination, in elements: positive.
    pub to: isize,
}

/// A copy of elements between two strided places: what concatenation, slices, expansion, tiles, the inside of a
/// padding and permutations come down to. Made once for a problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StridedCopy {
    /// By destination step, largest first; unused places, at the front, have extent 1.
    pub(super) axes: [CopyAxis; AXES],
    pub(super) element_size: usize,
    /// Offsets of the first element.
    pub(super) source: usize,
    pub(super) destination: usize,
    /// Elements that source and destination have at least.
    pub(super) needed: [usize; 2],
}

const ONE: CopyAxis = CopyAxis { extent: 1, from: 0, to: 0 };

impl StridedCopy {
    /// A copy of elements of 1, 2, 4 or 8 bytes over `axes`, from the element `source` on to the element `destination`
    /// on. The order of the axes does not matter.
    ///
    /// `None` for another element size, a destination step that is not positive or with which elements would be
    /// written twice, a source that begins before element 0, and more than eight axes that cannot be merged.
    pub fn new(element_size: usize, axes: &[CopyAxis], source: usize, destination: usize) -> Option<Self> {
        if ![1, 2, 4, 8].contains(&element_size) {
            return None;
        }
        let mut copy = StridedCopy { axes: [ONE; AXES], element_size, source, destination, needed: [0, 0] };
        if axes.iter().any(|axis| axis.extent == 0) {
            copy.axes[AXES - 1].extent = 0;
            return Some(copy);
        }
        let mut ordered: Vec<CopyAxis> = axes.iter().copied().filter(|axis| axis.extent > 1).collect();
        ordered.sort_by_key(|axis| axis.to);
        let mut at = AXES;
        // The furthest that the axes so far reach: back and forth in the source, and in the destination.
        let (mut back, mut forth, mut reach) = (0isize, 0isize, 0isize);
        for axis in ordered {
            let last = isize::try_from(axis.extent - 1).ok()?;
            if axis.to <= reach {
                return None;
            }
            let span = axis.from.checked_mul(last)?;
            (back, forth) = (back.checked_add(span.min(0))?, forth.checked_add(span.max(0))?);
            reach = reach.checked_add(axis.to.checked_mul(last)?)?;
            if let Some(inner) = copy.axes.get_mut(at)
                && [inner.from, inner.to].map(|step| step.checked_mul(inner.extent as isize))
                    == [Some(axis.from), Some(axis.to)]
            {
                inner.extent *= axis.extent;
                continue;
            }
            at = at.checked_sub(1)?;
            copy.axes[at] = axis;
        }
        source.checked_add_signed(back)?;
        copy.needed =
            [source.checked_add_signed(forth)?.checked_add(1)?, destination.checked_add_signed(reach)?.checked_add(1)?];
        Some(copy)
    }

    /// A permutation of the axes of a dense row-major array of `shape`: axis i of the output is axis `order[i]` of the
    /// input. `None` where `order` is no permutation, or as [`StridedCopy::new`].
    pub fn permute(element_size: usize, shape: &[usize], order: &[usize]) -> Option<Self> {
        let mut seen = vec![false; shape.len()];
        if order.len() != shape.len()
            || order.iter().any(|&o| o >= shape.len() || std::mem::replace(&mut seen[o], true))
        {
            return None;
        }
        let strides = tilewise_tensor::strides(shape);
        let out_shape: Vec<usize> = order.iter().map(|&o| shape[o]).collect();
        let out_strides = tilewise_tensor::strides(&out_shape);
        let axis = |(&o, &to): (&usize, &usize)| {
            Some(CopyAxis { extent: shape[o], from: strides[o].try_into().ok()?, to: to.try_into().ok()? })
        };
        let axes: Option<Vec<CopyAxis>> = order.iter().zip(&out_strides).map(axis).collect();
        StridedCopy::new(element_size, &axes?, 0, 0)
    }

    /// Elements copied.
    pub fn elements(&self) -> usize {
        self.axes.iter().map(|axis| axis.extent).product()
    }

    /// Moves the axis over which the source is contiguous next to the innermost, which does not change the copy, so
    /// that the two are a matrix to be transposed. `None` where there is no such pair.
    pub(super) fn transposed(&self) -> Option<Self> {
        let inner = self.axes[AXES - 1];
        let along = self.axes[..AXES - 1].iter().position(|axis| axis.from == 1)?;
        if inner.to != 1 || inner.from <= 1 {
            return None;
        }
        let mut copy = *self;
        copy.axes[along..AXES - 1].rotate_left(1);
        Some(copy)
    }

    /// Where the source and the destination stand at an index over all but the last two axes.
    pub(super) fn offsets(&self, mut outer: usize) -> [usize; 2] {
        let (mut from, mut to) = (self.source, self.destination);
        for axis in self.axes[..AXES - 2].iter().rev() {
            let i = (outer % axis.extent) as isize;
            outer /= axis.extent;
            // Every place on the way is one of an element that is copied, or lies between two of them.
            (from, to) = (from.wrapping_add_signed(i * axis.from), to.wrapping_add_signed(i * axis.to));
        }
        [from, to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_ordered_and_merged() {
        let dense = StridedCopy::permute(4, &[2, 3, 4], &[0, 1, 2]).unwrap();
        assert_eq!(dense.axes[AXES - 1], CopyAxis { extent: 24, from: 1, to: 1 });
        let nhwc = StridedCopy::permute(4, &[2, 3, 4, 5], &[0, 2, 3, 1]).unwrap();
        assert_eq!(nhwc.axes[AXES - 1], CopyAxis { extent: 3, from: 20, to: 1 });
        assert_eq!(nhwc.axes[AXES - 2], CopyAxis { extent: 20, from: 1, to: 3 });
    }

    #[test]
    fn copies_that_cannot_be_are_refused() {
        let axis = |extent, from, to| CopyAxis { extent, from, to };
        assert_eq!(StridedCopy::new(3, &[], 0, 0), None);
        assert_eq!(StridedCopy::new(4, &[axis(3, -1, 1)], 1, 0), None, "begins before the source");
        assert_eq!(StridedCopy::new(4, &[axis(3, 1, 0)], 0, 0), None, "writes one element three times");
        assert_eq!(StridedCopy::new(4, &[axis(3, 1, 1), axis(2, 3, 2)], 0, 0), None, "rows overlap");
        assert_eq!(StridedCopy::permute(4, &[2, 2], &[0, 0]), None);
        assert!(StridedCopy::new(4, &[axis(3, -1, 1)], 2, 0).is_some());
    }
}
