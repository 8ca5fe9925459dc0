//! The table of operators: what each is called here, and how older forms are lifted to the newest.

use super::{Lift, attributes, chains, constants, inputs, resize};
use crate::onnx::NEWEST_OPSET;

/// One operator in a range of opsets.
pub(crate) struct Row {
    /// Its domain; empty for ONNX's own.
    pub(crate) domain: &'static str,
    /// Its name there.
    pub(crate) op: &'static str,
    /// First opset that the row holds for; the oldest that is read stands for all before it.
    pub(crate) first: i64,
    /// Last opset that the row holds for.
    pub(crate) last: i64,
    /// Most inputs. Some operators of the graph take more, which passes put there.
    pub(crate) inputs: usize,
    /// The graph's name for the operator.
    pub(crate) name: &'static str,
    /// The step to the newest form, where there is one.
    pub(crate) lift: Option<Lift>,
}

/// Number of inputs of an operator that takes as many as there are.
const MANY: usize = usize::MAX;

const fn onnx(op: &'static str, first: i64, last: i64, inputs: usize) -> Row {
    Row { domain: "", op, first, last, inputs, name: op, lift: None }
}

const fn microsoft(op: &'static str, inputs: usize) -> Row {
    Row { domain: "com.microsoft", op, first: 1, last: 1, inputs, name: op, lift: None }
}

impl Row {
    const fn named(mut self, name: &'static str) -> Row {
        self.name = name;
        self
    }

    const fn lifted(mut self, lift: Lift) -> Row {
        self.lift = Some(lift);
        self
    }
}

