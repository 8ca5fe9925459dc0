//! Resize: an image of other lengths, interpolated axis by axis.

use tilewise_tensor::{DType, Tensor, numel};

use super::cast::convert;
use super::interpolation::{CUBIC_A, Interpolation};
use super::movement::pick_by_axis;
use super::support::{buffer, collect, floats, known_args, operand, resolve_axes, result_shape};
use super::{Arg, Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// Where in the input a place of the output lies. Half pixel: pixels are squares, and the outer edges of both
    /// images coincide.
    CoordinateMode {
        /// `(x + 0.5) / scale - 0.5`
        HalfPixel = "half_pixel",
        /// As half pixel, about the centre of both images where scale times length is no whole number.
        HalfPixelSymmetric = "half_pixel_symmetric",
        /// As half pixel; 0 where the output has one place.
        PytorchHalfPixel = "pytorch_half_pixel",
        /// The centres of the first and last pixels coincide.
        AlignCorners = "align_corners",
        /// `x / scale`
        Asymmetric = "asymmetric",
        /// The corners of the region `roi` are the centres of the first and last pixels.
        TfCropAndResize = "tf_crop_and_resize",
        /// As half pixel, for nearest only: `(x + 0.5) / scale`.
        TfHalfPixelForNn = "tf_half_pixel_for_nn",
    }
}

attr_enum! {
    /// Which place is the nearest.
    NearestMode {
        /// The nearer; of two the lower.
        RoundPreferFloor = "round_prefer_floor",
        /// The nearer; of two the higher.
        RoundPreferCeil = "round_prefer_ceil",
        /// The lower.
        Floor = "floor",
        /// The higher.
        Ceil = "ceil",
    }
}

attr_enum! {
    /// What the sizes mean.
    AspectRatio {
        /// The lengths of the output.
        Stretch = "stretch",
        /// The largest output of the input's aspect ratio that does not exceed them.
        NotLarger = "not_larger",
        /// The smallest output of the input's aspect ratio that does not fall below them.
        NotSmaller = "not_smaller",
    }
}

operator! {
    /// Inputs: x, optional roi (numbers: starts of the axes, then ends), optional scales (numbers), optional sizes
    /// (i64); one of the last two is given and not empty. They speak of `axes`, in order.
    Resize {
        /// The kernel is widened where an axis gets shorter.
        antialias: bool = false,
        /// Axes that are resized; empty: all.
        axes: Vec<i64> = Vec::new(),
        /// Where places lie.
        coordinate_transformation_mode: CoordinateMode = CoordinateMode::HalfPixel,
        /// The parameter of the cubic kernel.
        cubic_coeff_a: f32 = CUBIC_A,
        /// Places outside of the input get no weight; otherwise they are as the outermost ones.
        exclude_outside: bool = false,
        /// The value of places outside of the input in `tf_crop_and_resize`.
        extrapolation_value: f32 = 0.0,
        /// What the sizes mean.
        keep_aspect_ratio_policy: AspectRatio = AspectRatio::Stretch,
        /// Interpolation.
        mode: Interpolation = Interpolation::Nearest,
        /// Which place is the nearest.
        nearest_mode: NearestMode = NearestMode::RoundPreferFloor,
    }
}

/// How one axis is resized: everything resolved and checked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ResizeAxis {
    /// Length of the input.
    pub input: usize,
    /// Length of the output.
    pub output: usize,
    /// Places of the output for each of the input.
    pub scale: f64,
    /// The region of the input, in lengths, for `tf_crop_and_resize`.
    pub roi: (f64, f64),
}

/// The values that fix the geometry, as far as given and known.
struct Request {
    roi: Option<Vec<f32>>,
    scales: Option<Vec<f32>>,
    sizes: Option<Vec<i64>>,
}

impl Resize {
    /// For each place of the output, the places of the input it is made of and their weights, which sum to 1. No
    /// place at all: the extrapolation value.
    pub fn taps(&self, axis: &ResizeAxis) -> Vec<Vec<(usize, f32)>> {
        (0..axis.output).map(|place| self.taps_at(axis, self.coordinate(axis, place))).collect()
    }

    fn taps_at(&self, axis: &ResizeAxis, x: f64) -> Vec<(usize, f32)> {
        let last = axis.input as i64 - 1;
        let cropped = self.coordinate_transformation_mode == CoordinateMode::TfCropAndResize;
        if last < 0 || (cropped && !(0.0..=last as f64).contains(&x)) {
            return Vec::new();
        }
        let taps = match self.mode {
            Interpolation::Nearest => vec![(self.nearest(x), 1.0)],
            Interpolation::Linear | Interpolation::Cubic => {
                let squeeze = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
                self.mode.taps(x, squeeze, self.cubic_coeff_a.into())
            }
        };
        let inside = taps.iter().filter(|(i, _)| (0..=last).contains(i)).map(|(_, weight)| weight).sum::<f64>();
        let exclude = self.exclude_outside && inside != 0.0;
        let mut out: Vec<(usize, f64)> = Vec::with_capacity(taps.len());
        for (i, weight) in taps {
            let at = i.clamp(0, last) as usize;
            let weight = match (exclude, at as i64 == i) {
                (true, false) => continue,
                (true, true) => weight / inside,
                (false, _) => weight,
            };
            match out.last_mut() {
                Some((before, sum)) if *before == at => *sum += weight,
                Some(_) | None => out.push((at, weight)),
            }
        }
        out.into_iter().map(|(at, weight)| (at, weight as f32)).collect()
    }

