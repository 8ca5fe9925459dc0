//! Operators: a closed list, one file an operator or family of operators that differ in a formula only.
//!
//! A file holds the attributes (`operator!`), the shape rule and the reference evaluation. To add an operator, write
//! its file, add its row to `operators!` below, and name it in the importer's table.

mod arg_reduce;
mod axes;
mod batch_norm;
mod binary;
mod cast;
mod clamp;
mod classify;
mod compare;
mod concat;
mod conv;
mod conv_transpose;
mod cum_sum;
mod depth_space;
mod dropout;
mod expand;
mod gather;
mod gemm;
mod global_pool;
mod grid_sample;
mod group_norm;
mod interpolation;
mod layer_norm;
mod line_norm;
mod logic;
mod lrn;
mod matmul;
mod matrix;
mod movement;
mod non_max_suppression;
mod nonzero;
mod numeric;
mod one_hot;
mod pad;
mod pool;
mod qlinear;
mod qlinear_elementwise;
mod quantize;
mod range;
mod reduce;
mod reshape;
mod resize;
mod reverse_sequence;
mod roi_align;
mod scatter;
mod select;
mod shape;
mod slice;
mod softmax;
mod spatial;
mod support;
#[cfg(test)]
mod testing;
mod threshold;
mod topk;
mod transpose;
mod trig;
mod unary;

use tilewise_tensor::{DType, Tensor};

use crate::attr::{Attr, AttrMap, Attributes};
use crate::{Dim, OpError, ValueType};

pub(crate) use support::resolve_axis;

pub use arg_reduce::{ArgMax, ArgMin};
pub use axes::{Flatten, Squeeze, Unsqueeze};
pub use batch_norm::BatchNormalization;
pub use binary::{Binary, BinaryFn};
pub use cast::Cast;
pub(crate) use cast::convert;
pub use clamp::Clamp;
pub use classify::{IsInf, IsNaN, Sign};
pub use compare::{Compare, CompareFn};
pub use concat::{Concat, Split};
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use cum_sum::CumSum;
pub use depth_space::{DepthMode, DepthToSpace, SpaceToDepth};
pub use dropout::Dropout;
pub use expand::{ConstantOfShape, Expand, Tile};
pub use gather::{Gather, GatherElements, GatherND};
pub use gemm::Gemm;
pub use global_pool::{GlobalAveragePool, GlobalLpPool, GlobalMaxPool};
pub use grid_sample::{GridPadding, GridSample};
pub use group_norm::{GroupNormalization, InstanceNormalization};
pub use interpolation::Interpolation;
pub use layer_norm::{LayerNormalization, RMSNormalization};
pub use line_norm::{LpNormalization, MeanVarianceNormalization};
pub use logic::{Logic, LogicFn, Not};
pub use lrn::LRN;
pub use matmul::MatMul;
pub use matrix::{EyeLike, Trilu};
pub use non_max_suppression::NonMaxSuppression;
pub use nonzero::{Compress, NonZero};
pub use one_hot::OneHot;
pub use pad::{Pad, PadMode};
pub use pool::{AveragePool, LpPool, MaxPool};
pub use qlinear::{ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul};
pub use qlinear_elementwise::{
    QLinearAdd, QLinearConcat, QLinearGlobalAveragePool, QLinearLeakyRelu, QLinearMul, QLinearSigmoid,
};
pub use quantize::{DequantizeLinear, DynamicQuantizeLinear, QuantizeLinear};
pub use range::Range;
pub use reduce::{Reduce, ReduceFn};
pub use reshape::Reshape;
pub use resize::{AspectRatio, CoordinateMode, NearestMode, Resize, ResizeAxis};
pub use reverse_sequence::ReverseSequence;
pub use roi_align::{RoiAlign, RoiCoordinates, RoiMode};
pub use scatter::{Reduction, ScatterElements, ScatterND};
pub use select::Where;
pub use shape::{Shape, Size};
pub use slice::Slice;
pub use softmax::{Hardmax, LogSoftmax, Softmax};
pub use spatial::{AutoPad, Window};
pub(crate) use support::ints;
pub use threshold::{Celu, Shrink, ThresholdedRelu};
pub use topk::TopK;
pub use transpose::Transpose;
pub use trig::{Trig, TrigFn};
pub use unary::Unary;

/// What a shape rule sees of one input.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a> {
    /// Its type, as far as known.
    pub ty: &'a ValueType,
    /// Its value, where it is known before any run.
    pub value: Option<&'a Tensor>,
}

impl<'a> Arg<'a> {
    /// The element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The shape, where the number of axes is known.
    pub fn shape(&self) -> Option<&'a [Dim]> {
        self.ty.shape.as_deref()
    }

    /// The number of axes.
    pub fn rank(&self) -> Option<usize> {
        self.ty.rank()
    }

    /// The value as integers, where it is known.
    ///
    /// # Errors
    /// [`OpError::Tensor`] when it holds no i64 or i32.
    pub fn ints(&self) -> Result<Option<Vec<i64>>, OpError> {
        self.value.map(support::ints).transpose()
    }
}

