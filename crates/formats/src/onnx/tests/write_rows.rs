//! Graphs that are written and read again: at least one row for each operator.

/// What every row can read.
pub(super) const VALUES: &str = "
    input x: f32[2,6,4,4]
    input z: f32[2,6,4,4]
    input n: f32[N,6,?,4]
    input m: f32[3,4]
    input v: f32[4]
    input h: f16[2,3]
    input b: bf16[1,2,4,4]
    input i: i64[3,4]
    input q: u8[1,2,4,4]
    input t: bool[3,4]
    const w: f32[6,6,3,3] = fill
    const wt: f32[6,3,2,2] = fill
    const wb: bf16[2,2,1,1] = 1 2 3 4
    const k: f32[4,5] = fill
    const five: f32[5] = 1 2 3 4 5
    const six: f32[6] = 1 2 3 4 5 6
    const large: f32[6,6,3,3] = fill scaled 1 2 0.5 4 -1 3
    const zero: f32[] = 0
    const one: f32[] = 1
    const axes: i64[2] = 2 3
    const axis: i64[] = 1
    const ax: i64[1] = 0
    const none: i64[0] =
    const shape: i64[2] = 4 3
    const places: i64[2] = 0 2
    const lists: i64[3,4] = 0 1 2 0 1 1 1 1 2 0 0 2
    const scale: f32[] = 0.5
    const level: u8[] = 3
    const wq: u8[3,2,1,1] = 1 2 3 4 5 6
";

/// One graph: lines over the values, the opset that it takes, and the lines that it is read as where those differ.
pub(super) struct Row {
    pub(super) opset: u32,
    pub(super) lines: &'static str,
    pub(super) read: Option<&'static str>,
}

const fn same(opset: u32, lines: &'static str) -> Row {
    Row { opset, lines, read: None }
}

const fn becomes(opset: u32, lines: &'static str, read: &'static str) -> Row {
    Row { opset, lines, read: Some(read) }
}

