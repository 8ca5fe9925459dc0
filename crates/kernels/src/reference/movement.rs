//! Copies and image conversion, element by element.

use crate::movement::{CopyAxis, ImageProblem};

/// Copies elements of `size` bytes over `axes`, from the element given with the source to that given with the
/// destination.
///
/// # Panics
/// When an element lies outside of either.
pub fn strided_copy(size: usize, axes: &[CopyAxis], from: (&[u8], usize), to: (&mut [u8], usize)) {
    let Some((axis, inner)) = axes.split_first() else {
        to.0[to.1 * size..][..size].copy_from_slice(&from.0[from.1 * size..][..size]);
        return;
    };
    for i in 0..axis.extent as isize {
        let source = from.1.strict_add_signed(i * axis.from);
        let destination = to.1.strict_add_signed(i * axis.to);
        strided_copy(size, inner, (from.0, source), (to.0, destination));
    }
}

/// Planes `[n][3][pixels]` from images `[n][pixels][3]`.
pub fn image(p: &ImageProblem, x: &[u8]) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for image in 0..p.n {
        for plane in 0..3 {
            let channel = if p.swap { 2 - plane } else { plane };
            for pixel in 0..p.pixels {
                let value = f32::from(x[(image * p.pixels + pixel) * 3 + channel]);
                y.push(value * p.scale[plane] + p.shift[plane]);
            }
        }
    }
    y
}