/// What a shape rule sees: the inputs, `None` where an optional one is not given.
pub struct Args<'a>(&'a [Option<Arg<'a>>]);

impl<'a> Args<'a> {
    /// The inputs of one node.
    pub fn new(inputs: &'a [Option<Arg<'a>>]) -> Self {
        Args(inputs)
    }

    /// How many inputs are written, given or not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no input.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Input number `index`, from 0.
    pub fn get(&self, index: usize) -> Option<Arg<'a>> {
        self.0.get(index).copied().flatten()
    }

    /// Input number `index`, from 0.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when it is not given.
    pub fn at(&self, index: usize) -> Result<Arg<'a>, OpError> {
        self.get(index).ok_or_else(|| OpError::invalid(format!("input {index} is missing")))
    }
}

/// What every operator says of itself.
pub trait Operator: Attributes {
    /// The types of the outputs. Lengths that the inputs do not fix are unknown; inputs that break the definition
    /// are an error.
    ///
    /// # Errors
    /// [`OpError::Invalid`] or [`OpError::Unsupported`].
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError>;

    /// Computes the outputs in naive code: the oracle of every kernel and pass.
    ///
    /// # Errors
    /// [`OpError::Invalid`] or [`OpError::Unsupported`].
    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError>;

    /// Multiply-adds of convolutions and matrix products; 0 for all others, and where a length is not known.
    fn macs(&self, _args: &Args<'_>, _outputs: &[ValueType]) -> u64 {
        0
    }
}

macro_rules! operators {
    ($($name:ident),* $(,)?) => {
        /// An operator with its attributes.
        #[derive(Clone, PartialEq, Debug)]
        #[expect(missing_docs, reason = "the variants are documented as the types they hold")]
        pub enum Op { $($name($name)),* }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// The names of all operators.
            pub const NAMES: &'static [&'static [&'static str]] = &[$($name::NAMES),*];

            /// The operator's name.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(op) => op.name()),* }
            }

            /// The operator `name` with attributes read from `attrs`; those it does not know stay there. `None` when
            /// there is no such operator.
            pub fn read(name: &str, attrs: &mut AttrMap) -> Option<Result<Op, OpError>> {
                $(if $name::NAMES.contains(&name) {
                    return Some($name::read(name, attrs).map(Op::from));
                })*
                None
            }

            /// The attributes that differ from their defaults, in declared order.
            pub fn attributes(&self) -> Vec<(&'static str, Attr)> {
                match self { $(Op::$name(op) => op.write()),* }
            }

            /// See [`Operator::infer`].
            ///
            /// # Errors
            /// Those of the operator.
            pub fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                match self { $(Op::$name(op) => op.infer(args)),* }
            }

            /// See [`Operator::eval`]; what the shape rule refuses is an error here too.
            ///
            /// # Errors
            /// Those of the operator.
            pub fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                match self {
                    $(Op::$name(op) => {
                        numeric::check_inputs(op, inputs)?;
                        op.eval(inputs)
                    })*
                }
            }

            /// See [`Operator::macs`].
            pub fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
                match self { $(Op::$name(op) => op.macs(args, outputs)),* }
            }
        }
    };
}

operators! {
    ArgMax,
    ArgMin,
    AveragePool,
    BatchNormalization,
    Binary,
    Cast,
    Celu,
    Clamp,
    Compare,
    Compress,
    Concat,
    ConstantOfShape,
    Conv,
    ConvInteger,
    ConvTranspose,
    CumSum,
    DepthToSpace,
    DequantizeLinear,
    Dropout,
    DynamicQuantizeLinear,
    Expand,
    EyeLike,
    Flatten,
    Gather,
    GatherElements,
    GatherND,
    Gemm,
    GlobalAveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    GridSample,
    GroupNormalization,
    Hardmax,
    InstanceNormalization,
    IsInf,
    IsNaN,
    LRN,
    LayerNormalization,
    LogSoftmax,
    Logic,
    LpNormalization,
    LpPool,
    MatMul,
    MatMulInteger,
    MaxPool,
    MeanVarianceNormalization,
    NonMaxSuppression,
    NonZero,
    Not,
    OneHot,
    Pad,
    QLinearAdd,
    QLinearConcat,
    QLinearConv,
    QLinearGlobalAveragePool,
    QLinearLeakyRelu,
    QLinearMatMul,
    QLinearMul,
    QLinearSigmoid,
    QuantizeLinear,
    RMSNormalization,
    Range,
    Reduce,
    Reshape,
    Resize,
    ReverseSequence,
    RoiAlign,
    ScatterElements,
    ScatterND,
    Shape,
    Shrink,
    Sign,
    Size,
    Slice,
    Softmax,
    SpaceToDepth,
    Split,
    Squeeze,
    ThresholdedRelu,
    Tile,
    TopK,
    Transpose,
    Trig,
    Trilu,
    Unary,
    Unsqueeze,
    Where,
}
