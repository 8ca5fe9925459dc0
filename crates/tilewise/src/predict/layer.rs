//! Layers as a prediction sees them: shapes and counts, whatever the machine.

use tilewise_graph::{Arg, Args, Graph, Node, Op, ValueId, ValueType};
use tilewise_kernels::{Conv2d, Epilogue, Pads};

use crate::Error;

/// A layer of a network with known shapes.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Its name: the node's, or the first output's.
    pub name: String,
    /// Name of the operator.
    pub op: &'static str,
    /// Multiply-adds.
    pub macs: f64,
    /// The matrix products that it is, if any.
    pub products: Option<Products>,
    /// The convolution that it is, if any.
    pub conv: Option<Conv2d>,
    /// Elements of its constants.
    pub weights: f64,
    /// Elements of the other inputs.
    pub inputs: f64,
    /// Elements of the outputs.
    pub outputs: f64,
}

/// Equal matrix products `[m, k] x [k, n]`: pixels by output channels for a convolution, one product a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Products {
    /// How many.
    pub count: usize,
    /// Rows: pixels of all images.
    pub m: usize,
    /// Columns: output channels of a group.
    pub n: usize,
    /// Depth: taps times input channels of a group.
    pub k: usize,
}

impl Products {
    pub(super) fn of_conv(p: &Conv2d) -> Self {
        let m = p.n * p.oh() * p.ow();
        Products { count: p.groups, m, n: p.oc / p.groups, k: p.ic / p.groups * p.kh * p.kw }
    }
}

impl Layer {
    /// True for a convolution of each channel by itself.
    pub fn is_depthwise(&self) -> bool {
        self.conv.is_some_and(|conv| conv.groups > 1 && conv.is_depthwise())
    }

    /// True where nothing is computed or moved: another name or shape for the same elements.
    fn is_free(&self) -> bool {
        ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape", "Constant"].contains(&self.op)
    }
}

/// The layers of a network whose input shapes are fixed, in order, without those that only rename.
///
/// # Errors
/// [`Error::Graph`] for a graph whose nodes have no order.
pub fn layers(graph: &Graph) -> Result<Vec<Layer>, Error> {
    let all = graph.order()?.into_iter().map(|id| layer(graph, graph.node(id)));
    Ok(all.filter(|layer| !layer.is_free()).collect())
}

fn layer(graph: &Graph, node: &Node) -> Layer {
    let ty = |id: ValueId| &graph.value(id).ty;
    let elements = |id: ValueId| ty(id).numel().unwrap_or(0) as f64;
    let args: Vec<Option<Arg<'_>>> =
        node.inputs.iter().map(|id| id.map(|id| Arg { ty: ty(id), value: None })).collect();
    let outputs: Vec<ValueType> = node.outputs.iter().map(|&id| ty(id).clone()).collect();
    let (constants, inputs): (Vec<ValueId>, Vec<ValueId>) =
        node.inputs.iter().flatten().partition(|&&id| graph.constant(id).is_some());
    let output_name = || node.outputs.first().map_or(String::new(), |&id| graph.value(id).name.to_string());
    let conv = conv(graph, node);
    Layer {
        name: if node.name.is_empty() { output_name() } else { node.name.to_string() },
        op: node.op.name(),
        macs: node.op.macs(&Args::new(&args), &outputs) as f64,
        products: conv.map(|conv| Products::of_conv(&conv)).or_else(|| product(graph, node)),
        conv,
        weights: constants.into_iter().map(elements).sum(),
        inputs: inputs.into_iter().map(elements).sum(),
        outputs: node.outputs.iter().map(|&id| elements(id)).sum(),
    }
}

/// The problem of a convolution of images.
fn conv(graph: &Graph, node: &Node) -> Option<Conv2d> {
    let Op::Conv(op) = &node.op else { return None };
    let shape = |at: usize| graph.value((*node.inputs.get(at)?)?).ty.known_shape();
    let (x, w) = (shape(0)?, shape(1)?);
    let ([n, ic, ih, iw], [oc, _, kh, kw]) = (<[usize; 4]>::try_from(x).ok()?, <[usize; 4]>::try_from(w).ok()?);
    let window = op.window(&[ih, iw], &[kh, kw]).ok()?;
    let pair = |values: &[usize]| <[usize; 2]>::try_from(values).ok();
    let ([top, left], [bottom, right]) = (pair(&window.before)?, pair(&window.after)?);
    let [bias, residual] = [2, 3].map(|at| node.inputs.get(at).copied().flatten().is_some());
    Conv2d {
        n,
        ic,
        ih,
        iw,
        oc,
        kh,
        kw,
        stride: pair(&window.strides)?,
        dilation: pair(&window.dilations)?,
        pads: Pads { top, left, bottom, right },
        groups: op.group,
        epilogue: Epilogue { bias, residual, act: op.activation },
    }
    .validated()
    .ok()
}

/// The product of a fully connected layer, or the products of a batch.
fn product(graph: &Graph, node: &Node) -> Option<Products> {
    if !["Gemm", "MatMul"].contains(&node.op.name()) {
        return None;
    }
    let left = graph.value((*node.inputs.first()?)?).ty.known_shape()?;
    let output = graph.value(*node.outputs.first()?).ty.known_shape()?;
    let (&[.., rows, columns], &[ref batch @ .., m, n]) = (&left[..], &output[..]) else { return None };
    let [_, k] = if let Op::Gemm(op) = &node.op { op.left([rows, columns]) } else { [rows, columns] };
    Some(Products { count: batch.iter().product(), m, n, k })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_as_matrix_products() {
        let text = "input x: f32[2,6,8,8]
            const a: f32[6,1,3,3] = fill
            const b: f32[4,6,1,1] = fill
            const e: f32[10,64] = fill
            y1 = Conv(x, a) group=6 strides=[2,2] pads=[1,1,1,1]
            y2 = Conv(y1, b)
            y3 = Relu(y2)
            y4 = Flatten(y3)
            y5 = Gemm(y4, e) transB=1
            output y5";
        let graph: Graph = text.parse().unwrap();
        let found: Vec<_> =
            layers(&graph).unwrap().into_iter().map(|l| (l.name, l.products, l.macs, l.weights)).collect();
        let products = |count, m, n, k| Some(Products { count, m, n, k });
        let expected = [
            ("y1".to_owned(), products(6, 32, 1, 9), 1728.0, 54.0),
            ("y2".to_owned(), products(1, 32, 4, 6), 768.0, 24.0),
            ("y3".to_owned(), None, 0.0, 0.0),
            ("y5".to_owned(), products(1, 2, 10, 64), 1280.0, 640.0),
        ];
        assert_eq!(found, expected);
    }
}
