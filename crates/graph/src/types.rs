//! Types of values: an element type and a shape whose lengths may be symbols or unknown.

use std::fmt;
use std::sync::Arc;

use tilewise_tensor::DType;

/// The length of one axis.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Dim {
    /// A number.
    Known(usize),
    /// A name: the same name is the same length.
    Symbol(Arc<str>),
    /// Decided by the data, or not expressible by a name.
    Unknown,
}

impl Dim {
    /// The number, where it is one.
    pub fn known(&self) -> Option<usize> {
        match self {
            Dim::Known(n) => Some(*n),
            Dim::Symbol(_) | Dim::Unknown => None,
        }
    }

    /// `f` of the number; a symbol or an unknown length gives an unknown one.
    pub fn map(&self, f: impl FnOnce(usize) -> usize) -> Dim {
        self.known().map_or(Dim::Unknown, |n| Dim::Known(f(n)))
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim::Known(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Symbol(name) => write!(f, "{name}"),
            Dim::Unknown => write!(f, "?"),
        }
    }
}

/// The type of a value. Without a shape not even the number of axes is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ValueType {
    /// Element type.
    pub dtype: DType,
    /// Length of each axis.
    pub shape: Option<Vec<Dim>>,
}

impl ValueType {
    /// A type with every length known.
    pub fn known(dtype: DType, shape: &[usize]) -> Self {
        ValueType { dtype, shape: Some(shape.iter().map(|&n| Dim::Known(n)).collect()) }
    }

    /// A type with a shape of numbers, symbols and unknowns.
    pub fn new(dtype: DType, shape: Vec<Dim>) -> Self {
        ValueType { dtype, shape: Some(shape) }
    }

    /// A type of unknown rank.
    pub fn unranked(dtype: DType) -> Self {
        ValueType { dtype, shape: None }
    }

    /// The lengths, where all are numbers.
    pub fn known_shape(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().map(Dim::known).collect()
    }

    /// The number of axes.
    pub fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }

    /// True when a tensor of this shape can be such a value: every length that is a number is that of the shape.
    pub fn admits(&self, shape: &[usize]) -> bool {
        let same = |(dim, &n): (&Dim, &usize)| dim.known().is_none_or(|known| known == n);
        self.shape.as_ref().is_none_or(|dims| dims.len() == shape.len() && dims.iter().zip(shape).all(same))
    }

    /// The number of elements, where all lengths are numbers and their product fits.
    pub fn numel(&self) -> Option<usize> {
        tilewise_tensor::numel(&self.known_shape()?)
    }
}

/// `f32[1,3,N,?]`, or `f32[*]` without a shape.
impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = match &self.shape {
            None => "*".to_owned(),
            Some(shape) => shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(","),
        };
        write!(f, "{}[{lengths}]", self.dtype)
    }
}
