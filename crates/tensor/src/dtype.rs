//! Element types: the closed list of what a tensor can hold.

use std::fmt;
use std::str::FromStr;

/// Calls `$callback!` with one row `(Variant, rust type, "name")` for every element type except `Bool`.
///
/// The one list of element types; dispatch macros are built on it.
#[macro_export]
macro_rules! for_each_dtype {
    ($callback:ident) => {
        $callback! {
            (F32, f32, "f32"), (F64, f64, "f64"), (F16, $crate::f16, "f16"), (BF16, $crate::bf16, "bf16"),
            (I64, i64, "i64"), (I32, i32, "i32"), (I16, i16, "i16"), (I8, i8, "i8"),
            (U64, u64, "u64"), (U32, u32, "u32"), (U16, u16, "u16"), (U8, u8, "u8")
        }
    };
}

macro_rules! define {
    ($(($variant:ident, $rust:ty, $name:literal)),*) => {
        /// The type of one tensor element. `Bool` is stored as one byte, 0 or 1.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the variants are named as the types they stand for")]
        pub enum DType { $($variant,)* Bool }

        impl DType {
            /// Every element type, in a fixed order.
            pub const ALL: &[DType] = &[$(DType::$variant,)* DType::Bool];

            /// Bytes of one element.
            pub const fn size(self) -> usize {
                match self { $(DType::$variant => size_of::<$rust>(),)* DType::Bool => 1 }
            }

            /// The short name used in texts and tables, such as `f32`.
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $name,)* DType::Bool => "bool" }
            }
        }

        $(impl Element for $rust { const DTYPE: DType = DType::$variant; })*
    };
}

/// A Rust type that is the in-memory form of a [`DType`].
///
/// `Bool` tensors are read and written as `u8`: see [`crate::Tensor::values`].
pub trait Element: bytemuck::Pod + PartialOrd + fmt::Debug + Send + Sync + 'static {
    /// The element type this Rust type stores.
    const DTYPE: DType;
}

for_each_dtype!(define);

impl DType {
    /// True for f16, bf16, f32 and f64.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no element type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no element type")]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DType::ALL.iter().copied().find(|d| d.name() == text).ok_or_else(|| UnknownDType(text.to_owned()))
    }
}
