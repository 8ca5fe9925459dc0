//! Shape arithmetic on plain lengths: element counts, strides, broadcasting.

/// The number of elements of a shape, or `None` when it does not fit in `usize`.
pub fn numel(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// Row-major strides, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        out[axis - 1] = out[axis].saturating_mul(shape[axis]);
    }
    out
}

/// The shape two operands broadcast to by NumPy's rule, or `None` when they do not fit.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// The position in a row-major array of shape `from` of the element that broadcasts to position `at` of an array of
/// shape `to`.
pub fn broadcast_position(from: &[usize], to: &[usize], at: usize) -> usize {
    let (mut rest, mut position, mut step) = (at, 0, 1);
    for (back, &len) in to.iter().rev().enumerate() {
        let index = rest % len;
        rest /= len;
        let Some(axis) = from.len().checked_sub(back + 1) else { break };
        if from[axis] != 1 {
            position += index * step;
        }
        step *= from[axis];
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_strides_are_row_major() {
        assert_eq!(numel(&[2, 3, 4]), Some(24));
        assert_eq!(numel(&[]), Some(1));
        assert_eq!(numel(&[usize::MAX, 2]), None);
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[5]), Some(vec![5]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[0], &[1]), Some(vec![0]));
        let positions: Vec<usize> = (0..6).map(|at| broadcast_position(&[2, 1], &[3, 2, 1], at)).collect();
        assert_eq!(positions, [0, 1, 0, 1, 0, 1]);
        let positions: Vec<usize> = (0..6).map(|at| broadcast_position(&[1, 3], &[2, 3], at)).collect();
        assert_eq!(positions, [0, 1, 2, 0, 1, 2]);
    }
}
