//! Sliding windows: the geometry that convolutions and poolings share.

use crate::attr::attr_enum;
use crate::{Dim, OpError};

attr_enum! {
    /// How the places around an input follow from its size.
    AutoPad {
        /// They are given.
        NotSet = "NOTSET",
        /// The output has ceil(input / stride) places; an odd one is added at the end.
        SameUpper = "SAME_UPPER",
        /// As `SameUpper`, but an odd one is added at the beginning.
        SameLower = "SAME_LOWER",
        /// None.
        Valid = "VALID",
    }
}

/// A window that slides over the spatial axes of an input: everything resolved and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Lengths of the input.
    pub input: Vec<usize>,
    /// Lengths of the window, in taps.
    pub kernel: Vec<usize>,
    /// Steps.
    pub strides: Vec<usize>,
    /// Distances of taps.
    pub dilations: Vec<usize>,
    /// Places before each axis.
    pub before: Vec<usize>,
    /// Places after each axis.
    pub after: Vec<usize>,
    /// Lengths of the output.
    pub output: Vec<usize>,
}

fn or_ones(given: &[usize], rank: usize, what: &str) -> Result<Vec<usize>, OpError> {
    match given {
        [] => Ok(vec![1; rank]),
        given if given.len() == rank && given.iter().all(|&n| n > 0 && n < 1 << 31) => Ok(given.to_vec()),
        given => Err(OpError::invalid(format!("{what} {given:?} do not fit {rank} spatial axes"))),
    }
}

impl Window {
    /// Resolves empty attributes to their defaults and `auto_pad` to numbers, and checks that the window fits into
    /// the padded input.
    ///
    /// # Errors
    /// [`OpError::Invalid`].
    pub fn new(
        input: &[usize],
        kernel: &[usize],
        strides: &[usize],
        dilations: &[usize],
        pads: &[usize],
        auto_pad: AutoPad,
    ) -> Result<Window, OpError> {
        let rank = input.len();
        let kernel = if kernel.is_empty() { Vec::new() } else { or_ones(kernel, rank, "the kernel's lengths")? };
        let taps = tilewise_tensor::numel(&kernel).is_some_and(|taps| taps < 1 << 31);
        if kernel.len() != rank || !taps || input.iter().any(|&n| n >= 1 << 31) {
            return Err(OpError::invalid(format!("a kernel {kernel:?} over lengths {input:?}")));
        }
        let strides = or_ones(strides, rank, "strides")?;
        let dilations = or_ones(dilations, rank, "dilations")?;
        let (before, after) = match (auto_pad, pads) {
            (AutoPad::NotSet, []) | (AutoPad::Valid, _) => (vec![0; rank], vec![0; rank]),
            (AutoPad::NotSet, pads) if pads.len() == 2 * rank && pads.iter().all(|&p| p < 1 << 31) => {
                (pads[..rank].to_vec(), pads[rank..].to_vec())
            }
            (AutoPad::NotSet, pads) => {
                return Err(OpError::invalid(format!("pads {pads:?} do not fit {rank} spatial axes")));
            }
            (AutoPad::SameUpper | AutoPad::SameLower, _) => (0..rank)
                .map(|i| {
                    let reach = (kernel[i] - 1) * dilations[i] + 1;
                    let span = (input[i].div_ceil(strides[i]).max(1) - 1) * strides[i] + reach;
                    let total = span.saturating_sub(input[i]);
                    let less = total / 2;
                    if auto_pad == AutoPad::SameUpper { (less, total - less) } else { (total - less, less) }
                })
                .unzip(),
        };
        let output = (0..rank)
            .map(|i| {
                let reach = (kernel[i] - 1) * dilations[i] + 1;
                let padded = input[i] + before[i] + after[i];
                let room = padded.checked_sub(reach).ok_or_else(|| {
                    OpError::invalid(format!("the kernel spans {reach} places, the padded input has {padded}"))
                })?;
                Ok(room / strides[i] + 1)
            })
            .collect::<Result<_, OpError>>()?;
        Ok(Window { input: input.to_vec(), kernel, strides, dilations, before, after, output })
    }

