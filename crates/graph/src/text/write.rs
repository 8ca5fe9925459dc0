//! Writing a graph as text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use tilewise_tensor::{DType, Tensor, TensorError};

use super::{WRITTEN_OUT, is_bare};
use crate::{Constant, Dim, Graph, NodeId, ValueId, ValueType};

/// The text form, see [`crate::text`]. Constants stand before the first node that reads them; what nothing reads is
/// left out.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Names { graph: self, given: HashMap::new(), taken: HashSet::new() };
        for &id in self.inputs() {
            writeln!(f, "input {}: {}", names.of(id), shown_type(&self.value(id).ty))?;
        }
        // A graph with a cycle can still be shown, in the order it was built in.
        let order = self.order().unwrap_or_else(|_| self.nodes().map(|(id, _)| id).collect());
        for id in order {
            for &input in self.node(id).inputs.iter().flatten() {
                write_constant(f, &mut names, input)?;
            }
            write_node(f, &mut names, id)?;
        }
        for (name, id) in self.outputs() {
            write_constant(f, &mut names, *id)?;
            let (name, value) = (quoted(name), names.of(*id));
            if name == value { writeln!(f, "output {name}")? } else { writeln!(f, "output {name} = {value}")? }
        }
        Ok(())
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, names: &mut Names<'_>, id: NodeId) -> fmt::Result {
    let node = names.graph.node(id);
    let inputs: Vec<String> = node.inputs.iter().map(|id| id.map_or("-".to_owned(), |id| names.of(id))).collect();
    let outputs: Vec<String> = node.outputs.iter().map(|&id| names.of(id)).collect();
    write!(f, "{} = {}({})", outputs.join(", "), node.op.name(), inputs.join(", "))?;
    for (name, value) in node.op.attributes() {
        write!(f, " {name}={value}")?;
    }
    writeln!(f)
}

/// Writes the line of a value that is a constant and was not named before.
fn write_constant(f: &mut fmt::Formatter<'_>, names: &mut Names<'_>, id: ValueId) -> fmt::Result {
    let Some(constant) = names.graph.constant(id) else { return Ok(()) };
    if names.given.contains_key(&id) {
        return Ok(());
    }
    let stored = constant.stored();
    write!(f, "const {}: {} =", names.of(id), ValueType::known(stored.dtype(), stored.shape()))?;
    write_values(f, stored)?;
    if let Constant::Scaled { scale, .. } = constant {
        write!(f, " scaled")?;
        write_values(f, &Tensor::vector(scale))?;
    }
    writeln!(f)
}

fn write_values(f: &mut fmt::Formatter<'_>, tensor: &Tensor) -> fmt::Result {
    if tensor.numel() > WRITTEN_OUT {
        return write!(f, " fill");
    }
    macro_rules! numbers {
        ($(($variant:ident, $rust:ty, $name:literal)),*) => {
            match tensor.dtype() {
                $(DType::$variant => tensor.values::<$rust>().map(|v| v.iter().map(|x| format!("{x:?}")).collect()),)*
                DType::Bool => tensor.values::<u8>().map(|v| v.iter().map(u8::to_string).collect()),
            }
        };
    }
    let numbers: Result<Vec<String>, TensorError> = tilewise_tensor::for_each_dtype!(numbers);
    for number in numbers.map_err(|_| fmt::Error)? {
        write!(f, " {}", number.strip_suffix(".0").unwrap_or(&number))?;
    }
    Ok(())
}

/// The names that values have in one text, each given on first sight.
struct Names<'a> {
    graph: &'a Graph,
    given: HashMap<ValueId, String>,
    taken: HashSet<String>,
}

impl Names<'_> {
    fn of(&mut self, id: ValueId) -> String {
        if let Some(name) = self.given.get(&id) {
            return name.clone();
        }
        let name = &*self.graph.value(id).name;
        let candidates = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}~{n}")));
        let free = candidates.into_iter().find(|candidate| self.taken.insert(candidate.clone()));
        let shown = quoted(&free.unwrap_or_default());
        self.given.insert(id, shown.clone());
        shown
    }
}

fn quoted(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { format!("{name:?}") }
}

fn shown_type(ty: &ValueType) -> String {
    let symbol = |dim: &Dim| match dim {
        Dim::Symbol(name) if !is_bare(name) || name.starts_with(|c: char| "?*".contains(c) || c.is_ascii_digit()) => {
            Dim::Symbol(format!("{name:?}").into())
        }
        Dim::Known(_) | Dim::Symbol(_) | Dim::Unknown => dim.clone(),
    };
    let shape = ty.shape.as_ref().map(|shape| shape.iter().map(symbol).collect());
    ValueType { dtype: ty.dtype, shape }.to_string()
}
