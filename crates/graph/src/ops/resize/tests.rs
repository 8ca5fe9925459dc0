//! Resize against the values of ONNX's reference evaluation, and against absurd requests.

use super::*;
use crate::ops::testing::{Case, case, case_of, check, f, i, iota, refused};

fn squares() -> Tensor {
    f(&[2, 4], &[0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0])
}

fn resize(mode: Interpolation) -> Resize {
    let mut attributes = crate::attr::AttrMap::default();
    let default = <Resize as crate::attr::Attributes>::read("Resize", &mut attributes).unwrap();
    Resize { mode, ..default }
}

fn scaled(op: Resize, x: &Tensor, scales: &[f32], y: &Tensor) -> Case {
    case_of(op, &[Some(x), None, Some(&f(&[scales.len()], scales))], std::slice::from_ref(y))
}

fn sized(op: Resize, x: &Tensor, sizes: &[i64], y: &Tensor) -> Case {
    case_of(op, &[Some(x), None, None, Some(&i(&[sizes.len()], sizes))], std::slice::from_ref(y))
}

// The expected values are those of onnx.reference.

#[test]
fn coordinates() {
    use CoordinateMode::{AlignCorners, Asymmetric, HalfPixel, HalfPixelSymmetric, PytorchHalfPixel};
    let linear = [
        (HalfPixel, [0.125, 2.125, 7.125, 17.125, 29.125, 44.125]),
        (PytorchHalfPixel, [0.125, 2.125, 7.125, 17.125, 29.125, 44.125]),
        (AlignCorners, [0.0, 2.090909, 7.636364, 16.0, 29.0, 45.454544]),
        (Asymmetric, [0.0, 1.75, 6.5, 16.0, 27.75, 42.5]),
        (HalfPixelSymmetric, [0.25, 2.5, 7.75, 18.25, 30.5, 45.75]),
    ];
    let cubic = [
        (HalfPixel, [0.07373, 1.861328, 7.395996, 16.827637, 29.095703, 45.040527]),
        (AlignCorners, [0.0, 1.838464, 7.870776, 16.0, 28.99998, 46.19385]),
        (Asymmetric, [0.0, 1.609375, 6.781249, 16.0, 27.984375, 43.531246]),
        (HalfPixelSymmetric, [0.121094, 2.125, 7.972656, 17.652344, 30.125, 46.441406]),
    ];
    let rows = linear.map(|row| (Interpolation::Linear, row)).into_iter();
    let rows = rows.chain(cubic.map(|row| (Interpolation::Cubic, row)));
    check(
        rows.map(|(mode, (coordinate_transformation_mode, y))| {
            let op = Resize { coordinate_transformation_mode, ..resize(mode) };
            scaled(op, &squares(), &[1.0, 0.8], &f(&[2, 3], &y))
        })
        .collect(),
    );
}

#[test]
fn the_nearest_place() {
    use NearestMode::{Ceil, Floor, RoundPreferCeil, RoundPreferFloor};
    let rows = [
        (RoundPreferFloor, [0.0, 0.0, 1.0, 4.0, 4.0, 9.0], [0.0, 1.0, 1.0, 4.0, 4.0, 9.0, 9.0]),
        (RoundPreferCeil, [0.0, 1.0, 1.0, 4.0, 9.0, 9.0], [0.0, 1.0, 1.0, 4.0, 4.0, 9.0, 9.0]),
        (Floor, [0.0, 0.0, 1.0, 1.0, 4.0, 9.0], [0.0, 0.0, 1.0, 1.0, 4.0, 4.0, 9.0]),
        (Ceil, [0.0, 1.0, 4.0, 4.0, 9.0, 9.0], [0.0, 1.0, 4.0, 4.0, 9.0, 9.0, 9.0]),
    ];
    let x = f(&[1, 4], &[0.0, 1.0, 4.0, 9.0]);
    check(
        rows.iter()
            .flat_map(|(nearest_mode, halves, asymmetric)| {
                let op = Resize { nearest_mode: *nearest_mode, ..resize(Interpolation::Nearest) };
                let plain = Resize { coordinate_transformation_mode: CoordinateMode::Asymmetric, ..op.clone() };
                let halves = scaled(op, &x, &[1.0, 1.5], &f(&[1, 6], halves));
                [halves, sized(plain, &x, &[1, 7], &f(&[1, 7], asymmetric))]
            })
            .collect(),
    );
}

