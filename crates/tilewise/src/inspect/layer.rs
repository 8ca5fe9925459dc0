//! How a layer is written in the tables of papers: kind and stride, filter shape, input size.

use tilewise_graph::{Graph, Node, Op, ValueId};

/// What a layer is, in the words of a paper's table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    /// Kind and stride, such as `Conv dw / s2`.
    pub(super) kind: String,
    /// Filter shape, such as `3x3x32 dw`; empty where the layer has none.
    pub(super) filter: String,
    /// Size of the input without the batch, channels last, such as `112x112x32`.
    pub(super) input: String,
}

/// Describes a node of a graph whose shapes are known.
pub(super) fn describe(graph: &Graph, node: &Node) -> Words {
    let layer = Layer { graph, node };
    let plain = || (node.op.name().to_owned(), String::new());
    let (kind, filter) = layer.conv().or_else(|| layer.pool()).or_else(|| layer.product()).unwrap_or_else(plain);
    Words { kind, filter, input: size(&layer.shape(0)) }
}

struct Layer<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl Layer<'_> {
    fn input(&self, at: usize) -> Option<ValueId> {
        self.node.inputs.get(at).copied().flatten()
    }

    fn shape(&self, at: usize) -> Vec<usize> {
        self.input(at).and_then(|id| self.graph.value(id).ty.known_shape()).unwrap_or_default()
    }

    fn conv(&self) -> Option<(String, String)> {
        let w = self.shape(1);
        let [first, second, kernel @ ..] = &w[..] else { return None };
        let kernel = lengths(kernel);
        if let Op::ConvTranspose(conv) = &self.node.op {
            return Some((strided("Deconv", &conv.strides), format!("{kernel}x{first}x{}", second * conv.group)));
        }
        let Op::Conv(conv) = &self.node.op else { return None };
        let depthwise = *second == 1 && conv.group == *first && *first > 1;
        let mut kind = if depthwise { "Conv dw".to_owned() } else { "Conv".to_owned() };
        if conv.group > 1 && !depthwise {
            kind.push_str(&format!(" g{}", conv.group));
        }
        if let Some(dilation) = conv.dilations.iter().max().filter(|&&dilation| dilation > 1) {
            kind.push_str(&format!(" d{dilation}"));
        }
        let filter = if depthwise { format!("{kernel}x{first} dw") } else { format!("{kernel}x{second}x{first}") };
        Some((strided(&kind, &conv.strides), filter))
    }

    fn pool(&self) -> Option<(String, String)> {
        let pool = |kernel: &[usize]| format!("Pool {}", lengths(kernel));
        if let Op::MaxPool(op) = &self.node.op {
            return Some((strided("Max pool", &op.strides), pool(&op.kernel_shape)));
        }
        if let Op::AveragePool(op) = &self.node.op {
            return Some((strided("Avg pool", &op.strides), pool(&op.kernel_shape)));
        }
        let kind = match self.node.op.name() {
            "GlobalAveragePool" => "Avg pool",
            "GlobalMaxPool" => "Max pool",
            _ => return None,
        };
        Some((strided(kind, &[]), pool(self.shape(0).get(2..)?)))
    }

    /// Fully connected layers, and products of activations.
    fn product(&self) -> Option<(String, String)> {
        let [.., rows, columns] = self.shape(1)[..] else { return None };
        if !["Gemm", "MatMul"].contains(&self.node.op.name()) {
            return None;
        }
        let [k, n] = if let Op::Gemm(op) = &self.node.op { op.right([rows, columns]) } else { [rows, columns] };
        let kind = if self.is_learned(1) { strided("FC", &[]) } else { "MatMul".to_owned() };
        Some((kind, format!("{k}x{n}")))
    }

    /// True for a parameter, and for one with its axes in another order.
    fn is_learned(&self, at: usize) -> bool {
        let constant = |id: ValueId| self.graph.constant(id).is_some();
        self.input(at).is_some_and(|id| {
            let made = self.graph.producer(id).filter(|(_, node)| node.op.name() == "Transpose");
            constant(id) || made.is_some_and(|(_, node)| node.inputs.iter().flatten().copied().all(constant))
        })
    }
}

fn strided(kind: &str, strides: &[usize]) -> String {
    format!("{kind} / s{}", strides.iter().max().copied().unwrap_or(1))
}

/// Lengths after the batch; those of images with the channels last.
fn size(shape: &[usize]) -> String {
    match shape {
        [_, channels] => lengths(&[1, 1, *channels]),
        [_, channels, height, width] => lengths(&[*height, *width, *channels]),
        [_, rest @ ..] => lengths(rest),
        [] => String::new(),
    }
}

fn lengths(lengths: &[usize]) -> String {
    lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn layers_read_as_in_papers() {
        let text = "input x: f32[1,6,8,8]
            const a: f32[6,1,3,3] = fill
            const b: f32[4,6,1,1] = fill
            const c: f32[8,2,3,3] = fill
            const d: f32[8,3,2,2] = fill
            const e: f32[10,12] = fill
            y1 = Conv(x, a) group=6 strides=[2,2] pads=[1,1,1,1]
            y2 = Conv(y1, b)
            y3 = Conv(y2, c) group=2 dilations=[2,2] pads=[2,2,2,2]
            y4 = ConvTranspose(y3, d) strides=[2,2]
            y5 = MaxPool(y4) kernel_shape=[2,2] strides=[2,2]
            y6 = AveragePool(y5) kernel_shape=[2,2] strides=[2,2]
            y7 = Relu(y6)
            y8 = Flatten(y7)
            y9 = Gemm(y8, e) transB=1
            output y9";
        let graph: Graph = text.parse().unwrap();
        let rows = graph.order().unwrap().into_iter().map(|id| {
            let Words { kind, filter, input } = describe(&graph, graph.node(id));
            format!("{kind} | {filter} | {input}")
        });
        let expected = [
            "Conv dw / s2 | 3x3x6 dw | 8x8x6",
            "Conv / s1 | 1x1x6x4 | 4x4x6",
            "Conv g2 d2 / s1 | 3x3x2x8 | 4x4x4",
            "Deconv / s2 | 2x2x8x3 | 4x4x8",
            "Max pool / s2 | Pool 2x2 | 8x8x3",
            "Avg pool / s2 | Pool 2x2 | 4x4x3",
            "Relu |  | 2x2x3",
            "Flatten |  | 2x2x3",
            "FC / s1 | 12x10 | 1x1x12",
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
