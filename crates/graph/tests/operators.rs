//! Properties of all operators: what the definition says of values that no table holds, errors, and arbitrary inputs.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use proptest::prelude::*;
use tilewise_graph::attr::{Attr, AttrMap};
use tilewise_graph::{Arg, Args, Dim, Op, OpError, ValueType};
use tilewise_tensor::{DType, Tensor};

fn op(name: &str, attrs: &[(&str, Attr)]) -> Op {
    let mut attrs = AttrMap(attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    Op::read(name, &mut attrs).unwrap().unwrap()
}

fn ints(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(DType::F32, shape).unwrap()
}

fn eval(op: &Op, inputs: &[&Tensor]) -> Result<Vec<Tensor>, OpError> {
    op.eval(&inputs.iter().map(|&x| Some(x)).collect::<Vec<_>>())
}

fn infer(op: &Op, types: &[ValueType]) -> Result<Vec<ValueType>, OpError> {
    let args: Vec<_> = types.iter().map(|ty| Some(Arg { ty, value: None })).collect();
    op.infer(&Args::new(&args))
}

/// `f32[N,3,?,8]`
fn ty(text: &str) -> ValueType {
    let (dtype, dims) = text.split_once('[').unwrap();
    let dim = |d: &str| match d {
        "?" => Dim::Unknown,
        d => d.parse().map_or_else(|_| Dim::Symbol(d.into()), Dim::Known),
    };
    let dims = dims.trim_end_matches(']').split(',').filter(|d| !d.is_empty()).map(dim).collect();
    ValueType::new(dtype.parse().unwrap(), dims)
}

#[test]
fn open_lengths_stay_open_or_keep_their_symbol() {
    let pool = [("kernel_shape", ints(&[3, 3])), ("strides", ints(&[2, 2]))];
    let square = ("keepdims", Attr::Int(0));
    let rows: &[(Op, &[&str], &str)] = &[
        (op("Conv", &[]), &["f32[N,3,?,32]", "f32[8,3,3,3]"], "f32[N,8,?,30]"),
        (op("ConvTranspose", &[("strides", ints(&[2, 2]))]), &["f32[N,3,?,4]", "f32[3,8,2,2]"], "f32[N,8,?,8]"),
        (op("ConvTranspose", &[("output_shape", ints(&[9, 9]))]), &["f32[N,3,?,4]", "f32[3,8,2,2]"], "f32[N,8,9,9]"),
        (op("MaxPool", &pool), &["f32[N,C,?,9]"], "f32[N,C,?,4]"),
        (op("AveragePool", &pool), &["f32[N,C,H,W]"], "f32[N,C,?,?]"),
        (op("GlobalAveragePool", &[]), &["f32[N,C,H,W]"], "f32[N,C,1,1]"),
        (op("Gemm", &[("transB", Attr::Int(1))]), &["f32[N,K]", "f32[10,K]"], "f32[N,10]"),
        (op("MatMul", &[]), &["f32[N,T,K]", "f32[K,7]"], "f32[N,T,7]"),
        (op("MatMul", &[]), &["f32[N,1,2,3]", "f32[H,3,5]"], "f32[N,H,2,5]"),
        (op("Softmax", &[]), &["f32[N,?]"], "f32[N,?]"),
        (op("ArgMax", &[("axis", Attr::Int(-1)), square]), &["f32[N,?,10]"], "i64[N,?]"),
        (op("ReduceMean", &[]), &["f32[N,?]", "i64[1]"], "f32[?,?]"),
        (op("ReduceMean", &[]), &["f32[N,?]"], "f32[1,1]"),
        (op("QuantizeLinear", &[]), &["f32[N,?]", "f32[]", "i8[]"], "i8[N,?]"),
        (op("DequantizeLinear", &[]), &["u8[N,?]", "f32[]"], "f32[N,?]"),
        (op("QLinearConcat", &[("axis", Attr::Int(1))]), &["f32[]", "u8[]", "u8[N,2]", "f32[]", "u8[]"], "u8[N,2]"),
    ];
    for (op, inputs, expected) in rows {
        let types: Vec<ValueType> = inputs.iter().map(|text| ty(text)).collect();
        assert_eq!(infer(op, &types).unwrap()[0].to_string(), *expected, "{} of {inputs:?}", op.name());
    }
}

#[test]
fn what_breaks_the_definition_is_an_error() {
    let kernel = ("kernel_shape", ints(&[3, 3]));
    let rows: &[(Op, &[&str])] = &[
        (op("Gemm", &[]), &["f32[2,3]", "f32[4,5]"]),
        (op("Gemm", &[]), &["f32[2,3]", "f32[3,5]", "f32[2]"]),
        (op("MatMul", &[]), &["f32[2,3]", "f32[4,5]"]),
        (op("MatMul", &[]), &["f32[]", "f32[4]"]),
        (op("MatMul", &[]), &["f32[2,3]", "f64[3,2]"]),
        (op("Conv", &[]), &["f32[1,3,8,8]", "f32[8,4,3,3]"]),
        (op("Conv", &[("group", Attr::Int(i64::MAX))]), &["f32[1,3,8,8]", "f32[8,3,3,3]"]),
        (op("Conv", &[]), &["f32[1,3,8,8]", "f32[8,3,3,3]", "f32[7]"]),
        (op("ConvTranspose", &[("pads", ints(&[9, 9, 9, 9]))]), &["f32[1,3,2,2]", "f32[3,4,3,3]"]),
        (op("BatchNormalization", &[("training_mode", Attr::Int(1))]), &["f32[1,3]", "f32[3]"]),
        (op("GroupNormalization", &[("num_groups", Attr::Int(2))]), &["f32[1,3]", "f32[3]", "f32[3]"]),
        (op("LRN", &[("size", Attr::Int(0))]), &["f32[1,3]"]),
        (op("MaxPool", &[kernel.clone()]), &["f32[1,3,2,8]"]),
        (op("MaxPool", &[kernel.clone()]), &["f32[1,3,8]"]),
        (op("AveragePool", &[kernel, ("strides", ints(&[0, 1]))]), &["f32[1,3,8,8]"]),
        (op("GlobalMaxPool", &[]), &["f32[1,3,0,8]"]),
        (op("Softmax", &[("axis", Attr::Int(2))]), &["f32[1,3]"]),
        (op("ArgMax", &[]), &["f32[0,3]"]),
        (op("QuantizeLinear", &[]), &["f32[2,3]", "f32[2]"]),
        (op("QuantizeLinear", &[]), &["f32[2,3]", "f32[]", "u8[3]"]),
        (op("DequantizeLinear", &[]), &["u8[2,3]", "f32[]", "i8[]"]),
        (op("MatMulInteger", &[]), &["u8[2,3]", "u8[3,2]", "u8[3]"]),
        (op("QLinearConcat", &[("axis", Attr::Int(0))]), &["f32[]", "u8[]", "u8[2]", "f32[]"]),
    ];
    for (op, inputs) in rows {
        let types: Vec<ValueType> = inputs.iter().map(|text| ty(text)).collect();
        assert!(infer(op, &types).is_err(), "{} of {inputs:?}", op.name());
    }
}

#[test]
fn biases_residuals_and_activations_come_last() {
    let relu = ("activation", Attr::Str("Relu".to_owned()));
    let (a, b) = (f32s(&[2, 1], &[1.0, -1.0]), f32s(&[1, 2], &[2.0, 3.0]));
    let (bias, residual) = (f32s(&[2], &[0.5, -9.0]), f32s(&[2, 2], &[0.0, 7.0, 2.0, 0.0]));
    let product = eval(&op("MatMul", std::slice::from_ref(&relu)), &[&a, &b, &bias, &residual]).unwrap();
    assert_eq!(&*product[0].values::<f32>().unwrap(), [2.5, 1.0, 0.5, 0.0]);
    let product = eval(&op("Gemm", std::slice::from_ref(&relu)), &[&a, &b, &bias]).unwrap();
    assert_eq!(&*product[0].values::<f32>().unwrap(), [2.5, 0.0, 0.0, 0.0]);
    let (x, w) = (f32s(&[1, 1, 2], &[1.0, -4.0]), f32s(&[1, 2, 1], &[1.0, -1.0]));
    let transposed = eval(&op("ConvTranspose", &[relu]), &[&x, &w, &bias]).unwrap();
    assert_eq!(&*transposed[0].values::<f32>().unwrap(), [1.5, 0.0, 0.0, 0.0]);
}

#[test]
fn each_group_of_a_transposed_convolution_has_its_own_weights_and_bias() {
    let (x, w) = (f32s(&[1, 2, 1], &[2.0, 3.0]), f32s(&[2, 1, 1], &[10.0, 100.0]));
    let y = eval(&op("ConvTranspose", &[("group", Attr::Int(2))]), &[&x, &w, &f32s(&[2], &[1.0, 2.0])]).unwrap();
    assert_eq!(&*y[0].values::<f32>().unwrap(), [21.0, 302.0]);
}

#[test]
fn flattened_softmax_goes_over_all_axes_from_the_given_one() {
    let flat = op("Softmax", &[("axis", Attr::Int(1)), ("flattened", Attr::Int(1))]);
    let y = eval(&flat, &[&zeros(&[2, 3, 4])]).unwrap();
    assert!(y[0].values::<f32>().unwrap().iter().all(|&y| y == 1.0 / 12.0));
}

#[test]
fn column_major_positions_count_the_first_spatial_axis_first() {
    let x = f32s(&[1, 1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 9.0]);
    for (order, expected) in [(0, 5), (1, 5)] {
        let pool = op("MaxPool", &[("kernel_shape", ints(&[2, 3])), ("storage_order", Attr::Int(order))]);
        assert_eq!(&*eval(&pool, &[&x]).unwrap()[1].values::<i64>().unwrap(), [expected]);
    }
    let pool = op("MaxPool", &[("kernel_shape", ints(&[1, 3])), ("storage_order", Attr::Int(1))]);
    assert_eq!(&*eval(&pool, &[&x]).unwrap()[1].values::<i64>().unwrap(), [4, 5]);
}

#[test]
fn windows_in_the_padding_alone_have_no_largest_element() {
    let far = [("kernel_shape", ints(&[1])), ("pads", ints(&[1, 0]))];
    let y = eval(&op("MaxPool", &far), &[&f32s(&[1, 1, 1], &[5.0])]).unwrap();
    assert_eq!(&*y[0].values::<f32>().unwrap(), [f32::NEG_INFINITY, 5.0]);
    assert_eq!(&*y[1].values::<i64>().unwrap(), [-1, 0]);
    let y = eval(&op("AveragePool", &far), &[&f32s(&[1, 1, 1], &[5.0])]).unwrap();
    assert_eq!(&*y[0].values::<f32>().unwrap(), [0.0, 5.0]);
}

#[test]
fn identity_and_dropout_return_their_input() {
    let x = Tensor::from_slice(&[3], &[1u8, 2, 3]).unwrap();
    assert_eq!(&*eval(&op("Identity", &[]), &[&x]).unwrap()[0].values::<u8>().unwrap(), [1, 2, 3]);
    let training = Tensor::from_bools(&[], &[true]).unwrap();
    let dropout = op("Dropout", &[]).eval(&[Some(&x), None, Some(&training)]);
    assert!(matches!(dropout, Err(OpError::Unsupported(_))));
}

#[test]
fn not_a_number_wins_comparisons() {
    let x = f32s(&[1, 1, 3], &[1.0, f32::NAN, 2.0]);
    let pool = op("MaxPool", &[("kernel_shape", ints(&[3]))]);
    assert!(eval(&pool, &[&x]).unwrap()[0].values::<f32>().unwrap()[0].is_nan());
    assert!(eval(&op("ReduceMax", &[]), &[&x]).unwrap()[0].values::<f32>().unwrap()[0].is_nan());
    let last = op("ArgMin", &[("axis", Attr::Int(2))]);
    assert_eq!(&*eval(&last, &[&x]).unwrap()[0].values::<i64>().unwrap(), [1]);
}

#[test]
fn quantized_elementwise_operators_equal_real_ones_within_half_a_level() {
    let levels = |shape: &[usize], values: &[u8]| Tensor::from_slice(shape, values).unwrap();
    let (scale, zero) = (Tensor::scalar(0.5f32), Tensor::scalar(10u8));
    let (a, b) = (levels(&[2, 1], &[12, 6]), levels(&[2], &[10, 14]));
    let x = [&a, &scale, &zero];
    let rows: &[(Op, Vec<&Tensor>, &[u8])] = &[
        // Real numbers: a is 1 and -2, b is 0 and 2.
        (op("QLinearAdd", &[]), vec![&a, &scale, &zero, &b, &scale, &zero, &scale, &zero], &[12, 16, 6, 10]),
        (op("QLinearMul", &[]), vec![&a, &scale, &zero, &b, &scale, &zero, &scale, &zero], &[10, 14, 10, 2]),
        (op("QLinearSigmoid", &[]), [&x[..], &[&scale, &zero]].concat(), &[11, 10]),
        (op("QLinearLeakyRelu", &[("alpha", Attr::Float(0.5))]), [&x[..], &[&scale, &zero]].concat(), &[12, 8]),
        (op("QLinearConcat", &[("axis", Attr::Int(0))]), [&[&scale, &zero], &x[..], &x[..]].concat(), &[12, 6, 12, 6]),
    ];
    for (op, inputs, expected) in rows {
        assert_eq!(&*eval(op, inputs).unwrap()[0].values::<u8>().unwrap(), *expected, "{}", op.name());
    }
    let planes = levels(&[1, 1, 1, 4], &[10, 12, 14, 12]);
    let mean = eval(&op("QLinearGlobalAveragePool", &[]), &[&planes, &scale, &zero, &scale, &zero]).unwrap();
    assert_eq!((mean[0].shape(), &*mean[0].values::<u8>().unwrap()), (&[1, 1, 1, 1][..], &[12][..]));
}

#[test]
fn multiply_adds_are_counted() {
    let rows: &[(Op, &[&str], u64)] = &[
        (op("Conv", &[("group", Attr::Int(2))]), &["f32[1,4,5,5]", "f32[6,2,3,3]"], 6 * 9 * 18),
        (op("ConvTranspose", &[]), &["f32[1,4,5,5]", "f32[4,6,2,2]"], 100 * 24),
        (op("Gemm", &[("transA", Attr::Int(1))]), &["f32[4,3]", "f32[4,5]"], 60),
        (op("MatMul", &[]), &["f32[2,3,4]", "f32[4,5]"], 120),
        (op("MatMulInteger", &[]), &["u8[3,4]", "u8[4,5]"], 60),
        (op("Softmax", &[]), &["f32[3,4]"], 0),
        (op("MatMul", &[]), &["f32[N,4]", "f32[4,5]"], 0),
    ];
    for (op, inputs, expected) in rows {
        let types: Vec<ValueType> = inputs.iter().map(|text| ty(text)).collect();
        let outputs = infer(op, &types).unwrap();
        let args: Vec<_> = types.iter().map(|ty| Some(Arg { ty, value: None })).collect();
        assert_eq!(op.macs(&Args::new(&args), &outputs), *expected, "{}", op.name());
    }
}

/// Any value of an attribute that some operator has, fitting or not.
fn attributes() -> impl Strategy<Value = AttrMap> {
    let int =
        prop_oneof![8 => -3i64..5, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => Just(1 << 31), 1 => Just(1 << 40)];
    let ints = prop::collection::vec(int.clone(), 0..5).prop_map(Attr::Ints);
    let named = |names: &'static [&'static str], value: BoxedStrategy<Attr>| {
        (prop::sample::select(names), value).prop_map(|(name, value)| (name.to_owned(), value))
    };
    let lists = &["kernel_shape", "strides", "dilations", "pads", "output_padding", "output_shape", "axes"];
    let numbers = &[
        "group",
        "axis",
        "p",
        "size",
        "num_groups",
        "block_size",
        "keepdims",
        "flattened",
        "ceil_mode",
        "transA",
        "transB",
        "noop_with_empty_axes",
        "storage_order",
        "channels_last",
        "count_include_pad",
        "stash_type",
    ];
    let pads = prop::sample::select(&["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"][..]);
    let small = prop::collection::vec(1i64..4, 1..4).prop_map(Attr::Ints);
    let one = prop_oneof![
        2 => named(lists, ints.boxed()),
        2 => named(&lists[..3], small.boxed()),
        2 => named(numbers, int.prop_map(Attr::Int).boxed()),
        1 => named(&["auto_pad"], pads.prop_map(|pad| Attr::Str(pad.to_owned())).boxed()),
    ];
    prop::collection::vec(one, 0..4).prop_map(|attrs| AttrMap(attrs.into_iter().collect()))
}

