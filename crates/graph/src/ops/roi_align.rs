//! RoiAlign: regions of images, pooled to one size.

use tilewise_tensor::{DType, Tensor};

use super::support::{
    INDEX, buffer, expect_float, expect_type, floats, from_floats, merge_dims, operand, resolve_indices, result_shape,
};
use super::{Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// Where a region lies.
    RoiCoordinates {
        /// Half a pixel further to the upper left: pixels are squares around their centres.
        HalfPixel = "half_pixel",
        /// As written; a region is at least one pixel wide and high.
        OutputHalfPixel = "output_half_pixel",
    }
}

attr_enum! {
    /// What becomes of the points of a bin.
    RoiMode {
        /// The mean of the interpolated values.
        Avg = "avg",
        /// The largest weighted pixel, as ONNX defines it: each neighbour of each point times its weight.
        Max = "max",
    }
}

operator! {
    /// Inputs: x `[n, c, h, w]`, regions `[r, 4]` (left, top, right, bottom), the image of each (i64 `[r]`). Output
    /// `[r, c, output_height, output_width]`. Each output is a bin of the region, read at a grid of points by bilinear
    /// interpolation (K. He and others, Mask R-CNN, 2017).
    RoiAlign {
        /// Where a region lies.
        coordinate_transformation_mode: RoiCoordinates = RoiCoordinates::HalfPixel,
        /// What becomes of the points of a bin.
        mode: RoiMode = RoiMode::Avg,
        /// Bins down.
        output_height: usize = 1,
        /// Bins across.
        output_width: usize = 1,
        /// Points of a bin along each axis; 0: one a pixel.
        sampling_ratio: usize = 0,
        /// Pixels of x for one unit of the regions.
        spatial_scale: f32 = 1.0,
    }
}

/// Most points of a bin along one axis: more than an image has pixels, few enough to be walked over.
const MOST_POINTS: f64 = 4096.0;

/// A point's two neighbours along one axis with their weights.
type Pair = [(usize, f64); 2];

/// The neighbours of a point; none outside of the image.
type Neighbours = Option<Pair>;

impl RoiAlign {
    /// For each bin along one axis of `len` pixels, the points of a region from `start` to `end`.
    fn bins(&self, start: f32, end: f32, len: usize, bins: usize) -> Result<Vec<Vec<Neighbours>>, OpError> {
        let half = self.coordinate_transformation_mode == RoiCoordinates::HalfPixel;
        let place = |at: f32| f64::from(at) * f64::from(self.spatial_scale) - if half { 0.5 } else { 0.0 };
        let (start, size) = (place(start), place(end) - place(start));
        let bin = if half { size } else { size.max(1.0) } / bins as f64;
        let wanted = if self.sampling_ratio > 0 { self.sampling_ratio as f64 } else { bin.ceil() };
        if wanted.is_nan() || wanted > MOST_POINTS {
            return Err(OpError::invalid(format!("a region of {size} pixels in {bins} bins")));
        }
        let points = wanted.max(0.0) as usize;
        let point = |i: usize, j: usize| start + i as f64 * bin + (j as f64 + 0.5) * bin / points as f64;
        Ok((0..bins).map(|i| (0..points).map(|j| neighbours(point(i, j), len)).collect()).collect())
    }
}

fn neighbours(x: f64, len: usize) -> Neighbours {
    if !(-1.0..=len as f64).contains(&x) {
        return None;
    }
    let last = len.checked_sub(1)?;
    let low = (x.max(0.0) as usize).min(last);
    let above = if low == last { 0.0 } else { x.max(0.0) - low as f64 };
    Some([(low, 1.0 - above), ((low + 1).min(last), above)])
}

/// The value of one bin of one channel.
fn pooled(mode: RoiMode, image: &[f32], width: usize, down: &[Neighbours], across: &[Neighbours]) -> f64 {
    let points = down.iter().flat_map(|y| across.iter().map(move |x| y.zip(*x)));
    let terms = |(ys, xs): (Pair, Pair)| {
        let term = |(y, wy): (usize, f64), (x, wx): (usize, f64)| f64::from(image[y * width + x]) * wy * wx;
        [term(ys[0], xs[0]), term(ys[0], xs[1]), term(ys[1], xs[0]), term(ys[1], xs[1])]
    };
    match mode {
        RoiMode::Avg => {
            let sum: f64 = points.map(|point| point.map_or(0.0, |point| terms(point).iter().sum())).sum();
            sum / (down.len() * across.len()).max(1) as f64
        }
        RoiMode::Max => {
            let largest = points.map(|point| point.map_or(0.0, |p| terms(p).into_iter().fold(f64::MIN, f64::max)));
            largest.reduce(f64::max).unwrap_or(0.0)
        }
    }
}