    /// The window with one more place at the end of each axis where strides leave a rest (`ceil_mode`), unless that
    /// place would start after the input and what is padded before it.
    pub fn rounded_up(mut self) -> Window {
        for axis in 0..self.input.len() {
            let reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            let room = self.input[axis] + self.before[axis] + self.after[axis] - reach;
            let start = self.output[axis] * self.strides[axis];
            if !room.is_multiple_of(self.strides[axis]) && start < self.input[axis] + self.before[axis] {
                self.output[axis] += 1;
            }
        }
        self
    }

    /// For each place of the output in row-major order, the number of taps inside the padded input; what
    /// [`Window::rounded_up`] hangs over is outside.
    pub fn padded_taps(&self) -> Vec<usize> {
        let mut counts = vec![1];
        for axis in 0..self.input.len() {
            let end = self.input[axis] + self.before[axis] + self.after[axis];
            let inside = |place: usize| {
                let room = end.saturating_sub(place * self.strides[axis]);
                room.div_ceil(self.dilations[axis]).min(self.kernel[axis])
            };
            let along: Vec<usize> = (0..self.output[axis]).map(inside).collect();
            counts = counts.iter().flat_map(|&count| along.iter().map(move |&n| count * n)).collect();
        }
        counts
    }

    /// For each place of the output in row-major order, the taps that fall inside the input, as (tap, pixel), both
    /// counted in row-major order.
    pub fn places(&self) -> Vec<Vec<(usize, usize)>> {
        let mut places = vec![vec![(0, 0)]];
        for axis in 0..self.input.len() {
            let taps = |place: usize| {
                (0..self.kernel[axis]).filter_map(move |tap| {
                    let at = place * self.strides[axis] + tap * self.dilations[axis];
                    let pixel = at.checked_sub(self.before[axis]).filter(|&pixel| pixel < self.input[axis])?;
                    Some((tap, pixel))
                })
            };
            let extend = |outer: &Vec<(usize, usize)>, place: usize| {
                let pairs = outer.iter().flat_map(|&(tap, pixel)| {
                    taps(place).map(move |(t, p)| (tap * self.kernel[axis] + t, pixel * self.input[axis] + p))
                });
                pairs.collect::<Vec<_>>()
            };
            places = places
                .iter()
                .flat_map(|outer| (0..self.output[axis]).map(|p| extend(outer, p)).collect::<Vec<_>>())
                .collect();
        }
        places
    }
}

/// The lengths of the output over `spatial`, each axis by itself: a free height does not hide the width.
pub(super) fn window_dims(
    spatial: &[Dim],
    window: impl FnOnce(&[usize]) -> Result<Window, OpError>,
) -> Result<Vec<Dim>, OpError> {
    // An unknown length is checked as one that fits.
    let lengths: Vec<usize> = spatial.iter().map(|d| d.known().unwrap_or(1 << 20)).collect();
    let window = window(&lengths)?;
    Ok(spatial.iter().zip(&window.output).map(|(d, &out)| d.map(|_| out)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_gives_the_input_over_the_stride() {
        for (auto_pad, before) in [(AutoPad::SameUpper, 0), (AutoPad::SameLower, 1)] {
            let window = Window::new(&[224], &[3], &[2], &[], &[], auto_pad).unwrap();
            assert_eq!((window.output[0], window.before[0], window.after[0]), (112, before, 1 - before));
        }
    }

    #[test]
    fn places_leave_out_the_border() {
        let window = Window::new(&[2, 2], &[3, 3], &[], &[], &[1, 1, 1, 1], AutoPad::NotSet).unwrap();
        assert_eq!(window.output, [2, 2]);
        assert_eq!(window.places()[0], [(4, 0), (5, 1), (7, 2), (8, 3)]);
        assert!(Window::new(&[2], &[3], &[], &[], &[], AutoPad::NotSet).is_err());
        assert!(Window::new(&[2], &[1], &[0], &[], &[], AutoPad::NotSet).is_err());
    }
    #[test]
    fn rounding_up_adds_a_window_that_starts_inside() {
        let window = |input, pads: &[usize]| Window::new(&[input], &[2], &[3], &[], pads, AutoPad::NotSet).unwrap();
        assert_eq!(window(7, &[0, 0]).output, [2]);
        assert_eq!(window(7, &[0, 0]).rounded_up().output, [3]);
        // The third would start at place 6, after the input.
        assert_eq!(window(6, &[0, 1]).rounded_up().output, [2]);
        assert_eq!(window(7, &[0, 0]).rounded_up().padded_taps(), [2, 2, 1]);
    }
}
