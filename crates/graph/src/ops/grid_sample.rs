//! GridSample: images read at given points.

use tilewise_tensor::{DType, Tensor};

use super::interpolation::{CUBIC_A, Interpolation};
use super::support::{buffer, expect_float, floats, from_floats, merge_dims, operand, result_shape};
use super::{Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// What lies around an image.
    GridPadding {
        /// Zeros.
        Zeros = "zeros",
        /// The outermost pixels.
        Border = "border",
        /// The image mirrored, again and again.
        Reflection = "reflection",
    }
}

operator! {
    /// Inputs: x `[n, c, h, w]`, grid `[n, oh, ow, 2]` of points (across, down), -1 and 1 being the edges of the image.
    /// Output `[n, c, oh, ow]`.
    GridSample {
        /// -1 and 1 are the centres of the outermost pixels instead of their outer edges.
        align_corners: bool = false,
        /// Interpolation; `Nearest` rounds ties to even.
        mode: Interpolation = Interpolation::Linear,
        /// What lies around an image.
        padding_mode: GridPadding = GridPadding::Zeros,
    }
}

impl GridSample {
    /// The pixels along one axis of `len` that a point in -1..=1 is made of, and their weights.
    ///
    /// The point is moved into the image first, and then each of its neighbours.
    pub fn taps(&self, point: f32, len: usize) -> Vec<(usize, f32)> {
        let (n, len) = (len as f64, len as i64);
        let (low, high) = if self.align_corners { (0.0, n - 1.0) } else { (-0.5, n - 0.5) };
        // f32, as the grid: a point in the middle between two pixels stays there.
        let x = f64::from((low + (f64::from(point) + 1.0) / 2.0 * (high - low)) as f32);
        let x = if self.mode == Interpolation::Nearest { x.round_ties_even() } else { x };
        let x = match self.padding_mode {
            GridPadding::Border => x.clamp(0.0, (n - 1.0).max(0.0)),
            GridPadding::Reflection => reflect(x, low, high),
            GridPadding::Zeros => x,
        };
        let place = |i: i64| match self.padding_mode {
            GridPadding::Zeros => (0..len).contains(&i).then_some(i as usize),
            GridPadding::Border => Some(i.clamp(0, len - 1) as usize),
            GridPadding::Reflection => Some((reflect(i as f64, low, high) as i64).clamp(0, len - 1) as usize),
        };
        let taps = self.mode.taps(x, 1.0, CUBIC_A.into());
        taps.into_iter().filter_map(|(i, weight)| Some((place(i)?, weight as f32))).collect()
    }
}

/// `x` mirrored at both borders until it lies between them.
fn reflect(x: f64, low: f64, high: f64) -> f64 {
    let span = high - low;
    if !x.is_finite() || span <= 0.0 {
        return low.max(0.0);
    }
    if (low..=high).contains(&x) {
        return x;
    }
    let turn = (x - low).rem_euclid(2.0 * span);
    low + turn.min(2.0 * span - turn)
}

impl Operator for GridSample {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, grid) = (args.at(0)?, args.at(1)?);
        expect_float(&x)?;
        expect_float(&grid)?;
        let mut out = vec![Dim::Unknown; 4];
        let wrong = || OpError::invalid(format!("images {} at points {}", x.ty, grid.ty));
        match x.shape() {
            None => (),
            Some([n, c, h, w]) if *h != Dim::Known(0) && *w != Dim::Known(0) => {
                out[..2].clone_from_slice(&[n.clone(), c.clone()]);
            }
            Some(dims) if dims.len() != 4 && dims.len() > 2 => {
                return Err(OpError::unsupported(format!("points in images of {} axes", dims.len())));
            }
            Some(_) => return Err(wrong()),
        }
        match grid.shape() {
            None => (),
            Some([n, h, w, two]) if two.known().is_none_or(|two| two == 2) => {
                out = vec![merge_dims(&out[0], n)?, out[1].clone(), h.clone(), w.clone()];
            }
            Some(_) => return Err(wrong()),
        }
        Ok(vec![ValueType::new(x.dtype(), out)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, grid) = (operand(inputs, 0)?, operand(inputs, 1)?);
        buffer(DType::F32, &shape)?;
        let (images, points) = (floats(x)?, floats(grid)?);
        let (channels, pixels) = (shape[1], shape[2] * shape[3]);
        let (h, w) = (x.shape()[2], x.shape()[3]);
        let mut out = Vec::new();
        for plane in 0..shape[0] * channels {
            let image = &images[plane * h * w..(plane + 1) * h * w];
            let points = &points[plane / channels * pixels * 2..][..pixels * 2];
            for point in points.chunks_exact(2) {
                let (across, down) = (self.taps(point[0], w), self.taps(point[1], h));
                let row = |y: usize| -> f64 {
                    across.iter().map(|&(x, weight)| f64::from(weight) * f64::from(image[y * w + x])).sum()
                };
                out.push(down.iter().map(|&(y, weight)| f64::from(weight) * row(y)).sum::<f64>() as f32);
            }
        }
        Ok(vec![from_floats(x.dtype(), &shape, out)?])
    }
}