impl Operator for RoiAlign {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, regions, images) = (args.at(0)?, args.at(1)?, args.at(2)?);
        expect_float(&x)?;
        expect_float(&regions)?;
        expect_type(&images, "the images of regions", INDEX)?;
        let wrong = || OpError::invalid(format!("regions {} in images {} of {}", regions.ty, images.ty, x.ty));
        let channels = match x.shape() {
            None => Dim::Unknown,
            Some([_, c, _, _]) => c.clone(),
            Some(_) => return Err(wrong()),
        };
        let count = match regions.shape() {
            None => Dim::Unknown,
            Some([count, four]) if four.known().is_none_or(|four| four == 4) => count.clone(),
            Some(_) => return Err(wrong()),
        };
        let count = match images.shape() {
            None => count,
            Some([images]) => merge_dims(&count, images)?,
            Some(_) => return Err(wrong()),
        };
        let bins = [self.output_height, self.output_width];
        if bins.contains(&0) || self.sampling_ratio as f64 > MOST_POINTS {
            return Err(OpError::invalid(format!("{bins:?} bins of {} points", self.sampling_ratio)));
        }
        Ok(vec![ValueType::new(x.dtype(), vec![count, channels, bins[0].into(), bins[1].into()])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, regions) = (operand(inputs, 0)?, operand(inputs, 1)?);
        buffer(DType::F32, &shape)?;
        let (n, channels, h, w) = (x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3]);
        let images = resolve_indices(operand(inputs, 2)?, n)?;
        let (pixels, corners) = (floats(x)?, floats(regions)?);
        let mut out = Vec::new();
        for (corner, image) in corners.chunks_exact(4).zip(images) {
            let down = self.bins(corner[1], corner[3], h, self.output_height)?;
            let across = self.bins(corner[0], corner[2], w, self.output_width)?;
            for channel in 0..channels {
                let plane = &pixels[(image * channels + channel) * h * w..][..h * w];
                for y in &down {
                    out.extend(across.iter().map(|x| pooled(self.mode, plane, w, y, x) as f32));
                }
            }
        }
        Ok(vec![from_floats(x.dtype(), &shape, out)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn regions_are_pooled() {
        use RoiCoordinates::{HalfPixel, OutputHalfPixel};
        use RoiMode::{Avg, Max};
        let squares: Vec<f32> = (0..32).map(|x: u8| f32::from(x).powi(2) / 16.0).collect();
        let x = f(&[2, 1, 4, 4], &squares);
        let regions = f(&[2, 4], &[0.2, 0.5, 2.7, 3.1, -1.5, 1.0, 9.0, 1.2]);
        let images = i(&[2], &[1, 0]);
        // The expected values are those of onnx.reference.
        let rows = [
            (Avg, HalfPixel, 0, [21.425167, 24.04721, 33.518364, 36.7872, 0.661795, 0.335, 0.773147, 0.38]),
            (Avg, HalfPixel, 2, [21.425167, 24.04721, 33.518364, 36.7872, 0.729719, 0.0, 0.857828, 0.0]),
            (Avg, OutputHalfPixel, 0, [27.559635, 30.57838, 41.103996, 44.78087, 2.301725, 0.7475, 4.098724, 1.1975]),
            (Max, HalfPixel, 2, [20.687496, 20.840776, 35.90999, 35.604115, 0.729738, 0.0, 0.870222, 0.0]),
            (Max, OutputHalfPixel, 0, [19.979109, 19.11961, 34.79797, 32.81835, 2.34932, 2.603125, 4.436349, 4.915625]),
        ];
        let op = |mode, coordinate_transformation_mode, sampling_ratio| RoiAlign {
            coordinate_transformation_mode,
            mode,
            output_height: 2,
            output_width: 2,
            sampling_ratio,
            spatial_scale: 0.9,
        };
        let row = |(mode, coordinates, ratio, y): (_, _, _, [f32; 8])| {
            case(op(mode, coordinates, ratio), &[&x, &regions, &images], &[f(&[2, 1, 2, 2], &y)])
        };
        check(rows.map(row).into());
        let plain = op(Avg, HalfPixel, 0);
        check(vec![
            refused(plain.clone(), &[&x, &regions, &i(&[2], &[2, 0])]),
            refused(plain.clone(), &[&x, &regions, &i(&[1], &[0])]),
            refused(plain.clone(), &[&x, &f(&[2, 4], &[0.0, 0.0, 1e30, 1e30, 0.0, 0.0, 1.0, 1.0]), &images]),
            refused(plain, &[&x, &f(&[4], &[0.0; 4]), &images]),
        ]);
    }
}
