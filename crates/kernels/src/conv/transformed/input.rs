//! The input side: the inputs of a block of squares to the values that are multiplied.

use std::marker::PhantomData;
use std::ops::Range;

use super::Transform;
use super::grid::{Grid, Panel, Place};
use crate::{Conv2d, Isa, SimdOp};

/// Transforms the input of a block of squares, for some vectors of the input channels of a group.
pub(super) struct Input<'a, T> {
    pub(super) p: &'a Conv2d,
    pub(super) grid: Grid,
    pub(super) x: &'a [f32],
    pub(super) group: usize,
    pub(super) vectors: Range<usize>,
    pub(super) squares: Range<usize>,
    pub(super) panel: Panel,
    /// The transformed values of these vectors: a panel.
    pub(super) v: &'a mut [f32],
    /// For one square's input.
    pub(super) patch: &'a mut [f32],
    /// For the transform of a square.
    pub(super) room: &'a mut [f32],
    pub(super) transform: PhantomData<T>,
}

/// The inputs of a square, in vectors.
pub(in crate::conv) struct Square<'a> {
    pub(in crate::conv) data: &'a [f32],
    /// The first, and from one row to the next, in elements.
    pub(in crate::conv) at: usize,
    pub(in crate::conv) pitch: usize,
}

/// Where the values of a square go.
pub(in crate::conv) struct Values<'a> {
    pub(in crate::conv) data: &'a mut [f32],
    /// The first, and from one position to the next, in elements.
    pub(in crate::conv) at: usize,
    pub(in crate::conv) step: usize,
}

impl<T: Transform> SimdOp for Input<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let (p, panel, [rows, columns]) = (self.p, self.panel, T::INPUTS);
        let (blocks, plane) = (p.ic.div_ceil(I::LANES), p.ih * p.iw * I::LANES);
        let of_group = (p.ic / p.groups).div_ceil(I::LANES);
        assert!(self.v.len() >= self.vectors.len() * panel.vector && self.patch.len() >= rows * columns * I::LANES);
        assert!(self.squares.len() <= panel.squares);
        for (number, vector) in self.vectors.enumerate() {
            let places = self.grid.places(self.squares.start);
            for (index, place) in (0..self.squares.len()).zip(places) {
                let place = Place { y: place.y * T::STRIDE, x: place.x * T::STRIDE, ..place };
                let image = &self.x[(place.n * blocks + self.group * of_group + vector) * plane..][..plane];
                let at = number * panel.vector + index * I::LANES;
                let mut values = Values { data: self.v, at, step: panel.pitch };
                let inside =
                    |first: usize, len: usize, pad: usize, size: usize| first >= pad && first - pad + len <= size;
                let is_inside = inside(place.y, rows, p.pads.top, p.ih) && inside(place.x, columns, p.pads.left, p.iw);
                if is_inside && self.grid.is_dense() {
                    let at = (place.y - p.pads.top) * p.iw + place.x - p.pads.left;
                    let square = Square { data: image, at: at * I::LANES, pitch: p.iw * I::LANES };
                    T::input(isa, &square, &mut values, self.room);
                } else {
                    gather(isa, p, (T::INPUTS, self.grid.step), place, image, self.patch);
                    let square = Square { data: self.patch, at: 0, pitch: columns * I::LANES };
                    T::input(isa, &square, &mut values, self.room);
                }
            }
        }
    }
}

/// Copies the inputs of a square that hangs over the image's edge or whose inputs are `step` apart: zeros where there is no
/// image.
#[inline(always)]
fn gather<I: Isa>(
    isa: I,
    p: &Conv2d,
    ([rows, columns], step): ([usize; 2], [usize; 2]),
    place: Place,
    image: &[f32],
    patch: &mut [f32],
) {
    // Columns of the square that are in the image.
    let begin = p.pads.left.saturating_sub(place.x).div_ceil(step[1]).min(columns);
    let end = (p.iw + p.pads.left).saturating_sub(place.x).div_ceil(step[1]).clamp(begin, columns);
    for (i, row) in patch.chunks_exact_mut(columns * I::LANES).take(rows).enumerate() {
        let y = (place.y + i * step[0]).checked_sub(p.pads.top).filter(|&y| y < p.ih && begin < end);
        let (begin, end) = if y.is_some() { (begin, end) } else { (columns, columns) };
        for to in row[..begin * I::LANES].chunks_exact_mut(I::LANES) {
            isa.store(to, isa.zero());
        }
        for to in row[end * I::LANES..].chunks_exact_mut(I::LANES) {
            isa.store(to, isa.zero());
        }
        let Some(y) = y else { continue };
        let from = &image[(y * p.iw + place.x + begin * step[1] - p.pads.left) * I::LANES..];
        let inside = row[begin * I::LANES..end * I::LANES].chunks_exact_mut(I::LANES);
        for (to, from) in inside.zip(from.chunks(step[1] * I::LANES)) {
            isa.store(to, isa.load(from));
        }
    }
}
