//! NonMaxSuppression: the best boxes that do not cover each other.

use tilewise_tensor::{DType, Tensor};

use super::support::{collect, expect_float, floats, int_or, known_args, merge_dims, operand, optional};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: boxes `[n, boxes, 4]`, scores `[n, classes, boxes]`, optional most boxes of a class (i64; none: 0),
    /// optional threshold of intersection over union (none: 0), optional threshold of scores. Output i64 `[found, 3]`:
    /// image, class and box. For each image and class, boxes are taken by falling score, above its threshold, that
    /// cover no taken one by more than theirs.
    NonMaxSuppression {
        /// 0: boxes are two opposite corners (y, x, y, x); 1: centre and size (x, y, width, height).
        center_point_box: usize = 0,
    }
}

/// A box by its lower and upper end along both axes.
type Area = [[f64; 2]; 2];

impl NonMaxSuppression {
    fn area(&self, corners: &[f32]) -> Area {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| f64::from(corners[i]));
        if self.center_point_box == 1 {
            return [[b - d / 2.0, b + d / 2.0], [a - c / 2.0, a + c / 2.0]];
        }
        [[a.min(c), a.max(c)], [b.min(d), b.max(d)]]
    }
}

fn intersection_over_union(a: &Area, b: &Area) -> f64 {
    let size = |area: &Area| (area[0][1] - area[0][0]) * (area[1][1] - area[1][0]);
    let common = [0, 1].map(|axis| (a[axis][1].min(b[axis][1]) - a[axis][0].max(b[axis][0])).max(0.0));
    let common = common[0] * common[1];
    let union = size(a) + size(b) - common;
    if common > 0.0 && union > 0.0 { common / union } else { 0.0 }
}

impl Operator for NonMaxSuppression {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (boxes, scores) = (args.at(0)?, args.at(1)?);
        expect_float(&boxes)?;
        expect_float(&scores)?;
        let wrong = || OpError::invalid(format!("boxes {} with scores {}", boxes.ty, scores.ty));
        if self.center_point_box > 1 || [&boxes, &scores].iter().any(|arg| arg.rank().is_some_and(|rank| rank != 3)) {
            return Err(wrong());
        }
        if let Some([n, count, four]) = boxes.shape() {
            if four.known().is_some_and(|four| four != 4) {
                return Err(wrong());
            }
            if let Some([images, _, scored]) = scores.shape() {
                merge_dims(n, images)?;
                merge_dims(count, scored)?;
            }
        }
        if let Some(limit) = (2..5).filter_map(|i| args.get(i)).find(|arg| arg.ty.numel().is_some_and(|n| n != 1)) {
            return Err(OpError::invalid(format!("a limit of {}", limit.ty)));
        }
        Ok(vec![ValueType::new(DType::I64, vec![Dim::Unknown, Dim::Known(3)])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let most = known_args(inputs, |args| {
            self.infer(args)?;
            int_or(args, 2, 0)
        })?;
        let most = usize::try_from(most.unwrap_or(0)).unwrap_or(0);
        let (boxes, scores) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let threshold = |index| optional(inputs, index).map(|t| Ok::<_, OpError>(floats(t)?[0])).transpose();
        let (covered, least) = (f64::from(threshold(3)?.unwrap_or(0.0)), threshold(4)?);
        let (corners, values) = (floats(boxes)?, floats(scores)?);
        let (classes, count) = (scores.shape()[1], scores.shape()[2]);
        let mut found: Vec<[i64; 3]> = Vec::new();
        for line in 0..scores.shape()[0] * classes {
            let (image, scores) = (line / classes, &values[line * count..(line + 1) * count]);
            let mut order: Vec<usize> = (0..count).filter(|&i| least.is_none_or(|least| scores[i] > least)).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut taken: Vec<Area> = Vec::new();
            for i in order {
                let area = self.area(&corners[(image * count + i) * 4..][..4]);
                if taken.len() < most && taken.iter().all(|other| intersection_over_union(&area, other) <= covered) {
                    taken.push(area);
                    found.push([image as i64, (line % classes) as i64, i as i64]);
                }
            }
        }
        Ok(vec![collect(DType::I64, &[found.len(), 3], found.into_iter().flatten())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{f, i};

    /// Six boxes of the operator's published example, as corners.
    const CORNERS: [f32; 24] = [
        0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1, 0.0, -0.1, 1.0, 0.9, 0.0, 10.0, 1.0, 11.0, 0.0, 10.1, 1.0, 11.1, 0.0,
        100.0, 1.0, 101.0,
    ];

    fn run(center_point_box: usize, boxes: &Tensor, most: i64, least: f32) -> Result<Vec<i64>, OpError> {
        let scores = f(&[1, 1, 6], &[0.9, 0.75, 0.6, 0.95, 0.5, 0.3]);
        let inputs = [boxes, &scores, &i(&[1], &[most]), &f(&[1], &[0.5]), &f(&[1], &[least])];
        let out = NonMaxSuppression { center_point_box }.eval(&inputs.map(Some))?.swap_remove(0);
        assert_eq!(out.shape()[1], 3);
        Ok(out.values::<i64>()?.chunks(3).map(|row| row[2]).collect())
    }

    #[test]
    fn boxes_that_cover_a_better_one_are_left_out() {
        let corners = f(&[1, 6, 4], &CORNERS);
        let turned: Vec<f32> = CORNERS.chunks(4).flat_map(|c| [c[2], c[1], c[0], c[3]]).collect();
        let centred: Vec<f32> = CORNERS.chunks(4).flat_map(|c| [(c[1] + c[3]) / 2.0, 0.5, 1.0, 1.0]).collect();
        assert_eq!(run(0, &corners, 3, 0.0).unwrap(), [3, 0, 5]);
        assert_eq!(run(0, &f(&[1, 6, 4], &turned), 9, 0.0).unwrap(), [3, 0, 5]);
        assert_eq!(run(1, &f(&[1, 6, 4], &centred), 9, 0.4).unwrap(), [3, 0]);
        assert_eq!(run(0, &corners, 1, 0.0).unwrap(), [3]);
        assert!(run(0, &corners, i64::MIN, 0.0).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_box_is_refused() {
        assert!(run(2, &f(&[1, 6, 4], &CORNERS), 3, 0.0).is_err());
        assert!(run(0, &f(&[1, 4, 6], &CORNERS), 3, 0.0).is_err());
        assert!(run(0, &f(&[6, 4], &CORNERS), 3, 0.0).is_err());
        assert!(run(0, &f(&[2, 3, 4], &CORNERS), 3, 0.0).is_err());
    }
}
