//! What kind of layer a node is, in the few words that summaries group by.

use tilewise_graph::{Graph, Node, Op};

/// The operator's name; of a convolution also what it does to channels, its kernel and its stride: `Conv dw 3x3 s2`.
pub(super) fn kind(graph: &Graph, node: &Node) -> String {
    let name = node.op.name();
    let weights = node.inputs.get(1).copied().flatten();
    let shape = weights.and_then(|id| graph.value(id).ty.known_shape()).unwrap_or_default();
    let (Op::Conv(op), [_, channels, kernel @ ..]) = (&node.op, &shape[..]) else { return name.to_owned() };
    let groups = match (op.group, channels) {
        (1, _) => String::new(),
        (_, 1) => " dw".to_owned(),
        (groups, _) => format!(" g{groups}"),
    };
    let kernel: Vec<String> = kernel.iter().map(usize::to_string).collect();
    let stride = op.strides.iter().copied().max().filter(|&stride| stride > 1);
    let stride = stride.map_or(String::new(), |stride| format!(" s{stride}"));
    format!("{name}{groups} {}{stride}", kernel.join("x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_are_told_apart_by_channels_kernel_and_stride() {
        let text = "input x: f32[1,6,8,8]
            const a: f32[6,1,3,3] = fill
            const b: f32[4,6,1,1] = fill
            const c: f32[8,2,3,3] = fill
            y1 = Conv(x, a) group=6 strides=[2,2] pads=[1,1,1,1]
            y2 = Conv(y1, b)
            y3 = Conv(y2, c) group=2 pads=[1,1,1,1]
            y4 = GlobalAveragePool(y3)
            output y4";
        let graph: Graph = text.parse().unwrap();
        let kinds = graph.order().unwrap().into_iter().map(|id| kind(&graph, graph.node(id)));
        assert_eq!(kinds.collect::<Vec<_>>(), ["Conv dw 3x3 s2", "Conv 1x1", "Conv g2 3x3", "GlobalAveragePool"]);
    }
}
