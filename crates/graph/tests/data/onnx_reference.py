"""Writes onnx_reference.txt: operators with what ONNX's own reference evaluation says of them.

Needs the packages onnx and numpy: `python3 onnx_reference.py > onnx_reference.txt`.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

RNG = np.random.default_rng(7)
NAMES = {"float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64", "int32": "i32", "int16": "i16",
         "int8": "i8", "uint8": "u8", "uint16": "u16", "bool": "bool"}


def real(*shape, dtype=np.float32):
    return np.round(RNG.normal(size=shape) * 2, 2).astype(dtype)


def levels(*shape, dtype=np.uint8):
    info = np.iinfo(dtype)
    return RNG.integers(max(info.min, -300), min(info.max, 300), size=shape).astype(dtype)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def tensor(array):
    shape = ",".join(map(str, array.shape))
    values = " ".join(repr(v) for v in (array.astype(int) if array.dtype == bool else array).ravel().tolist())
    return f"{NAMES[str(array.dtype)]} [{shape}] {values}".rstrip()


def case(op, inputs, outputs=1, opset=23, **attributes):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, **attributes)
    given = [(n, x) for n, x in zip(names, inputs) if x is not None]
    info = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given]
    out = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in results]
    model = helper.make_model(helper.make_graph([node], "g", info, out),
                              opset_imports=[helper.make_opsetid("", opset)])
    values = ReferenceEvaluator(model).run(None, dict(given))
    print(f"case {op}")
    for name, value in attributes.items():
        kind = {int: "int", float: "float", str: "str"}.get(type(value)) or "ints"
        shown = " ".join(map(str, value)) if kind == "ints" else value
        print(f"  attr {name} {kind} {shown}")
    for x in inputs:
        print("  in " + ("-" if x is None else tensor(x)))
    for y in values:
        print("  out " + tensor(np.asarray(y)))


def products():
    case("Gemm", [real(3, 4), real(4, 2), real(2)], alpha=0.5, beta=2.0)
    case("Gemm", [real(4, 3), real(2, 4), real(3, 1)], transA=1, transB=1)
    case("Gemm", [real(2, 3, dtype=np.float64), real(3, 2, dtype=np.float64)])
    for a, b in [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((2, 1, 2, 3), (5, 3, 2)),
                 ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 2))]:
        case("MatMul", [real(*a), real(*b)])
    case("MatMul", [levels(2, 3, dtype=np.int32), levels(3, 2, dtype=np.int32)])
    # Without a bias where there are groups: the reference evaluation adds that of the first group to all.
    for x, w, bias, attributes in [
        ((1, 1, 3, 3), (1, 2, 3, 3), None, {}),
        ((1, 2, 3, 3), (2, 1, 3, 3), None, dict(group=2, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
        ((2, 2, 4), (2, 3, 3), 3, dict(strides=[3], dilations=[2], pads=[1, 2])),
        ((1, 1, 3, 3), (1, 1, 3, 3), None, dict(strides=[3, 2], output_shape=[10, 8])),
        ((1, 1, 3, 3), (1, 2, 3, 3), None, dict(strides=[2, 2], auto_pad="SAME_UPPER")),
    ]:
        case("ConvTranspose", [real(*x), real(*w)] + ([] if bias is None else [real(bias)]), **attributes)


def normalizations():
    c = 3
    case("BatchNormalization", [real(2, c, 2, 2), real(c), real(c), real(c), abs(real(c)) + 1], epsilon=0.01)
    case("InstanceNormalization", [real(2, c, 2, 3), real(c), real(c)])
    case("GroupNormalization", [real(2, 4, 3), real(4), real(4)], num_groups=2)
    case("LayerNormalization", [real(2, 3, 4), real(4), real(4)], outputs=3)
    case("LayerNormalization", [real(2, 3, 4), real(3, 4), real(3, 4)], outputs=3, axis=1, epsilon=0.1)
    case("RMSNormalization", [real(2, 3, 4), real(4)])
    case("RMSNormalization", [real(2, 3, 4), real(3, 4)], axis=-2)
    # The reference evaluation walks as many channels as there are images.
    case("LRN", [real(4, 4, 2, 1)], size=3, alpha=0.5, beta=0.6, bias=2.0)
    case("LRN", [real(4, 4, 2, 1)], size=4)
    case("LpNormalization", [real(2, 3, 2)], axis=1, p=2)
    case("LpNormalization", [abs(real(2, 3))], axis=-1, p=1)
    case("LpNormalization", [np.zeros((2, 3), np.float32)])
    case("MeanVarianceNormalization", [real(2, 3, 2, 2)])
    case("MeanVarianceNormalization", [real(2, 3, 2)], axes=[2])


def poolings():
    case("MaxPool", [real(1, 2, 4, 4)], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    case("MaxPool", [real(1, 1, 5, 5)], outputs=2, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("MaxPool", [real(1, 1, 4, 4)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case("MaxPool", [real(1, 1, 2, 2)], kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1)
    case("MaxPool", [real(1, 1, 5, 4)], kernel_shape=[2, 2], dilations=[2, 2])
    case("MaxPool", [real(1, 1, 6, 4)], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    case("MaxPool", [levels(1, 2, 6)], kernel_shape=[3], strides=[2])
    case("MaxPool", [levels(1, 1, 3, 3, 2, dtype=np.int8)], kernel_shape=[2, 2, 2])
    for include in (0, 1):
        for attributes in (dict(pads=[1, 1, 1, 1]), dict(pads=[0, 1, 1, 0], strides=[2, 2]),
                           dict(strides=[2, 2], ceil_mode=1), dict(strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1),
                           dict(strides=[2, 2], auto_pad="SAME_UPPER"), dict(dilations=[2, 2], pads=[1, 1, 1, 1])):
            case("AveragePool", [real(1, 1, 6, 6)], kernel_shape=[3, 3], count_include_pad=include, **attributes)
    case("LpPool", [real(1, 2, 4, 4)], kernel_shape=[2, 2], p=3)
    case("LpPool", [real(1, 1, 6)], kernel_shape=[3], strides=[2], pads=[1, 1])
    case("GlobalAveragePool", [real(2, 2, 3, 2)])
    case("GlobalMaxPool", [real(2, 2, 3, 2)])


def axes():
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        case(op, [real(2, 3, 2)])
        case(op, [real(2, 3, 2)], axis=1)
    case("Softmax", [scalar([1e4, 1e4 - 1])])
    reductions = ["Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"]
    for name in reductions:
        positive = name == "LogSum"
        x = abs(real(2, 3, 2)) if positive else real(2, 3, 2)
        case(f"Reduce{name}", [x])
        case(f"Reduce{name}", [x, np.array([-2, 0])], keepdims=0)
        case(f"Reduce{name}", [x], noop_with_empty_axes=1)
    for name in ("Sum", "Max", "Min", "Prod", "L1"):
        case(f"Reduce{name}", [levels(2, 3, dtype=np.int32), np.array([1])])
    for op in ("ArgMax", "ArgMin"):
        x = np.array([[3, 1, 3], [1, 1, 2]], np.float32)
        case(op, [x])
        case(op, [x], axis=-1, keepdims=0)
        case(op, [x], axis=1, select_last_index=1)
        case(op, [levels(2, 3, 2)], axis=1)
    for exclusive in (0, 1):
        for reverse in (0, 1):
            case("CumSum", [real(2, 3), np.array(1)], exclusive=exclusive, reverse=reverse)
    case("CumSum", [levels(2, 3, dtype=np.int32), np.array(-2, np.int32)])
    case("Dropout", [real(2, 3)], outputs=2)


def quantized():
    one = lambda value=0.05: scalar(value)
    byte = lambda value: scalar(value, np.uint8)
    case("QuantizeLinear", [scalar([0.0, 2, 3, 1000, -254, -1000, 1, 5]), scalar(2.0), byte(128)])
    case("QuantizeLinear", [real(2, 3, 2), scalar([0.1, 0.2, 0.3]), np.array([1, 2, 3], np.uint8)], axis=1)
    case("QuantizeLinear", [real(2, 3) * 100, scalar(0.5), scalar(-3, np.int8)])
    case("QuantizeLinear", [real(2, 3) * 10000, scalar(0.5), scalar(7, np.int16)])
    case("QuantizeLinear", [real(2, 4), abs(real(2, 2)) + 1, levels(2, 2)], axis=1, block_size=2)
    case("DequantizeLinear", [levels(2, 3), scalar(0.5), byte(128)])
    case("DequantizeLinear", [levels(2, 3, 2, dtype=np.int8), scalar([0.1, 0.2, 0.3]), np.array([1, 2, 3], np.int8)])
    case("DequantizeLinear", [levels(3, dtype=np.int32), scalar(0.25)])
    case("DequantizeLinear", [levels(4, 3), abs(real(2, 3)) + 1, levels(2, 3)], axis=0, block_size=2)
    for x in (scalar([0, 2, -3, -2.5, 1.34, 0.5]), scalar([-1.0, -2.1, -1.3]), scalar([1, 2.1, 4.8]), scalar([0, 0])):
        case("DynamicQuantizeLinear", [x], outputs=3)
    case("ConvInteger", [levels(1, 2, 3, 3), levels(2, 2, 2, 2), byte(3)], pads=[1, 1, 1, 1])
    case("MatMulInteger", [levels(4, 3), levels(3, 2), byte(12), byte(3)])
    case("MatMulInteger", [levels(4, 3), levels(3, 2, dtype=np.int8)])
    case("QLinearMatMul", [levels(2, 4), one(), byte(120), levels(4, 3), one(0.1), byte(114), one(0.9), byte(118)])
    case("QLinearConv", [levels(1, 2, 3, 3), one(), byte(12), levels(2, 2, 2, 2), one(0.02), byte(110), one(0.5),
                         byte(100)], strides=[2, 2], pads=[1, 1, 0, 0])
    case("QLinearConv", [levels(1, 1, 4, 4), one(), byte(12), levels(2, 1, 1, 1, dtype=np.int8), scalar([0.02, 0.03]),
                         np.array([0, 0], np.int8), one(0.5), byte(100), levels(2, dtype=np.int32)])


if __name__ == "__main__":
    print(f"# Written by onnx_reference.py with onnx {onnx.__version__}.")
    for table in (products, normalizations, poolings, axes, quantized):
        table()