/// Every operator that is read: name, first and last opset, most inputs.
pub(crate) static TABLE: &[Row] = &[
    onnx("Abs", 7, NEWEST_OPSET, 1),
    onnx("Acos", 7, NEWEST_OPSET, 1),
    onnx("Acosh", 9, NEWEST_OPSET, 1),
    onnx("Add", 7, NEWEST_OPSET, 2),
    onnx("And", 7, NEWEST_OPSET, 2),
    onnx("ArgMax", 7, NEWEST_OPSET, 1),
    onnx("ArgMin", 7, NEWEST_OPSET, 1),
    onnx("Asin", 7, NEWEST_OPSET, 1),
    onnx("Asinh", 9, NEWEST_OPSET, 1),
    onnx("Atan", 7, NEWEST_OPSET, 1),
    onnx("Atanh", 9, NEWEST_OPSET, 1),
    onnx("AveragePool", 7, NEWEST_OPSET, 1),
    onnx("BatchNormalization", 7, NEWEST_OPSET, 5).lifted(attributes::batch_norm),
    onnx("Cast", 7, NEWEST_OPSET, 1).lifted(attributes::dtypes),
    onnx("CastLike", 15, NEWEST_OPSET, 2).named("Cast").lifted(attributes::cast_like),
    onnx("Ceil", 7, NEWEST_OPSET, 1),
    onnx("Celu", 12, NEWEST_OPSET, 1),
    onnx("Clip", 7, NEWEST_OPSET, 3).named("Clamp").lifted(inputs::clip),
    onnx("Compress", 9, NEWEST_OPSET, 2),
    onnx("Concat", 7, NEWEST_OPSET, MANY),
    onnx("Constant", 7, NEWEST_OPSET, 0).lifted(constants::constant),
    onnx("ConstantOfShape", 9, NEWEST_OPSET, 1).lifted(constants::constant_of_shape),
    onnx("Conv", 7, NEWEST_OPSET, 3),
    onnx("ConvInteger", 10, NEWEST_OPSET, 4),
    onnx("ConvTranspose", 7, NEWEST_OPSET, 3),
    onnx("Cos", 7, NEWEST_OPSET, 1),
    onnx("Cosh", 9, NEWEST_OPSET, 1),
    onnx("CumSum", 11, NEWEST_OPSET, 2),
    onnx("DepthToSpace", 7, NEWEST_OPSET, 1),
    onnx("DequantizeLinear", 10, NEWEST_OPSET, 3).lifted(attributes::dtypes),
    onnx("Div", 7, NEWEST_OPSET, 2),
    onnx("Dropout", 7, NEWEST_OPSET, 3).lifted(constants::dropout),
    onnx("DynamicQuantizeLinear", 11, NEWEST_OPSET, 1),
    onnx("Elu", 7, NEWEST_OPSET, 1),
    onnx("Equal", 7, NEWEST_OPSET, 2),
    onnx("Erf", 9, NEWEST_OPSET, 1),
    onnx("Exp", 7, NEWEST_OPSET, 1),
    onnx("Expand", 8, NEWEST_OPSET, 2),
    onnx("EyeLike", 9, NEWEST_OPSET, 1).lifted(attributes::dtypes),
    onnx("Flatten", 7, NEWEST_OPSET, 1),
    onnx("Floor", 7, NEWEST_OPSET, 1),
    onnx("Gather", 7, NEWEST_OPSET, 2),
    onnx("GatherElements", 11, NEWEST_OPSET, 2),
    onnx("GatherND", 11, NEWEST_OPSET, 2),
    onnx("Gelu", 20, NEWEST_OPSET, 1).lifted(attributes::gelu),
    onnx("Gemm", 7, NEWEST_OPSET, 3),
    onnx("GlobalAveragePool", 7, NEWEST_OPSET, 1),
    onnx("GlobalLpPool", 7, NEWEST_OPSET, 1),
    onnx("GlobalMaxPool", 7, NEWEST_OPSET, 1),
    onnx("Greater", 7, NEWEST_OPSET, 2),
    onnx("GreaterOrEqual", 12, NEWEST_OPSET, 2),
    onnx("GridSample", 16, 19, 2).lifted(attributes::sample_mode),
    onnx("GridSample", 20, NEWEST_OPSET, 2),
    onnx("GroupNormalization", 18, 20, 3).lifted(chains::group_norm),
    onnx("GroupNormalization", 21, NEWEST_OPSET, 3),
    onnx("HardSigmoid", 7, NEWEST_OPSET, 1),
    onnx("HardSwish", 14, NEWEST_OPSET, 1),
    onnx("Hardmax", 7, 12, 1).lifted(attributes::flattened),
    onnx("Hardmax", 13, NEWEST_OPSET, 1),
    onnx("Identity", 7, NEWEST_OPSET, 1).lifted(constants::identity),
    onnx("InstanceNormalization", 7, NEWEST_OPSET, 3),
    onnx("IsInf", 10, NEWEST_OPSET, 1),
    onnx("IsNaN", 9, NEWEST_OPSET, 1),
    onnx("LRN", 7, NEWEST_OPSET, 1),
    onnx("LayerNormalization", 17, NEWEST_OPSET, 3),
    onnx("LeakyRelu", 7, NEWEST_OPSET, 1),
    onnx("Less", 7, NEWEST_OPSET, 2),
    onnx("LessOrEqual", 12, NEWEST_OPSET, 2),
    onnx("Log", 7, NEWEST_OPSET, 1),
    onnx("LogSoftmax", 7, 12, 1).lifted(attributes::flattened),
    onnx("LogSoftmax", 13, NEWEST_OPSET, 1),
    onnx("LpNormalization", 7, NEWEST_OPSET, 1),
    onnx("LpPool", 7, NEWEST_OPSET, 1),
    onnx("MatMul", 7, NEWEST_OPSET, 2),
    onnx("MatMulInteger", 10, NEWEST_OPSET, 4),
    onnx("Max", 7, NEWEST_OPSET, MANY).lifted(chains::variadic),
    onnx("MaxPool", 7, NEWEST_OPSET, 1),
    onnx("Mean", 7, NEWEST_OPSET, MANY).named("Div").lifted(chains::mean),
    onnx("MeanVarianceNormalization", 9, NEWEST_OPSET, 1),
    onnx("Min", 7, NEWEST_OPSET, MANY).lifted(chains::variadic),
    onnx("Mish", 18, NEWEST_OPSET, 1),
    onnx("Mod", 10, NEWEST_OPSET, 2).lifted(attributes::modulo),
    onnx("Mul", 7, NEWEST_OPSET, 2),
    onnx("Neg", 7, NEWEST_OPSET, 1),
    onnx("NonMaxSuppression", 10, NEWEST_OPSET, 5),
    onnx("NonZero", 9, NEWEST_OPSET, 1),
    onnx("Not", 7, NEWEST_OPSET, 1),
    onnx("OneHot", 9, NEWEST_OPSET, 3),
    onnx("Or", 7, NEWEST_OPSET, 2),
    onnx("PRelu", 7, NEWEST_OPSET, 2),
    onnx("Pad", 7, NEWEST_OPSET, 4).lifted(inputs::pad),
    onnx("Pow", 7, NEWEST_OPSET, 2),
    onnx("QLinearConv", 10, NEWEST_OPSET, 9),
    onnx("QLinearMatMul", 10, NEWEST_OPSET, 8),
    onnx("QuantizeLinear", 10, NEWEST_OPSET, 3).lifted(attributes::dtypes),
    onnx("RMSNormalization", 23, NEWEST_OPSET, 2),
    onnx("Range", 11, NEWEST_OPSET, 3),
    onnx("Reciprocal", 7, NEWEST_OPSET, 1),
    onnx("ReduceL1", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceL2", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceLogSum", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceLogSumExp", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceMax", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceMean", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceMin", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceProd", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceSum", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("ReduceSumSquare", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("Relu", 7, NEWEST_OPSET, 1),
    onnx("Reshape", 7, NEWEST_OPSET, 2).lifted(inputs::shape),
    onnx("Resize", 10, 10, 2).lifted(resize::scales_input),
    onnx("Resize", 11, NEWEST_OPSET, 4).lifted(inputs::resize),
    onnx("ReverseSequence", 10, NEWEST_OPSET, 2),
    onnx("RoiAlign", 10, NEWEST_OPSET, 3),
    onnx("Round", 11, NEWEST_OPSET, 1),
    onnx("Scatter", 9, 10, 3).named("ScatterElements"),
    onnx("ScatterElements", 11, NEWEST_OPSET, 3),
    onnx("ScatterND", 11, NEWEST_OPSET, 3),
    onnx("Selu", 7, NEWEST_OPSET, 1),
    onnx("Shape", 7, NEWEST_OPSET, 1),
    onnx("Shrink", 9, NEWEST_OPSET, 1),
    onnx("Sigmoid", 7, NEWEST_OPSET, 1),
    onnx("Sign", 9, NEWEST_OPSET, 1),
    onnx("Sin", 7, NEWEST_OPSET, 1),
    onnx("Sinh", 9, NEWEST_OPSET, 1),
    onnx("Size", 7, NEWEST_OPSET, 1),
    onnx("Slice", 7, NEWEST_OPSET, 5).lifted(inputs::slice),
    onnx("Softmax", 7, 12, 1).lifted(attributes::flattened),
    onnx("Softmax", 13, NEWEST_OPSET, 1),
    onnx("Softplus", 7, NEWEST_OPSET, 1),
    onnx("Softsign", 7, NEWEST_OPSET, 1),
    onnx("SpaceToDepth", 7, NEWEST_OPSET, 1),
    onnx("Split", 7, NEWEST_OPSET, 2).lifted(inputs::split),
    onnx("Sqrt", 7, NEWEST_OPSET, 1),
    onnx("Squeeze", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("Sub", 7, NEWEST_OPSET, 2),
    onnx("Sum", 7, NEWEST_OPSET, MANY).named("Add").lifted(chains::variadic),
    onnx("Swish", 24, NEWEST_OPSET, 1),
    onnx("Tan", 7, NEWEST_OPSET, 1),
    onnx("Tanh", 7, NEWEST_OPSET, 1),
    onnx("ThresholdedRelu", 10, NEWEST_OPSET, 1),
    onnx("Tile", 7, NEWEST_OPSET, 2),
    onnx("TopK", 7, NEWEST_OPSET, 2).lifted(inputs::topk),
    onnx("Transpose", 7, NEWEST_OPSET, 1),
    onnx("Trilu", 14, NEWEST_OPSET, 2),
    onnx("Unsqueeze", 7, NEWEST_OPSET, 2).lifted(inputs::axes),
    onnx("Upsample", 7, 8, 1).named("Resize").lifted(resize::scales_attribute),
    onnx("Upsample", 9, 9, 2).named("Resize").lifted(resize::scales_input),
    onnx("Where", 9, NEWEST_OPSET, 3),
    onnx("Xor", 7, NEWEST_OPSET, 2),
    microsoft("BiasGelu", 2).named("Gelu").lifted(chains::bias_first),
    microsoft("DequantizeLinear", 3),
    microsoft("FastGelu", 2).named("GeluTanh").lifted(chains::bias_first),
    microsoft("FusedConv", 4).named("Conv").lifted(attributes::fused_conv),
    microsoft("Gelu", 1),
    microsoft("QLinearAdd", 8),
    microsoft("QLinearConcat", MANY),
    microsoft("QLinearGlobalAveragePool", 5),
    microsoft("QLinearLeakyRelu", 5),
    microsoft("QLinearMul", 8),
    microsoft("QLinearSigmoid", 5),
    microsoft("QuantizeLinear", 3),
    microsoft("QuickGelu", 1).named("Swish").lifted(attributes::quick_gelu),
];
