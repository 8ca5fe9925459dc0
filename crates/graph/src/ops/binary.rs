//! Arithmetic of two operands with NumPy broadcasting.

use tilewise_tensor::{DType, Element, Tensor, broadcast};

use super::support::{broadcast_positions, broadcast_type, floats, from_floats, operand};
use super::{Args, Operator};
use crate::attr::{Attr, AttrMap, Attributes};
use crate::{OpError, ValueType};

macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident: |$x:ident, $y:ident| $float:expr, $int:expr;)*) => {
        /// A function of two numbers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum BinaryFn { $($(#[$meta])* $name),* }

        impl BinaryFn {
            /// Every function.
            pub const ALL: &'static [BinaryFn] = &[$(BinaryFn::$name),*];

            /// The function's name.
            pub const fn name(self) -> &'static str {
                match self { $(BinaryFn::$name => stringify!($name)),* }
            }

            /// The value in f64.
            pub fn at(self, x: f64, y: f64) -> f64 {
                match self { $(BinaryFn::$name => { let ($x, $y) = (x, y); $float })* }
            }

            /// The value in wrapping integers; `None` where there is none (division by zero).
            fn at_ints(self, x: i128, y: i128) -> Option<i128> {
                match self { $(BinaryFn::$name => { let ($x, $y) = (x, y); $int })* }
            }
        }

        impl Attributes for Binary {
            const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            fn name(&self) -> &'static str {
                self.0.name()
            }

            fn read(name: &str, _: &mut AttrMap) -> Result<Self, OpError> {
                let function = BinaryFn::ALL.iter().find(|f| f.name() == name);
                function.copied().map(Binary).ok_or_else(|| OpError::unsupported(format!("the function {name}")))
            }

            fn write(&self) -> Vec<(&'static str, Attr)> {
                Vec::new()
            }
        }
    };
}

functions! {
    /// x + y
    Add: |x, y| x + y, Some(x + y);
    /// x - y
    Sub: |x, y| x - y, Some(x - y);
    /// x y
    Mul: |x, y| x * y, Some(x * y);
    /// x / y; integers are cut towards zero
    Div: |x, y| x / y, x.checked_div(y);
    /// x to the power of y
    Pow: |x, y| x.powf(y), Some((x as f64).powf(y as f64) as i128);
    /// The smaller; NaN where one is NaN
    Min: |x, y| if x.is_nan() || x < y { x } else { y }, Some(x.min(y));
    /// The larger; NaN where one is NaN
    Max: |x, y| if x.is_nan() || x > y { x } else { y }, Some(x.max(y));
    /// Remainder with the sign of y
    Mod: |x, y| { let r = x % y; if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r } },
        (y != 0).then(|| { let r = x % y; if r != 0 && (r < 0) != (y < 0) { r + y } else { r } });
    /// Remainder with the sign of x
    FMod: |x, y| x % y, x.checked_rem(y);
    /// x, or x times the slope y below zero
    PRelu: |x, y| if x < 0.0 { x * y } else { x }, Some(if x < 0 { x * y } else { x });
}

/// `f(x, y)`, element by element after broadcasting; both operands hold the same element type, but for the exponent
/// of `Pow`, which may differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binary(
    /// The function.
    pub BinaryFn,
);

impl Operator for Binary {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, y) = (args.at(0)?, args.at(1)?);
        if x.dtype() == DType::Bool || (x.dtype() != y.dtype() && self.0 != BinaryFn::Pow) {
            return Err(OpError::invalid(format!("no {} of {} and {}", self.0.name(), x.dtype(), y.dtype())));
        }
        Ok(vec![broadcast_type(&x, &y, x.dtype())?])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (x, y) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let shape = broadcast(x.shape(), y.shape())
            .ok_or_else(|| OpError::invalid(format!("{:?} and {:?} do not broadcast", x.shape(), y.shape())))?;
        let pairs = broadcast_positions(x.shape(), &shape).zip(broadcast_positions(y.shape(), &shape));
        let y = &if y.dtype() == x.dtype() { y.clone() } else { super::cast::convert(y, x.dtype())? };
        macro_rules! integers {
            ($($variant:ident: $rust:ty),*) => {
                match x.dtype() {
                    $(DType::$variant => self.integers::<$rust>(x, y, &shape, pairs, |v| v as $rust),)*
                    DType::F64 => {
                        let (a, b) = (x.values::<f64>()?, y.values::<f64>()?);
                        let out: Vec<f64> = pairs.map(|(i, j)| self.0.at(a[i], b[j])).collect();
                        Ok(vec![Tensor::from_slice(&shape, &out)?])
                    }
                    DType::F32 | DType::F16 | DType::BF16 | DType::Bool => {
                        let (a, b) = (floats(x)?, floats(y)?);
                        let out = pairs.map(|(i, j)| self.0.at(a[i].into(), b[j].into()) as f32).collect();
                        Ok(vec![from_floats(x.dtype(), &shape, out)?])
                    }
                }
            };
        }
        integers!(I64: i64, I32: i32, I16: i16, I8: i8, U64: u64, U32: u32, U16: u16, U8: u8)
    }
}

impl Binary {
    fn integers<T: Element + Into<i128>>(
        self,
        x: &Tensor,
        y: &Tensor,
        shape: &[usize],
        pairs: impl Iterator<Item = (usize, usize)>,
        wrap: impl Fn(i128) -> T,
    ) -> Result<Vec<Tensor>, OpError> {
        let (a, b) = (x.values::<T>()?, y.values::<T>()?);
        let out: Option<Vec<T>> = pairs.map(|(i, j)| Some(wrap(self.0.at_ints(a[i].into(), b[j].into())?))).collect();
        let out = out.ok_or_else(|| OpError::invalid("integer division by zero"))?;
        Ok(vec![Tensor::from_slice(shape, &out)?])
    }
}
