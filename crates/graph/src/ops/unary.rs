//! Operators that apply one function to each element.

use tilewise_tensor::{DType, Tensor, Unary as Function};

use super::support::{floats, from_floats, operand};
use super::{Args, Operator};
use crate::attr::{Attr, AttrField, AttrMap, Attributes};
use crate::{OpError, ValueType};

/// `y = f(x)`, element by element, on floating-point elements; `Abs`, `Neg` and `Relu` also on signed integers,
/// `Identity` on all.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unary(
    /// The function.
    pub Function,
);

impl Attributes for Unary {
    const NAMES: &'static [&'static str] = Function::NAMES;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read(name: &str, attrs: &mut AttrMap) -> Result<Self, OpError> {
        let function = Function::build(name, |parameter| attrs.take(parameter))?;
        function.map(Unary).ok_or_else(|| OpError::unsupported(format!("the function {name}")))
    }

    fn write(&self) -> Vec<(&'static str, Attr)> {
        let changed = self.0.parameters().into_iter().filter(|(_, value, default)| value != default);
        changed.map(|(name, value, _)| (name, Attr::Float(value))).collect()
    }
}

/// An activation inside another operator: `Relu`, `Clip(0.0,6.0)`.
impl AttrField for Function {
    const EXPECTED: &'static str = "a function such as Relu or Clip(0.0,6.0)";

    fn from_attr(attr: Attr) -> Option<Self> {
        String::from_attr(attr)?.parse().ok()
    }

    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Str(self.to_string()))
    }
}

impl Operator for Unary {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        let integral = matches!(self.0, Function::Abs | Function::Neg | Function::Relu);
        let fits = x.dtype().is_float() || (integral && is_signed(x.dtype())) || self.0 == Function::Identity;
        if !fits {
            return Err(OpError::invalid(format!("expected floating-point elements, got {}", x.dtype())));
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let x = operand(inputs, 0)?;
        Ok(vec![apply(self.0, x)?])
    }
}

/// `f` of each element, computed in f64 (f16, bf16 and f32 by way of f32) and rounded to the element type.
pub(crate) fn apply(f: Function, x: &Tensor) -> Result<Tensor, OpError> {
    if f == Function::Identity {
        return Ok(x.clone());
    }
    macro_rules! integers {
        ($($variant:ident: $rust:ty),*) => {
            match x.dtype() {
                $(DType::$variant => {
                    let y: Vec<$rust> = x.values::<$rust>()?.iter().map(|&x| integer(f, x.into()) as $rust).collect();
                    Ok(Tensor::from_slice(x.shape(), &y)?)
                })*
                DType::F64 => {
                    let y: Vec<f64> = x.values::<f64>()?.iter().map(|&x| f.at(x)).collect();
                    Ok(Tensor::from_slice(x.shape(), &y)?)
                }
                DType::F32 | DType::F16 | DType::BF16 | DType::U64 | DType::U32 | DType::U16 | DType::U8
                | DType::Bool => {
                    let y = floats(x)?.iter().map(|&x| f.at(x.into()) as f32).collect();
                    from_floats(x.dtype(), x.shape(), y)
                }
            }
        };
    }
    integers!(I64: i64, I32: i32, I16: i16, I8: i8)
}

fn integer(f: Function, x: i64) -> i64 {
    if f == Function::Abs {
        x.wrapping_abs()
    } else if f == Function::Neg {
        x.wrapping_neg()
    } else if f == Function::Relu {
        x.max(0)
    } else {
        x
    }
}

fn is_signed(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::I16 | DType::I8)
}