/// A small tensor of any type and shape, zero-size ones with huge lengths among them.
fn tensors() -> impl Strategy<Value = Option<Tensor>> {
    let shapes = prop_oneof![
        6 => prop::collection::vec(0usize..4, 0..5),
        4 => Just(vec![1, 2, 3, 3]),
        2 => Just(vec![2]),
        1 => prop::sample::select(vec![vec![0, 1 << 40], vec![1 << 40, 0], vec![0, 2, 1 << 30, 1 << 30, 1 << 30]]),
    ];
    let dtypes = prop_oneof![4 => Just(DType::F32), 2 => Just(DType::U8), 1 => prop::sample::select(DType::ALL)];
    let tensor = (dtypes, shapes).prop_map(|(dtype, shape)| Some(Tensor::zeros(dtype, &shape).unwrap()));
    prop_oneof![9 => tensor, 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_makes_an_operator_panic_or_its_shape_rule_wrong(
        attrs in attributes(),
        inputs in prop::collection::vec(tensors(), 0..9),
    ) {
        for name in Op::NAMES.iter().flat_map(|names| names.iter()) {
            let Some(Ok(op)) = Op::read(name, &mut attrs.clone()) else { continue };
            let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
            let types: Vec<_> =
                inputs.iter().map(|x| x.map(|x| ValueType::known(x.dtype(), x.shape()))).collect();
            let args: Vec<_> = types.iter().map(|ty| Some(Arg { ty: ty.as_ref()?, value: None })).collect();
            let inferred = op.infer(&Args::new(&args));
            if let Ok(outputs) = &inferred {
                op.macs(&Args::new(&args), outputs);
            }
            if let Ok(outputs) = op.eval(&inputs) {
                let inferred = inferred.expect(name);
                for (output, ty) in outputs.iter().zip(&inferred) {
                    prop_assert_eq!(output.dtype(), ty.dtype, "{}", name);
                    let fits = ty.shape.as_ref().is_none_or(|dims| {
                        dims.len() == output.shape().len()
                            && dims.iter().zip(output.shape()).all(|(d, &n)| d.known().is_none_or(|d| d == n))
                    });
                    prop_assert!(fits, "{name}: inferred {ty}, evaluated {:?}", output.shape());
                }
            }
        }
    }
}