    /// The point of the input that a place of the output lies on.
    fn coordinate(&self, axis: &ResizeAxis, place: usize) -> f64 {
        let (x, input, output) = (place as f64, axis.input as f64, axis.output as f64);
        let half_pixel = (x + 0.5) / axis.scale - 0.5;
        match self.coordinate_transformation_mode {
            CoordinateMode::HalfPixel => half_pixel,
            CoordinateMode::HalfPixelSymmetric => {
                half_pixel + input / 2.0 * (1.0 - output / (axis.scale * input))
            }
            CoordinateMode::PytorchHalfPixel if axis.output == 1 => 0.0,
            CoordinateMode::PytorchHalfPixel => half_pixel,
            CoordinateMode::AlignCorners if axis.output == 1 => 0.0,
            CoordinateMode::AlignCorners => x * (input - 1.0) / (output - 1.0),
            CoordinateMode::Asymmetric => x / axis.scale,
            CoordinateMode::TfHalfPixelForNn => (x + 0.5) / axis.scale,
            CoordinateMode::TfCropAndResize => {
                let (start, end) = axis.roi;
                let inner = if axis.output == 1 { 0.5 } else { x / (output - 1.0) };
                (start + (end - start) * inner) * (input - 1.0)
            }
        }
    }

    fn nearest(&self, x: f64) -> i64 {
        // As f32: a scale that is itself rounded must not move a point off the place, or the middle, it lies on.
        let x = f64::from(x as f32);
        let rounded = match self.nearest_mode {
            NearestMode::RoundPreferFloor => (x - 0.5).ceil(),
            NearestMode::RoundPreferCeil => (x + 0.5).floor(),
            NearestMode::Floor => x.floor(),
            NearestMode::Ceil => x.ceil(),
        };
        rounded as i64
    }

    /// How each axis of an input is resized. `roi` is empty where it is not given; one of `scales` and `sizes` is
    /// not empty.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when the lists do not fit the axes or each other.
    pub fn axes(
        &self,
        lengths: &[usize],
        roi: &[f32],
        scales: &[f32],
        sizes: &[i64],
    ) -> Result<Vec<ResizeAxis>, OpError> {
        let named = self.named(lengths.len())?;
        let wrong = |what: &str| Err(OpError::invalid(format!("{what} for {} of {lengths:?}", named.len())));
        let mut axes: Vec<ResizeAxis> =
            lengths.iter().map(|&n| ResizeAxis { input: n, output: n, scale: 1.0, roi: (0.0, 1.0) }).collect();
        if scales.is_empty() == sizes.is_empty() || scales.len() + sizes.len() != named.len() {
            return wrong(&format!("scales {scales:?} and sizes {sizes:?}"));
        }
        if self.coordinate_transformation_mode == CoordinateMode::TfCropAndResize {
            if roi.len() != 2 * named.len() || roi.iter().any(|x| !x.is_finite()) {
                return wrong(&format!("roi {roi:?}"));
            }
            for (i, &axis) in named.iter().enumerate() {
                axes[axis].roi = (roi[i].into(), roi[named.len() + i].into());
            }
        }
        for (&axis, &scale) in named.iter().zip(scales) {
            if !(scale > 0.0 && scale.is_finite()) {
                return wrong(&format!("scales {scales:?}"));
            }
            // In f32: 10 times the number nearest to 0.7 is 7.
            axes[axis].output = (lengths[axis] as f32 * scale).floor() as usize;
            axes[axis].scale = scale.into();
        }
        for (&axis, &size) in named.iter().zip(sizes) {
            let Some(size) = usize::try_from(size).ok().filter(|&size| size == 0 || lengths[axis] > 0) else {
                return wrong(&format!("sizes {sizes:?}"));
            };
            axes[axis].output = size;
            axes[axis].scale = if size == lengths[axis] { 1.0 } else { size as f64 / lengths[axis] as f64 };
        }
        if !sizes.is_empty() {
            self.keep_aspect_ratio(&mut axes, &named);
        }
        Ok(axes)
    }

    fn keep_aspect_ratio(&self, axes: &mut [ResizeAxis], named: &[usize]) {
        let scales = named.iter().map(|&axis| axes[axis].scale);
        let scale = match self.keep_aspect_ratio_policy {
            AspectRatio::Stretch => return,
            AspectRatio::NotLarger => scales.fold(f64::INFINITY, f64::min),
            AspectRatio::NotSmaller => scales.fold(0.0, f64::max),
        };
        for &axis in named {
            axes[axis].scale = scale;
            axes[axis].output = (axes[axis].input as f64 * scale).round() as usize;
        }
    }

    fn named(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        if self.axes.is_empty() { Ok((0..rank).collect()) } else { resolve_axes(&self.axes, rank) }
    }

