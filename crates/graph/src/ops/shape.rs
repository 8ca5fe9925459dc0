//! Shape and Size: lengths as data.

use tilewise_tensor::{DType, Tensor};

use super::support::operand;
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Input: data. Output: its lengths from axis `start` up to, not with, `end`, as i64.
    Shape {
        /// First axis; negative counts from the end.
        start: i64 = 0,
        /// Axis to stop before; negative counts from the end; none: all.
        end: Option<i64> = None,
    }
}

impl Shape {
    /// The output for data of a shape.
    pub fn of(&self, shape: &[usize]) -> Tensor {
        let (start, end) = self.range(shape.len());
        let lengths: Vec<i64> = shape[start..end].iter().map(|&n| n as i64).collect();
        Tensor::vector(&lengths)
    }

    /// The output for data of a type whose lengths in question are numbers.
    pub(crate) fn known(&self, shape: &[Dim]) -> Option<Tensor> {
        let (start, end) = self.range(shape.len());
        let lengths = shape[start..end].iter().map(|d| i64::try_from(d.known()?).ok());
        Some(Tensor::vector(&lengths.collect::<Option<Vec<_>>>()?))
    }

    fn range(&self, rank: usize) -> (usize, usize) {
        let clamp = |axis: i64| (if axis < 0 { axis + rank as i64 } else { axis }).clamp(0, rank as i64) as usize;
        let start = clamp(self.start);
        (start, self.end.map_or(rank, clamp).max(start))
    }
}

impl Operator for Shape {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let count = args.at(0)?.rank().map_or(Dim::Unknown, |rank| {
            let (start, end) = self.range(rank);
            Dim::Known(end - start)
        });
        Ok(vec![ValueType::new(DType::I64, vec![count])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![self.of(operand(inputs, 0)?.shape())])
    }
}

operator! {
    /// Input: data. Output: its number of elements, an i64 without axes.
    Size {}
}

impl Operator for Size {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        args.at(0)?;
        Ok(vec![ValueType::known(DType::I64, &[])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![Tensor::scalar(operand(inputs, 0)?.numel() as i64)])
    }
}
