//! Numbers of any element type in reference evaluation: read wide, computed, stored narrow; and the lines of elements
//! that reductions and normalizations walk.

use tilewise_tensor::{DType, Tensor, TensorError, bf16, f16, numel, strides};

use super::support::{Positions, floats, from_floats};
use super::{Arg, Args, Operator};
use crate::{Dim, OpError, ValueType};

/// Most elements of an output that reference evaluation makes. It keeps up to 16 bytes of index beside an element: 4 GiB.
const LARGEST_OUTPUT: usize = 1 << 28;

/// The types of the outputs by the operator's own shape rule, so that what the rule refuses never reaches the
/// evaluation; nor does what would not fit in memory.
pub(super) fn check_inputs(op: &impl Operator, inputs: &[Option<&Tensor>]) -> Result<Vec<ValueType>, OpError> {
    let known = |tensor: &Tensor| ValueType::known(tensor.dtype(), tensor.shape());
    let types: Vec<Option<ValueType>> = inputs.iter().map(|input| input.map(known)).collect();
    let args: Vec<Option<Arg<'_>>> =
        types.iter().zip(inputs).map(|(ty, &value)| Some(Arg { ty: ty.as_ref()?, value })).collect();
    let outputs = op.infer(&Args::new(&args))?;
    // Inputs are in memory already, but for the lengths beside a zero, which evaluation may walk.
    let empty = types.iter().flatten().filter(|ty| ty.numel() == Some(0));
    for ty in empty.chain(&outputs) {
        if let Some(shape) = ty.known_shape()
            && numel(&shape.iter().map(|&len| len.max(1)).collect::<Vec<_>>()).is_none_or(|n| n > LARGEST_OUTPUT)
        {
            return Err(TensorError::TooLarge { dtype: ty.dtype, shape }.into());
        }
    }
    Ok(outputs)
}

/// The element types and shapes of the outputs of an operator whose shapes follow from its inputs.
pub(crate) fn output_types(
    op: &impl Operator,
    inputs: &[Option<&Tensor>],
) -> Result<Vec<(DType, Vec<usize>)>, OpError> {
    let open = |ty: &ValueType| OpError::invalid(format!("the lengths of {ty} stay unknown"));
    let outputs = check_inputs(op, inputs)?.into_iter();
    outputs.map(|ty| Ok((ty.dtype, ty.known_shape().ok_or_else(|| open(&ty))?))).collect()
}

/// [`output_types`] of an operator with one output, or of its first.
pub(crate) fn output_type(op: &impl Operator, inputs: &[Option<&Tensor>]) -> Result<(DType, Vec<usize>), OpError> {
    let first = output_types(op, inputs)?.into_iter().next();
    first.ok_or_else(|| OpError::invalid("the operator has no output"))
}

/// The elements of a tensor, wide enough to compute with.
pub(crate) enum Numbers {
    /// Floating-point elements.
    Real(Vec<f64>),
    /// Integers; a bool is 0 or 1.
    Int(Vec<i128>),
}

impl Numbers {
    pub(crate) fn of(tensor: &Tensor) -> Result<Numbers, OpError> {
        if tensor.dtype().is_float() { reals(tensor).map(Numbers::Real) } else { integers(tensor).map(Numbers::Int) }
    }

    /// The tensor of these numbers as `dtype`: rounded once, or wrapped.
    pub(crate) fn store(&self, dtype: DType, shape: &[usize]) -> Result<Tensor, OpError> {
        match self {
            Numbers::Real(values) => store_reals(dtype, shape, values),
            Numbers::Int(values) => store_integers(dtype, shape, values),
        }
    }
}

/// The elements of a floating-point tensor.
pub(crate) fn reals(tensor: &Tensor) -> Result<Vec<f64>, OpError> {
    if tensor.dtype() == DType::F64 {
        return Ok(tensor.values::<f64>()?.into_owned());
    }
    Ok(floats(tensor)?.iter().map(|&x| f64::from(x)).collect())
}

/// A floating-point tensor of type `dtype`; f16 and bf16 are rounded by way of f32.
pub(crate) fn store_reals(dtype: DType, shape: &[usize], values: &[f64]) -> Result<Tensor, OpError> {
    if dtype == DType::F64 {
        return Ok(Tensor::from_slice(shape, values)?);
    }
    from_floats(dtype, shape, values.iter().map(|&x| x as f32).collect())
}

/// `x` rounded to the floating-point type `dtype`; other types leave it.
pub(crate) fn round_to(dtype: DType, x: f64) -> f64 {
    if dtype == DType::F16 {
        f64::from(f16::from_f32(x as f32))
    } else if dtype == DType::BF16 {
        f64::from(bf16::from_f32(x as f32))
    } else if dtype == DType::F32 {
        f64::from(x as f32)
    } else {
        x
    }
}

macro_rules! integer_types {
    ($($variant:ident: $rust:ty),*) => {
        /// The elements of an integer or boolean tensor.
        pub(crate) fn integers(tensor: &Tensor) -> Result<Vec<i128>, OpError> {
            match tensor.dtype() {
                $(DType::$variant => Ok(tensor.values::<$rust>()?.iter().map(|&x| x.into()).collect()),)*
                DType::Bool => Ok(tensor.values::<u8>()?.iter().map(|&x| x.into()).collect()),
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
                    Err(OpError::invalid(format!("expected integers, got {}", tensor.dtype())))
                }
            }
        }

        /// A tensor of integers, each wrapped to the type `dtype`.
        pub(crate) fn store_integers(dtype: DType, shape: &[usize], values: &[i128]) -> Result<Tensor, OpError> {
            match dtype {
                $(DType::$variant => {
                    let wrapped: Vec<$rust> = values.iter().map(|&x| x as $rust).collect();
                    Ok(Tensor::from_slice(shape, &wrapped)?)
                })*
                DType::Bool => Ok(Tensor::from_bools(shape, &values.iter().map(|&x| x != 0).collect::<Vec<_>>())?),
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
                    Err(OpError::invalid(format!("integers are no elements of {dtype}")))
                }
            }
        }
    };
}