    /// The values given, `None` as a whole where one of them is not known yet. Exporters leave an input out or write
    /// an empty list for it.
    fn request(args: &Args<'_>) -> Result<Option<Request>, OpError> {
        let given = |index| args.get(index).filter(|arg: &Arg<'_>| arg.ty.numel() != Some(0));
        let (roi, scales, sizes) = (given(1), given(2), given(3));
        let numbers = |arg: Option<Arg<'_>>| arg.and_then(|arg| arg.value).map(|t| Ok(floats(t)?.into_owned()));
        let request = Request {
            roi: numbers(roi).transpose()?,
            scales: numbers(scales).transpose()?,
            sizes: sizes.map(|arg| arg.ints()).transpose()?.flatten(),
        };
        let open = scales.is_some() != request.scales.is_some() || sizes.is_some() != request.sizes.is_some();
        Ok((!open).then_some(request))
    }

    fn resolve(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<ResizeAxis>, OpError> {
        let request = known_args(inputs, Self::request)?.ok_or_else(|| OpError::invalid("no scales and no sizes"))?;
        let Request { roi, scales, sizes } = request;
        let lengths = operand(inputs, 0)?.shape();
        self.axes(lengths, &roi.unwrap_or_default(), &scales.unwrap_or_default(), &sizes.unwrap_or_default())
    }
}

impl Operator for Resize {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if self.mode != Interpolation::Nearest && x.dtype() == DType::Bool {
            return Err(OpError::invalid("bools cannot be interpolated"));
        }
        let Some(shape) = x.shape() else { return Ok(vec![ValueType::unranked(x.dtype())]) };
        let named = self.named(shape.len())?;
        let Some(Request { roi, scales, sizes }) = Self::request(args)? else {
            let open = |(axis, dim): (usize, &Dim)| if named.contains(&axis) { Dim::Unknown } else { dim.clone() };
            return Ok(vec![ValueType::new(x.dtype(), shape.iter().enumerate().map(open).collect())]);
        };
        // Each axis by itself, but for an aspect ratio: an unknown length, which stands as 1, does not hide the others.
        let lengths: Vec<usize> = shape.iter().map(|dim| dim.known().unwrap_or(1)).collect();
        let roi = roi.unwrap_or_else(|| vec![0.0; 2 * named.len()]);
        let (scaled, sizes) = (scales.is_some(), sizes.unwrap_or_default());
        let axes = self.axes(&lengths, &roi, &scales.unwrap_or_default(), &sizes)?;
        let stretched = scaled || self.keep_aspect_ratio_policy == AspectRatio::Stretch;
        let alone = stretched || named.iter().all(|&axis| shape[axis].known().is_some());
        let length = |(axis, dim): (usize, &Dim)| match dim.known() {
            _ if !named.contains(&axis) => dim.clone(),
            _ if !alone => Dim::Unknown,
            None if scaled && axes[axis].scale == 1.0 => dim.clone(),
            None if scaled => Dim::Unknown,
            Some(_) | None => Dim::Known(axes[axis].output),
        };
        Ok(vec![ValueType::new(x.dtype(), shape.iter().enumerate().map(length).collect())])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        let axes = self.resolve(inputs)?;
        // Before taps are made: there is memory for the result, and so for them.
        buffer(x.dtype(), &shape)?;
        if numel(&shape) == Some(0) {
            return Ok(vec![Tensor::zeros(x.dtype(), &shape)?]);
        }
        let taps: Vec<Vec<Vec<(usize, f32)>>> = axes.iter().map(|axis| self.taps(axis)).collect();
        if self.mode == Interpolation::Nearest && taps.iter().flatten().all(|taps| taps.len() == 1) {
            return Ok(vec![pick_by_axis(x, &shape, |axis, i| taps[axis][i][0].0)?]);
        }
        let mut out = convert(x, DType::F64)?;
        for (axis, taps) in taps.iter().enumerate() {
            out = along(&out, axis, taps, self.extrapolation_value.into())?;
        }
        Ok(vec![convert(&out, x.dtype())?])
    }
}

/// One axis of an f64 tensor interpolated.
fn along(x: &Tensor, axis: usize, taps: &[Vec<(usize, f32)>], outside: f64) -> Result<Tensor, OpError> {
    let values = x.values::<f64>()?;
    let (outer, inner) = (numel(&x.shape()[..axis]).unwrap_or(0), numel(&x.shape()[axis + 1..]).unwrap_or(0));
    let length = x.shape()[axis];
    let mut shape = x.shape().to_vec();
    shape[axis] = taps.len();
    let values = &values;
    let at = move |row: usize, taps: &[(usize, f32)], column: usize| match taps {
        [] => outside,
        taps => taps.iter().map(|&(i, w)| values[(row * length + i) * inner + column] * f64::from(w)).sum(),
    };
    let rows = (0..outer).flat_map(|row| taps.iter().map(move |taps| (row, taps)));
    collect(DType::F64, &shape, rows.flat_map(|(row, taps)| (0..inner).map(move |column| at(row, taps, column))))
}
