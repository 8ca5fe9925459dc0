//! Attributes of a node as the graph's operators read them, and the few that are more than values.

use std::collections::{BTreeMap, BTreeSet};

use tilewise_graph::attr::{Attr, AttrMap};
use tilewise_tensor::Tensor;

use super::error::{ImportError, shown};
use super::external::External;
use super::proto::{AttributeProto, NodeProto};
use super::site::Site;
use super::tensor::tensor;
use super::wire::Nested;

/// Numbers of the attribute types that are read, and the names of the others.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT: i64 = 2;
pub(crate) const STRING: i64 = 3;
pub(crate) const TENSOR: i64 = 4;
const GRAPH: i64 = 5;
pub(crate) const FLOATS: i64 = 6;
pub(crate) const INTS: i64 = 7;
const OTHERS: &[(i64, &str)] = &[
    (8, "texts"),
    (9, "tensors"),
    (10, "graphs"),
    (11, "a sparse tensor"),
    (12, "sparse tensors"),
    (13, "a type"),
    (14, "types"),
];

/// The attributes of one node.
#[derive(Default)]
pub(crate) struct Attributes {
    /// Those that are numbers or texts.
    pub(crate) map: AttrMap,
    /// Those that are tensors.
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

/// Reads a node's attributes; graphs are left to [`branches`].
///
/// # Errors
/// [`ImportError::Node`] for misshapen ones, [`ImportError::Unsupported`] for types that no operator here has, those
/// of [`tensor`].
pub(crate) fn attributes(node: &NodeProto, site: &Site, external: &mut External) -> Result<Attributes, ImportError> {
    let mut out = Attributes::default();
    let mut names = BTreeSet::new();
    for attribute in &node.attributes {
        let wrong = |reason: &str| site.invalid(format!("attribute '{}' {reason}", shown(&attribute.name)));
        if !attribute.ref_attr_name.is_empty() {
            return Err(wrong("refers to a function's parameter outside of a function"));
        }
        if !names.insert(&attribute.name) {
            return Err(wrong("is given twice"));
        }
        let attr = match attribute.kind {
            FLOAT => Attr::Float(attribute.float.unwrap_or_default()),
            INT => Attr::Int(attribute.int.unwrap_or_default()),
            STRING => Attr::Str(text(attribute).ok_or_else(|| wrong("is no UTF-8"))?),
            FLOATS => Attr::Floats(attribute.floats.clone()),
            INTS => Attr::Ints(attribute.ints.clone()),
            GRAPH => continue,
            TENSOR => {
                let proto = attribute.tensor.as_ref().ok_or_else(|| wrong("holds no tensor"))?;
                out.tensors.insert(attribute.name.clone(), tensor(proto, external)?);
                continue;
            }
            kind => match OTHERS.iter().find(|(number, _)| *number == kind) {
                Some((_, what)) => return Err(unsupported(site, attribute, what)),
                None => return Err(wrong(&format!("is of type {kind}, which ONNX does not have"))),
            },
        };
        out.map.0.insert(attribute.name.clone(), attr);
    }
    Ok(out)
}

/// The branches of a node by the names of their attributes.
pub(crate) fn branches(node: &NodeProto) -> impl Iterator<Item = &Nested> {
    node.attributes.iter().filter(|a| a.kind == GRAPH).map(|a| &a.graph)
}

/// The branch `name` of a node.
pub(crate) fn branch<'a>(node: &'a NodeProto, name: &str) -> Option<&'a Nested> {
    node.attributes.iter().find(|a| a.kind == GRAPH && a.name == name).map(|a| &a.graph)
}

fn text(attribute: &AttributeProto) -> Option<String> {
    let bytes = attribute.text.held().map(|bytes| &**bytes).unwrap_or_default();
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn unsupported(site: &Site, attribute: &AttributeProto, what: &str) -> ImportError {
    site.unsupported(format!("attribute '{}' holds {what}", shown(&attribute.name)))
}
