//! Which operators compute every image of a batch by itself.

use crate::ops::{self, Args, Op, resolve_axis};

/// True where the part of each output at an index of the first axis depends on the parts at that index of the inputs that
/// are `batched`, and on all of the others. Presumes that the first axis of each output is as long as theirs. False for
/// every operator that is not known to be so.
#[expect(clippy::wildcard_enum_match_arm, reason = "an operator that is not named here takes its batch as a whole")]
pub(super) fn is_by_image(op: &Op, args: &Args<'_>, batched: &[bool]) -> bool {
    let is_batched = |index: usize| batched.get(index).copied().unwrap_or(false);
    let rank = |index: usize| args.get(index).and_then(|arg| arg.rank()).unwrap_or(0);
    // The first input is batched, and of the others only those from `from` on may be, which are like the output.
    let first = |from: usize| is_batched(0) && !(1..from.min(batched.len())).any(is_batched);
    let alone = || first(usize::MAX);
    let beyond_first = |axis: i64| resolve_axis(axis, rank(0)).is_ok_and(|axis| axis > 0);
    match op {
        // Images.
        Op::Conv(_) => first(3),
        Op::ConvTranspose(_)
        | Op::BatchNormalization(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::LpPool(_)
        | Op::GlobalAveragePool(_)
        | Op::GlobalMaxPool(_)
        | Op::GlobalLpPool(_)
        | Op::LRN(_)
        | Op::InstanceNormalization(_)
        | Op::GroupNormalization(_)
        | Op::DepthToSpace(_)
        | Op::SpaceToDepth(_) => alone(),
        Op::Resize(op) => op.coordinate_transformation_mode != ops::CoordinateMode::TfCropAndResize && alone(),
        // Every element by itself.
        Op::Unary(_) | Op::Clamp(_) | Op::Cast(_) | Op::Dropout(_) | Op::Celu(_) | Op::Shrink(_) => alone(),
        Op::ThresholdedRelu(_) | Op::Trig(_) | Op::Sign(_) | Op::Not(_) => alone(),
        // With NumPy's broadcasting: what is batched has all axes, so that its first one is the output's.
        Op::Binary(_) | Op::Compare(_) | Op::Logic(_) | Op::Where(_) => {
            let most = (0..args.len()).map(rank).max();
            (0..args.len()).all(|index| !is_batched(index) || Some(rank(index)) == most)
        }
        // The same elements in another form: the first axis stays as long, so that each part keeps its elements.
        Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) => alone(),
        Op::Transpose(op) => op.order(rank(0)).is_ok_and(|order| order.first() == Some(&0)) && alone(),
        // Along other axes than the first.
        Op::Concat(op) => beyond_first(op.axis) && (0..args.len()).all(is_batched),
        Op::Split(op) => beyond_first(op.axis) && alone(),
        Op::Softmax(op) => beyond_first(op.axis) && alone(),
        Op::LogSoftmax(op) => beyond_first(op.axis) && alone(),
        Op::Gather(op) => beyond_first(op.axis) && alone(),
        Op::LayerNormalization(op) => beyond_first(op.axis) && alone(),
        Op::RMSNormalization(op) => beyond_first(op.axis) && alone(),
        Op::Reduce(op) => {
            let axes = args.get(1).map_or(Ok(Some(Vec::new())), |axes| axes.ints());
            let axes = axes.ok().flatten().and_then(|axes| op.axes(&axes, rank(0)).ok());
            axes.is_some_and(|axes| !axes.contains(&0)) && alone()
        }
        Op::Slice(_) => {
            let axes = args.get(3).and_then(|axes| axes.ints().ok().flatten());
            axes.is_some_and(|axes| axes.into_iter().all(beyond_first)) && alone()
        }
        // Products.
        Op::Gemm(op) => !op.transA && !is_batched(1) && is_batched(0) && (!is_batched(2) || rank(2) == 2),
        Op::MatMul(_) => {
            let operands = match [is_batched(0), is_batched(1)] {
                [true, false] => rank(0) >= 2,
                [false, true] => rank(1) >= 3,
                [true, true] => rank(0) == rank(1) && rank(0) >= 3,
                [false, false] => false,
            };
            operands && !is_batched(2)
        }
        _ => false,
    }
}
