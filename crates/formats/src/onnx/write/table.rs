//! The table of operators: what each is called in ONNX, from which opset on, and how its form differs.

use tilewise_tensor::DType::{self, BF16, Bool, F16, F64, I16, U16};

use super::form::Lower;
use super::{attributes, chains};

/// The opset of a file whose operators need no newer one.
pub(super) const OPSET: i64 = 17;

/// One operator.
pub(super) struct Row {
    /// The graph's name for the operator.
    pub(super) name: &'static str,
    /// Its domain; empty for ONNX's own.
    pub(super) domain: &'static str,
    /// Its name there.
    pub(super) op: &'static str,
    /// First opset from [`OPSET`] on that has it in the graph's meaning.
    pub(super) first: i64,
    /// Element types that only a newer opset takes.
    pub(super) types: &'static [(i64, &'static [DType])],
    /// The step to ONNX's form, where that is not the graph's.
    pub(super) lower: Option<Lower>,
}

/// IR version of an opset, by the first opset that came with it (ONNX's `docs/Versioning.md`).
const IR_VERSIONS: &[(i64, i64)] = &[(28, 14), (25, 13), (24, 12), (23, 11), (21, 10), (19, 9), (OPSET, 8)];

/// The IR version of a file of an opset.
pub(super) fn ir_version(opset: i64) -> i64 {
    IR_VERSIONS.iter().find(|(first, _)| opset >= *first).map_or(8, |(_, version)| *version)
}

/// The row of an operator of the graph.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

const fn onnx(op: &'static str) -> Row {
    Row { name: op, domain: "", op, first: OPSET, types: &[], lower: None }
}

const fn microsoft(op: &'static str) -> Row {
    Row { domain: "com.microsoft", ..onnx(op) }
}

impl Row {
    const fn named(mut self, name: &'static str) -> Row {
        self.name = name;
        self
    }

    const fn from(mut self, first: i64) -> Row {
        self.first = first;
        self
    }

    const fn types(mut self, types: &'static [(i64, &'static [DType])]) -> Row {
        self.types = types;
        self
    }

    const fn lowered(mut self, lower: Lower) -> Row {
        self.lower = Some(lower);
        self
    }
}

/// bf16 came to the operators that ONNX had without it in opset 22, and in a few others.
const BF16_20: &[(i64, &[DType])] = &[(20, &[BF16])];
const BF16_22: &[(i64, &[DType])] = &[(22, &[BF16])];
const BF16_24: &[(i64, &[DType])] = &[(24, &[BF16])];
const BF16_28: &[(i64, &[DType])] = &[(28, &[BF16])];
const BOOL_20: &[(i64, &[DType])] = &[(20, &[Bool])];
const HALVES_20: &[(i64, &[DType])] = &[(20, &[F16, BF16])];
const HALVES_21: &[(i64, &[DType])] = &[(21, &[F16, BF16])];
const HALVES_27: &[(i64, &[DType])] = &[(27, &[F16, BF16])];
const ALL_28: &[(i64, &[DType])] = &[(28, &[F16, BF16, F64])];
const LEVELS: &[(i64, &[DType])] = &[(19, &[F16, BF16]), (21, &[I16, U16])];

