//! Cast: the same numbers as another element type.

use tilewise_tensor::{DType, Tensor, bf16, f16};

use super::support::operand;
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Floating point to integer cuts towards zero and saturates; anything but zero is true.
    Cast {
        /// The element type of the result.
        to: DType,
    }
}

impl Operator for Cast {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        Ok(vec![ValueType { dtype: self.to, shape: args.at(0)?.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![convert(operand(inputs, 0)?, self.to)?])
    }
}

/// A number of any element type on its way to another.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Int(x) => x as f64,
            Number::Float(x) => x,
        }
    }
}

/// The elements as another type, by the rules of [`Cast`].
pub(crate) fn convert(x: &Tensor, to: DType) -> Result<Tensor, OpError> {
    if x.dtype() == to {
        return Ok(x.clone());
    }
    let numbers: Vec<Number> = match x.dtype() {
        DType::F32 => x.values::<f32>()?.iter().map(|&x| Number::Float(x.into())).collect(),
        DType::F64 => x.values::<f64>()?.iter().map(|&x| Number::Float(x)).collect(),
        DType::F16 => x.values::<f16>()?.iter().map(|&x| Number::Float(x.into())).collect(),
        DType::BF16 => x.values::<bf16>()?.iter().map(|&x| Number::Float(x.into())).collect(),
        DType::I64 => x.values::<i64>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::I32 => x.values::<i32>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::I16 => x.values::<i16>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::I8 => x.values::<i8>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::U64 => x.values::<u64>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::U32 => x.values::<u32>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::U16 => x.values::<u16>()?.iter().map(|&x| Number::Int(x.into())).collect(),
        DType::U8 | DType::Bool => x.values::<u8>()?.iter().map(|&x| Number::Int(x.into())).collect(),
    };
    /// Integers wrap, as in C; numbers with a fraction saturate.
    macro_rules! integer {
        ($rust:ty) => {
            Tensor::from_slice(
                x.shape(),
                &numbers
                    .iter()
                    .map(|n| match n {
                        Number::Int(x) => *x as $rust,
                        Number::Float(x) => *x as $rust,
                    })
                    .collect::<Vec<$rust>>(),
            )
        };
    }
    Ok(match to {
        DType::F32 => Tensor::from_slice(x.shape(), &numbers.iter().map(|n| n.float() as f32).collect::<Vec<_>>()),
        DType::F64 => Tensor::from_slice(x.shape(), &numbers.iter().map(|n| n.float()).collect::<Vec<_>>()),
        DType::F16 => {
            Tensor::from_slice(x.shape(), &numbers.iter().map(|n| f16::from_f64(n.float())).collect::<Vec<_>>())
        }
        DType::BF16 => {
            Tensor::from_slice(x.shape(), &numbers.iter().map(|n| bf16::from_f64(n.float())).collect::<Vec<_>>())
        }
        DType::I64 => integer!(i64),
        DType::I32 => integer!(i32),
        DType::I16 => integer!(i16),
        DType::I8 => integer!(i8),
        DType::U64 => integer!(u64),
        DType::U32 => integer!(u32),
        DType::U16 => integer!(u16),
        DType::U8 => integer!(u8),
        DType::Bool => {
            let truth = |n: &Number| match n {
                Number::Int(x) => *x != 0,
                Number::Float(x) => *x != 0.0,
            };
            Tensor::from_bools(x.shape(), &numbers.iter().map(truth).collect::<Vec<_>>())
        }
    }?)
}