pub(super) const ROWS: &[Row] = &[
    same(17, "y = ArgMax(x) axis=1 keepdims=0 select_last_index=1"),
    same(17, "y = ArgMin(x) axis=-1"),
    same(17, "y = AveragePool(x) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] ceil_mode=1 count_include_pad=1"),
    same(19, "y = AveragePool(x) kernel_shape=[2,2] dilations=[2,2]"),
    same(22, "y = AveragePool(b) kernel_shape=[2,2]"),
    same(17, "y = BatchNormalization(x, six, six, six, six) epsilon=0.5 momentum=0.5"),
    same(17, "a = Add(x, z)\nc = Sub(a, one)\nd = Mul(c, z)\ne = Div(d, scale)\nf = Pow(e, one)\ny = PRelu(f, one)"),
    same(17, "a = Min(x, z)\nc = Max(a, one)\nd = Mod(i, axis)\ny = FMod(x, one)"),
    same(28, "y = Mod(x, one)"),
    same(17, "y = Cast(x) to=\"f16\"\nu = Cast(t) to=\"i64\""),
    same(17, "y = Celu(x) alpha=2.0"),
    same(28, "y = Celu(h)"),
    same(17, "y = Clamp(x, zero, one)\nu = Clamp(x, -, one)"),
    same(17, "y = Equal(x, z)\ng = Greater(x, z)\nge = GreaterOrEqual(x, z)\nl = Less(x, z)\nle = LessOrEqual(x, z)"),
    same(17, "y = Concat(x, z) axis=1"),
    becomes(17, "y = ConstantOfShape(shape, level)", "const l: u8[1] = 3\ny = ConstantOfShape(shape, l)"),
    same(17, "y = ConstantOfShape(shape, u1)\nconst u1: u8[1] = 2\nu = ConstantOfShape(shape)"),
    same(20, "y = ConstantOfShape(shape, wb1)\nconst wb1: bf16[1] = 2"),
    same(17, "y = Conv(x, w, six) strides=[2,2] pads=[1,1,1,1] dilations=[1,1] kernel_shape=[3,3]"),
    same(17, "y = Conv(n, w) auto_pad=\"SAME_UPPER\""),
    same(22, "y = Conv(b, wb)"),
    becomes(17, "y = Conv(x, large)", "const whole: f32[6,6,3,3] = fill scaled 1 2 0.5 4 -1 3\ny = Conv(x, whole)"),
    becomes(
        17,
        "y = Conv(x, w, six, z) pads=[1,1,1,1] activation=\"Relu\"",
        "y/Conv = Conv(x, w, six) pads=[1,1,1,1]\ny/Add = Add(y/Conv, z)\ny = Relu(y/Add)",
    ),
    becomes(17, "y = Conv(x, w, -, z) pads=[1,1,1,1]", "y/Conv = Conv(x, w, -) pads=[1,1,1,1]\ny = Add(y/Conv, z)"),
    becomes(
        17,
        "y = Conv(x, w) activation=\"Clip(0.0,6.0)\"",
        "const s: f32[] = 6\ny/Conv = Conv(x, w)\ny = Clamp(y/Conv, zero, s)",
    ),
    same(17, "y = ConvInteger(q, wq, level)"),
    same(17, "y = ConvTranspose(x, wt, six) strides=[2,2] group=2 output_padding=[1,1]"),
    becomes(
        17,
        "y = ConvTranspose(x, wt) activation=\"LeakyRelu(0.25)\"",
        "y/ConvTranspose = ConvTranspose(x, wt)\ny = LeakyRelu(y/ConvTranspose) alpha=0.25",
    ),
    same(17, "y = Compress(m, c) axis=1\nconst c: bool[3] = 1 0 1"),
    same(17, "y = CumSum(m, axis) exclusive=1 reverse=1"),
    same(
        17,
        "q4 = Concat(q, q) axis=1\ny = DepthToSpace(q4) blocksize=2 mode=\"CRD\"\nu = SpaceToDepth(x) blocksize=2",
    ),
    same(17, "y = QuantizeLinear(x, scale, level)\nu = DequantizeLinear(y, scale, level)"),
    same(19, "y = QuantizeLinear(h, halves, level)\nconst halves: f16[] = 0.5"),
    same(21, "y = QuantizeLinear(x, scale) output_dtype=\"i16\"\nu = DequantizeLinear(y, scale)"),
    same(23, "y = DequantizeLinear(q, scale) output_dtype=\"f16\""),
    same(17, "y, mask = Dropout(x)"),
    same(17, "y, s, p = DynamicQuantizeLinear(x)"),
    same(17, "y = Expand(v, to)\nconst to: i64[2] = 3 4"),
    same(17, "y = EyeLike(m) dtype=\"f64\" k=1\nu = EyeLike(m)"),
    same(17, "y = Flatten(x) axis=2"),
    same(17, "y = Gather(m, places)\nu = GatherElements(m, lists)\ng = GatherND(m, places)"),
    same(17, "y = Gemm(m, k, five) alpha=0.5 beta=2.0\nu = Gemm(m, m) transB=1"),
    becomes(20, "y = Gemm(m, k) activation=\"GeluTanh\"", "y/Gemm = Gemm(m, k)\ny = GeluTanh(y/Gemm)"),
    same(17, "y = GlobalAveragePool(x)\nu = GlobalMaxPool(x)\ng = GlobalLpPool(x) p=1"),
    same(17, "y = GridSample(x, g) mode=\"cubic\" padding_mode=\"border\"\ninput g: f32[2,3,3,2]"),
    same(20, "y = GridSample(x, g) mode=\"cubic\" align_corners=1\ninput g: f32[2,3,3,2]\nu = Gelu(x)"),
    same(21, "y = GroupNormalization(x, six, six) num_groups=2 epsilon=0.5"),
    same(17, "y = Hardmax(x) axis=1\nu = LogSoftmax(x) axis=2\ng = Softmax(x)"),
    becomes(17, "y = Softmax(m) axis=1 flattened=1", "y = Softmax(m) axis=1"),
    becomes(
        17,
        "y = LogSoftmax(x) axis=1 flattened=1",
        "y/Flatten = Flatten(x)\ny/Shape = Shape(x)\ny/LogSoftmax = LogSoftmax(y/Flatten)\ny = Reshape(y/LogSoftmax, y/Shape) allowzero=1",
    ),
    same(17, "y = InstanceNormalization(x, six, six) epsilon=0.5"),
    same(17, "y = IsInf(x) detect_negative=0\nu = IsNaN(x)\ng = Sign(x)"),
    same(20, "y = IsInf(h)"),
    same(17, "y = LRN(x) size=3 alpha=0.5 beta=0.5 bias=2.0"),
    same(17, "y, mean, deviation = LayerNormalization(m, v, v) axis=1 epsilon=0.5"),
    same(17, "y = And(t, t)\nu = Or(y, t)\ng = Xor(u, t)\ne = Not(g)"),
    same(17, "y = LpNormalization(x) axis=1 p=1\nu = MeanVarianceNormalization(x) axes=[0,1]"),
    same(17, "y = LpPool(x) kernel_shape=[2,2] strides=[2,2] p=1"),
    same(18, "y = LpPool(x) kernel_shape=[3,3] strides=[2,2] ceil_mode=1"),
    same(17, "y = MatMul(m, k)"),
    becomes(
        17,
        "y = MatMul(m, k, five, r) activation=\"Sigmoid\"\ninput r: f32[3,5]",
        "y/MatMul = MatMul(m, k)\ny/Add = Add(y/MatMul, five)\ny/Add~2 = Add(y/Add, r)\ny = Sigmoid(y/Add~2)",
    ),
    same(17, "a = Cast(sq) to=\"u8\"\ny = MatMulInteger(a, a, level)\ninput sq: f32[3,3]"),
    same(17, "y, place = MaxPool(x) kernel_shape=[2,2] strides=[2,2] dilations=[1,2] storage_order=1"),
    same(
        17,
        "y = NonMaxSuppression(boxes, scores, most, scale)\ninput boxes: f32[1,3,4]\ninput scores: f32[1,1,3]\nconst most: i64[1] = 2",
    ),
    same(17, "y = NonZero(m)\nu = OneHot(i, depth, onoff) axis=0\nconst depth: i64[] = 3\nconst onoff: f32[2] = 0 1"),
    same(17, "y = Pad(m, p, one) mode=\"constant\"\nconst p: i64[4] = 1 0 0 2\nu = Pad(m, p) mode=\"edge\""),
    same(18, "y = Pad(m, p, -, ax)\nconst p: i64[2] = 1 2"),
    same(19, "y = Pad(m, p) mode=\"wrap\"\nconst p: i64[4] = 1 0 0 2"),
    same(
        17,
        "y = QLinearAdd(q, scale, level, q, scale, level, scale, level)\nu = QLinearMul(y, scale, level, q, scale, level, scale, level)",
    ),
    same(17, "y = QLinearConcat(scale, level, q, scale, level, q, scale, level) axis=1"),
    same(17, "y = QLinearGlobalAveragePool(q, scale, level, scale, level) channels_last=1"),
    same(
        17,
        "y = QLinearLeakyRelu(q, scale, level, scale, level) alpha=0.5\nu = QLinearSigmoid(y, scale, level, scale, level)",
    ),
    same(17, "y = QLinearConv(q, scale, level, wq, scale, level, scale, level)"),
    same(17, "y = QLinearMatMul(q, scale, level, q, scale, level, scale, level)"),
    same(23, "y = RMSNormalization(m, v) epsilon=0.5"),
    same(17, "y = Range(zero, three, one)\nconst three: f32[] = 3"),
    same(17, "y = ReduceL1(x, axes)\nu = ReduceL2(x, axes) keepdims=0\ng = ReduceSum(x, axes)"),
    same(17, "p = Exp(x)\ny = ReduceLogSum(p, axes)\nu = ReduceLogSumExp(x)\ng = ReduceMax(x, axes)"),
    same(17, "y = ReduceMean(x, axes)\nu = ReduceMin(x, axes)\ng = ReduceProd(x, axes)\ne = ReduceSumSquare(x, axes)"),
    same(18, "a = Add(axes, ax)\ny = ReduceMean(x, a)"),
    same(18, "y = ReduceMean(x, axes)\nu = ReduceMax(x) noop_with_empty_axes=1"),
    same(18, "y = ReduceMean(x, none)"),
    same(20, "y = ReduceMax(t)"),
    same(17, "y = Reshape(m, shape) allowzero=1\nu = Reshape(m, shape)"),
    same(
        17,
        "y = Resize(x, -, scales) mode=\"linear\" coordinate_transformation_mode=\"align_corners\"\nconst scales: f32[4] = 1 1 2 2",
    ),
    same(18, "y = Resize(x, -, -, shape) axes=[2,3] antialias=1 mode=\"cubic\" cubic_coeff_a=-0.5"),
    same(
        19,
        "y = Resize(x, -, scales) coordinate_transformation_mode=\"half_pixel_symmetric\"\nconst scales: f32[4] = 1 1 2 2",
    ),
    same(17, "y = ReverseSequence(m, l) batch_axis=0 time_axis=1\nconst l: i64[3] = 1 2 4"),
    same(
        17,
        "y = RoiAlign(x, rois, images) output_height=2 output_width=2 mode=\"max\" spatial_scale=0.5\nconst rois: f32[2,4] = 0 0 3 3 1 1 2 2\nconst images: i64[2] = 0 1",
    ),
    same(
        17,
        "y = ScatterElements(m, lists, m) axis=0 reduction=\"add\"\nu = ScatterND(m, pl, up)\nconst pl: i64[2,1] = 0 2\ninput up: f32[2,4]",
    ),
    same(18, "y = ScatterElements(m, lists, m) reduction=\"max\""),
    same(17, "y = Shape(n) start=1 end=-1\nu = Size(m)"),
    same(17, "y = Shrink(x) bias=0.25 lambd=0.75\nu = ThresholdedRelu(x) alpha=0.5"),
    same(17, "y = Slice(x, ax, ends, ax, steps)\nconst ends: i64[1] = 2\nconst steps: i64[1] = 1"),
    same(17, "y, u = Split(x, lengths) axis=1\nconst lengths: i64[2] = 2 4\ng, e = Split(x) axis=1 num_outputs=2"),
    same(18, "y, u = Split(m) num_outputs=2"),
    same(18, "y, u = Split(x) axis=1 num_outputs=2\ng = LpPool(x) kernel_shape=[2,2] dilations=[1,2]"),
    same(17, "y = Unsqueeze(m, places)\nu = Squeeze(y, places)"),
    same(17, "y = Tile(m, shape)\nvalues, indices = TopK(m, three) axis=0 largest=0\nconst three: i64[1] = 3"),
    same(24, "values, indices = TopK(b, three)\nconst three: i64[1] = 3"),
    same(17, "y = Transpose(x) perm=[0,2,3,1]\nu = Transpose(m)"),
    same(
        17,
        "a = Acos(x)\nc = Acosh(x)\nd = Asin(x)\ne = Asinh(x)\nf = Atan(x)\ng = Atanh(x)\no = Cos(x)\np = Cosh(x)\nr = Sin(x)\ns = Sinh(x)\ny = Tan(x)",
    ),
    same(22, "y = Sin(b)"),
    same(17, "y = Trilu(m, axis) upper=0"),
    same(
        17,
        "a = Relu(x)\nc = LeakyRelu(x) alpha=0.2\nd = Elu(x) alpha=0.5\ne = Selu(x) gamma=2.0\nf = Sigmoid(x)\ng = HardSigmoid(x) beta=0.25\ny = HardSwish(x)",
    ),
    same(
        17,
        "a = Tanh(x)\nc = Erf(x)\nd = Softplus(x)\ne = Softsign(x)\nf = Exp(x)\ng = Log(f)\no = Sqrt(f)\ny = Reciprocal(f)",
    ),
    same(17, "a = Abs(x)\nc = Neg(x)\nd = Floor(x)\ne = Ceil(x)\ny = Round(x)"),
    same(18, "y = Mish(x)"),
    same(20, "y = Gelu(x)\nu = GeluTanh(x)"),
    same(24, "y = Swish(x) alpha=0.5\nu = Swish(x)"),
    becomes(17, "y = Clip(h) lo=0.0 hi=6.0", "const lo: f16[] = 0\nconst hi: f16[] = 6\ny = Clamp(h, lo, hi)"),
    becomes(17, "y = Clip(x) hi=1.0", "y = Clamp(x, -, one)"),
    becomes(17, "y = Relu(x)\nu = Identity(y)\ng = Abs(u)", "y = Relu(x)\ng = Abs(y)\noutput u = y"),
    same(17, "y = Where(t, m, zero)"),
];