/// Every operator of the graph.
pub(super) static TABLE: &[Row] = &[
    onnx("Abs"),
    onnx("Acos").types(BF16_22),
    onnx("Acosh").types(BF16_22),
    onnx("Add"),
    onnx("And"),
    onnx("ArgMax"),
    onnx("ArgMin"),
    onnx("Asin").types(BF16_22),
    onnx("Asinh").types(BF16_22),
    onnx("Atan").types(BF16_22),
    onnx("Atanh").types(BF16_22),
    onnx("AveragePool").types(BF16_22).lowered(attributes::average_pool),
    onnx("BatchNormalization"),
    onnx("Cast").lowered(attributes::dtypes),
    onnx("Ceil"),
    onnx("Celu").types(ALL_28),
    onnx("Clip").named("Clamp"),
    onnx("Clip").lowered(attributes::clip),
    onnx("Compress").types(BF16_28),
    onnx("Concat"),
    onnx("ConstantOfShape").types(BF16_20).lowered(attributes::constant_of_shape),
    onnx("Conv").types(BF16_22).lowered(chains::convolution),
    onnx("ConvInteger"),
    onnx("ConvTranspose").types(BF16_22).lowered(chains::convolution),
    onnx("Cos").types(BF16_22),
    onnx("Cosh").types(BF16_22),
    onnx("CumSum"),
    onnx("DepthToSpace"),
    onnx("DequantizeLinear").types(LEVELS).lowered(attributes::dequantize),
    onnx("Div"),
    onnx("Dropout"),
    onnx("DynamicQuantizeLinear"),
    onnx("Elu").types(BF16_22),
    onnx("Equal"),
    onnx("Erf"),
    onnx("Exp"),
    onnx("Expand"),
    onnx("EyeLike").types(BF16_22).lowered(attributes::dtypes),
    onnx("Mod").named("FMod").lowered(attributes::fmod),
    onnx("Flatten"),
    onnx("Floor"),
    onnx("Gather"),
    onnx("GatherElements"),
    onnx("GatherND"),
    onnx("Gelu").from(20),
    onnx("Gelu").named("GeluTanh").from(20).lowered(attributes::gelu_tanh),
    onnx("Gemm").lowered(chains::convolution),
    onnx("GlobalAveragePool").types(BF16_22),
    onnx("GlobalLpPool").types(BF16_22),
    onnx("GlobalMaxPool").types(BF16_22),
    onnx("Greater"),
    onnx("GreaterOrEqual"),
    onnx("GridSample").types(BF16_22).lowered(attributes::grid_sample),
    onnx("GroupNormalization").from(21),
    onnx("HardSigmoid").types(BF16_22),
    onnx("HardSwish").types(BF16_22),
    onnx("Hardmax").lowered(chains::flattened),
    onnx("Identity"),
    onnx("InstanceNormalization").types(BF16_22),
    onnx("IsInf").types(HALVES_20),
    onnx("IsNaN"),
    onnx("LRN"),
    onnx("LayerNormalization"),
    onnx("LeakyRelu"),
    onnx("Less"),
    onnx("LessOrEqual"),
    onnx("Log"),
    onnx("LogSoftmax").lowered(chains::flattened),
    onnx("LpNormalization").types(BF16_22),
    onnx("LpPool").types(BF16_22).lowered(attributes::lp_pool),
    onnx("MatMul").lowered(chains::matmul),
    onnx("MatMulInteger"),
    onnx("Max"),
    onnx("MaxPool").types(BF16_22),
    onnx("MeanVarianceNormalization"),
    onnx("Min"),
    onnx("Mish").from(18).types(BF16_22),
    onnx("Mod").lowered(attributes::modulo),
    onnx("Mul"),
    onnx("Neg"),
    onnx("NonMaxSuppression"),
    onnx("NonZero"),
    onnx("Not"),
    onnx("OneHot").types(BF16_28),
    onnx("Or"),
    onnx("PRelu"),
    onnx("Pad").lowered(attributes::pad),
    onnx("Pow"),
    microsoft("QLinearAdd"),
    microsoft("QLinearConcat"),
    onnx("QLinearConv"),
    microsoft("QLinearGlobalAveragePool"),
    microsoft("QLinearLeakyRelu"),
    onnx("QLinearMatMul").types(HALVES_21),
    microsoft("QLinearMul"),
    microsoft("QLinearSigmoid"),
    onnx("QuantizeLinear").types(LEVELS).lowered(attributes::quantize),
    onnx("RMSNormalization").from(23),
    onnx("Range").types(HALVES_27),
    onnx("Reciprocal"),
    onnx("ReduceL1").lowered(attributes::reduce),
    onnx("ReduceL2").lowered(attributes::reduce),
    onnx("ReduceLogSum").lowered(attributes::reduce),
    onnx("ReduceLogSumExp").lowered(attributes::reduce),
    onnx("ReduceMax").types(BOOL_20).lowered(attributes::reduce),
    onnx("ReduceMean").lowered(attributes::reduce),
    onnx("ReduceMin").types(BOOL_20).lowered(attributes::reduce),
    onnx("ReduceProd").lowered(attributes::reduce),
    onnx("ReduceSum"),
    onnx("ReduceSumSquare").lowered(attributes::reduce),
    onnx("Relu"),
    onnx("Reshape"),
    onnx("Resize").lowered(attributes::resize),
    onnx("ReverseSequence").types(BF16_28),
    onnx("RoiAlign").types(BF16_22),
    onnx("Round").types(BF16_22),
    onnx("ScatterElements").lowered(attributes::scatter),
    onnx("ScatterND").lowered(attributes::scatter),
    onnx("Selu").types(BF16_22),
    onnx("Shape"),
    onnx("Shrink"),
    onnx("Sigmoid"),
    onnx("Sign"),
    onnx("Sin").types(BF16_22),
    onnx("Sinh").types(BF16_22),
    onnx("Size"),
    onnx("Slice"),
    onnx("Softmax").lowered(chains::flattened),
    onnx("Softplus").types(BF16_22),
    onnx("Softsign").types(BF16_22),
    onnx("SpaceToDepth"),
    onnx("Split").lowered(attributes::split),
    onnx("Sqrt"),
    onnx("Squeeze"),
    onnx("Sub"),
    onnx("Swish").from(24),
    onnx("Tan").types(BF16_22),
    onnx("Tanh"),
    onnx("ThresholdedRelu").types(BF16_22),
    onnx("Tile"),
    onnx("TopK").types(BF16_24),
    onnx("Transpose"),
    onnx("Trilu"),
    onnx("Unsqueeze"),
    onnx("Where"),
    onnx("Xor"),
];

#[cfg(test)]
mod tests {
    use tilewise_graph::Op;

    use super::*;
    use crate::onnx::upgrade;

    #[test]
    fn every_operator_has_one_row_that_the_reader_has_too() {
        let mut names: Vec<&str> = Op::NAMES.iter().flat_map(|names| names.iter().copied()).collect();
        let mut rows: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        names.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, names);
        for Row { name, domain, op, first, types, .. } in TABLE {
            let version = if domain.is_empty() { *first } else { 1 };
            assert!(upgrade::find(domain, op, version).is_ok(), "{name}");
            assert!(types.iter().all(|(opset, _)| *opset > OPSET), "{name}");
        }
    }
}