integer_types!(I64: i64, I32: i32, I16: i16, I8: i8, U64: u64, U32: u32, U16: u16, U8: u8);

/// The lines of a tensor along some of its axes: element `e` of line `l` stands at `starts[l] + steps[e]`. Lines are
/// in row-major order of the other axes, the elements of a line in row-major order of `axes`.
pub(crate) struct Lines {
    pub(crate) starts: Vec<usize>,
    pub(crate) steps: Vec<usize>,
}

impl Lines {
    /// `axes` are sorted and within the shape.
    pub(crate) fn along(shape: &[usize], axes: &[usize]) -> Lines {
        let all = strides(shape);
        let walk = |inside: bool| {
            let chosen = (0..shape.len()).filter(|axis| axes.contains(axis) == inside);
            let (lengths, steps): (Vec<usize>, Vec<usize>) = chosen.map(|axis| (shape[axis], all[axis])).unzip();
            Positions::new(&lengths, &steps).collect()
        };
        Lines { starts: walk(false), steps: walk(true) }
    }

    /// The elements of each line.
    pub(crate) fn gather<'a, T: Copy>(&'a self, values: &'a [T]) -> impl Iterator<Item = Vec<T>> + 'a {
        self.starts.iter().map(move |start| self.steps.iter().map(|step| values[start + step]).collect())
    }

    /// Replaces the elements of each line by `f` of them.
    pub(crate) fn update<T: Copy>(&self, values: &mut [T], mut f: impl FnMut(&mut [T])) {
        let mut line = Vec::with_capacity(self.steps.len());
        for start in &self.starts {
            line.clear();
            line.extend(self.steps.iter().map(|step| values[start + step]));
            f(&mut line);
            for (step, &value) in self.steps.iter().zip(&line) {
                values[start + step] = value;
            }
        }
    }
}

/// The axes that `axes`, negative from the end, name among `rank`, sorted; each may be named once.
pub(crate) fn resolve_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut resolved: Vec<usize> =
        axes.iter().map(|&axis| super::support::resolve_axis(axis, rank)).collect::<Result<_, _>>()?;
    resolved.sort_unstable();
    if resolved.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(OpError::invalid(format!("axes {axes:?} name one axis twice")));
    }
    Ok(resolved)
}

/// An error unless the input, where its shape is known, has the lengths `expected`; open lengths fit any.
pub(crate) fn expect_shape(arg: &Arg<'_>, what: &str, expected: &[Dim]) -> Result<(), OpError> {
    let Some(shape) = arg.shape() else { return Ok(()) };
    let fits = |(a, b): (&Dim, &Dim)| a.known().zip(b.known()).is_none_or(|(a, b)| a == b);
    if shape.len() == expected.len() && shape.iter().zip(expected).all(fits) {
        return Ok(());
    }
    let expected = expected.iter().map(Dim::to_string).collect::<Vec<_>>().join(",");
    Err(OpError::invalid(format!("{what} is {}, expected the shape [{expected}]", arg.ty)))
}

/// An error unless the input, where its shape is known, broadcasts to `to` without changing it.
pub(crate) fn expect_broadcast(arg: &Arg<'_>, what: &str, to: &[Dim]) -> Result<(), OpError> {
    let Some(shape) = arg.shape() else { return Ok(()) };
    let fits = |(a, b): (&Dim, &Dim)| a.known().zip(b.known()).is_none_or(|(a, b)| a == 1 || a == b);
    if shape.len() <= to.len() && shape.iter().rev().zip(to.iter().rev()).all(fits) {
        return Ok(());
    }
    let to = to.iter().map(Dim::to_string).collect::<Vec<_>>().join(",");
    Err(OpError::invalid(format!("{what} {} does not broadcast to [{to}]", arg.ty)))
}

/// An error unless the input holds elements of one of `types`.
pub(crate) fn expect_dtype(arg: &Arg<'_>, what: &str, types: &[DType]) -> Result<(), OpError> {
    if types.contains(&arg.dtype()) {
        return Ok(());
    }
    let names = types.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
    Err(OpError::invalid(format!("{what} holds {}, expected one of {names}", arg.dtype())))
}

/// Checks the two optional inputs from `first` on that convolutions and matrix products add to their sums: a bias, one
/// number a channel, and a residual like the output. `output` is the output's shape and the number of channels.
pub(crate) fn check_extras(
    args: &Args<'_>,
    first: usize,
    dtype: DType,
    output: Option<(&[Dim], &Dim)>,
) -> Result<(), OpError> {
    for (index, what) in [(first, "the bias"), (first + 1, "the residual")] {
        let Some(arg) = args.get(index) else { continue };
        expect_dtype(&arg, what, &[dtype])?;
        if let Some((shape, channels)) = output {
            expect_shape(&arg, what, if index == first { std::slice::from_ref(channels) } else { shape })?;
        }
    }
    Ok(())
}

/// Brings a line to mean 0 and variance 1, `epsilon` being added to its variance.
pub(crate) fn standardize(line: &mut [f64], epsilon: f64) {
    let (mean, inverse) = moments(line, epsilon);
    line.iter_mut().for_each(|x| *x = (*x - mean) * inverse);
}

/// The mean of a line and `1 / sqrt(variance + epsilon)`.
pub(crate) fn moments(line: &[f64], epsilon: f64) -> (f64, f64) {
    let count = line.len() as f64;
    let mean = line.iter().sum::<f64>() / count;
    let variance = line.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}