#[test]
fn kernels_at_borders_and_widened() {
    let (linear, cubic) = (resize(Interpolation::Linear), resize(Interpolation::Cubic));
    let excluding = Resize { exclude_outside: true, ..cubic.clone() };
    let widened = Resize { antialias: true, ..cubic };
    let both = Resize { antialias: true, ..excluding.clone() };
    let x = squares();
    let outside = [7.493243, 9.685715, 14.282414, 18.30092, 25.485714, 29.912163];
    let wide = [-0.009894, 2.254206, 8.060095, 17.230122, 30.254207, 46.82008];
    let wide_inside = [-0.01027, 2.288184, 8.024343, 17.27691, 30.288185, 46.737163];
    let halved = Resize { antialias: true, ..linear.clone() };
    let stretched = [8.0, 10.5, 14.166667, 18.833334, 24.5, 29.0];
    check(vec![
        sized(linear, &x, &[1, 6], &f(&[1, 6], &stretched)),
        sized(excluding, &x, &[1, 6], &f(&[1, 6], &outside)),
        sized(halved, &x, &[2, 2], &f(&[2, 2], &[0.875, 6.125, 21.875, 41.125])),
        sized(widened, &x, &[2, 3], &f(&[2, 3], &wide)),
        sized(both, &x, &[2, 3], &f(&[2, 3], &wide_inside)),
    ]);
}

#[test]
fn regions_axes_and_aspect_ratios() {
    let crop = Resize {
        coordinate_transformation_mode: CoordinateMode::TfCropAndResize,
        extrapolation_value: -1.0,
        ..resize(Interpolation::Linear)
    };
    let (x, roi, none) = (squares(), f(&[4], &[0.0, 0.25, 1.0, 1.25]), f(&[0], &[]));
    let rows = Resize { axes: vec![-2], ..resize(Interpolation::Linear) };
    let within = Resize { keep_aspect_ratio_policy: AspectRatio::NotLarger, ..resize(Interpolation::Nearest) };
    let around = Resize { keep_aspect_ratio_policy: AspectRatio::NotSmaller, ..resize(Interpolation::Nearest) };
    let three = [0., 1., 4., 9., 8., 13., 20., 29., 16., 25., 36., 49.];
    let kept = [0., 0., 1., 4., 4., 9., 0., 0., 1., 4., 4., 9., 16., 16., 25., 36., 36., 49.];
    let cropped = [0.75, 5.25, -1.0, 22.75, 39.25, -1.0];
    check(vec![
        case(crop.clone(), &[&x, &roi, &none, &i(&[2], &[2, 3])], &[f(&[2, 3], &cropped)]),
        refused(crop, &[&x, &none, &none, &i(&[2], &[2, 3])]),
        sized(rows.clone(), &x, &[3], &f(&[3, 4], &three)),
        refused(rows, &[&x, &none, &none, &i(&[2], &[3, 4])]),
        sized(within, &x, &[7, 6], &f(&[3, 6], &kept)),
        sized(around, &iota(&[1, 1]), &[2, 3], &f(&[3, 3], &[0.0; 9])),
    ]);
}

#[test]
fn absurd_requests_are_errors() {
    let (x, none, op) = (squares(), f(&[0], &[]), resize(Interpolation::Linear));
    check(vec![
        refused(op.clone(), &[&x]),
        refused(op.clone(), &[&x, &none, &f(&[2], &[1.0, 0.0])]),
        refused(op.clone(), &[&x, &none, &f(&[2], &[1.0, f32::NAN])]),
        refused(op.clone(), &[&x, &none, &f(&[1], &[1.0])]),
        refused(op.clone(), &[&x, &none, &none, &i(&[2], &[1, -1])]),
        refused(op.clone(), &[&f(&[0, 1], &[]), &none, &none, &i(&[2], &[1, 1])]),
        refused(op.clone(), &[&x, &none, &f(&[2], &[1.0, 1.0]), &i(&[2], &[1, 1])]),
    ]);
    for sizes in [[1 << 40, 1 << 40], [1, 1 << 60]] {
        let huge = op.eval(&[Some(&x), None, None, Some(&i(&[2], &sizes))]);
        assert!(matches!(huge, Err(OpError::Tensor(_))));
    }
}

#[test]
fn a_free_batch_passes_scales() {
    let shape = vec![Dim::Symbol("N".into()), 3.into(), 8.into(), Dim::Unknown];
    let ty = ValueType::new(DType::F32, shape);
    let scales = f(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let (empty, list) = (ValueType::known(DType::F32, &[0]), ValueType::known(DType::F32, &[4]));
    let arg = |ty, value| Some(Arg { ty, value });
    let args = [arg(&ty, None), arg(&empty, None), arg(&list, Some(&scales))];
    let types = resize(Interpolation::Nearest).infer(&Args::new(&args)).unwrap();
    assert_eq!(types[0].to_string(), "f32[N,3,16,?]");
}
