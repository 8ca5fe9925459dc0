//! The macro that makes the rows of a kernel, one an instruction-set tier.

/// `tiered!(Row, "op", "types", DType, { field: function, ... })`: an array of rows in the order of
/// [`crate::Tier::ALL`], so that `rows[tier as usize]` is the row of a tier. Each function is generic over the
/// instruction set.
macro_rules! tiered {
    ($row:ident, $op:literal, $types:literal, $dtype:ident, $fields:tt) => {
        [
            tiered!(@row $row, $op, $types, $dtype, "1x4_scalar", Scalar, $fields),
            tiered!(@row $row, $op, $types, $dtype, "1x8_avx2", Avx2, $fields),
            tiered!(@row $row, $op, $types, $dtype, "1x16_avx512", Avx512, $fields),
        ]
    };
    (@row $row:ident, $op:literal, $types:literal, $dtype:ident, $tile:literal, $isa:ident,
        { $($field:ident: $function:ident),+ $(,)? }) => {
        $row {
            id: $crate::catalog::KernelId {
                name: concat!($op, "_", $types, "_", $tile),
                op: $op,
                dtype: tilewise_tensor::DType::$dtype,
                tile: [1, <$crate::$isa as $crate::Isa>::LANES],
                tier: <$crate::$isa as $crate::Isa>::TIER,
            },
            $($field: $function::<$crate::$isa>),+
        }
    };
}

pub(crate) use tiered;
