//! Tensors: an element type, a shape and shared row-major bytes; and borrowed views of the same.

use std::borrow::Cow;
use std::ops::Range;

use crate::{AlignedBuffer, Bytes, DType, Element, numel};

/// Why a tensor could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of bytes or elements does not fit the shape.
    #[error("a tensor {dtype}{shape:?} needs {expected} bytes, got {actual}")]
    Length {
        /// Element type asked for.
        dtype: DType,
        /// Shape asked for.
        shape: Vec<usize>,
        /// Bytes that shape takes.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The shape has more elements than memory has addresses, or than there is memory.
    #[error("a tensor {dtype}{shape:?} does not fit in memory")]
    TooLarge {
        /// Element type asked for.
        dtype: DType,
        /// Shape asked for.
        shape: Vec<usize>,
    },
    /// The tensor holds another element type.
    #[error("expected elements of {expected}, got {actual}")]
    Type {
        /// Element type asked for.
        expected: DType,
        /// Element type held.
        actual: DType,
    },
}

/// A dense row-major array. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Bytes,
}

fn byte_len(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    numel(shape)
        .and_then(|n| n.checked_mul(dtype.size()))
        .filter(|&n| isize::try_from(n).is_ok())
        .ok_or_else(|| TensorError::TooLarge { dtype, shape: shape.to_vec() })
}

impl Tensor {
    /// A tensor over shared bytes, little-endian and row-major.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the bytes are not exactly those of the shape.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Self, TensorError> {
        let expected = byte_len(dtype, shape)?;
        if bytes.len() != expected {
            return Err(TensorError::Length { dtype, shape: shape.to_vec(), expected, actual: bytes.len() });
        }
        Ok(Tensor { dtype, shape: shape.to_vec(), bytes })
    }

    /// A tensor of a copy of `values`.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the number of values is not that of the shape.
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Self, TensorError> {
        Self::copied(T::DTYPE, shape, bytemuck::cast_slice(values))
    }

    /// A boolean tensor from bytes that are 0 or 1.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the number of values is not that of the shape.
    pub fn from_bools(shape: &[usize], values: &[bool]) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = values.iter().map(|&b| u8::from(b)).collect();
        Self::copied(DType::Bool, shape, &bytes)
    }

    /// A tensor with no axis that holds one value.
    pub fn scalar<T: Element>(value: T) -> Self {
        let mut buffer = AlignedBuffer::zeroed(size_of::<T>());
        buffer.as_mut_slice::<T>()[0] = value;
        Tensor { dtype: T::DTYPE, shape: Vec::new(), bytes: buffer.into() }
    }

    /// A tensor with one axis.
    pub fn vector<T: Element>(values: &[T]) -> Self {
        let mut buffer = AlignedBuffer::zeroed(size_of_val(values));
        buffer.as_mut_slice::<T>().copy_from_slice(values);
        Tensor { dtype: T::DTYPE, shape: vec![values.len()], bytes: buffer.into() }
    }

    /// A tensor of zeros (`false` for `Bool`).
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] when there is no such memory.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, TensorError> {
        let too_large = || TensorError::TooLarge { dtype, shape: shape.to_vec() };
        let buffer = AlignedBuffer::try_zeroed(byte_len(dtype, shape)?).ok_or_else(too_large)?;
        Ok(Tensor { dtype, shape: shape.to_vec(), bytes: buffer.into() })
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the element counts differ.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, TensorError> {
        Self::from_bytes(self.dtype, shape, self.bytes.clone())
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The bytes, little-endian and row-major.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The elements; borrowed where the bytes are aligned for `T`, copied where they are not (weights inside a mapped
    /// file). `u8` also reads `Bool`.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    pub fn values<T: Element>(&self) -> Result<Cow<'_, [T]>, TensorError> {
        values(self.dtype, &self.bytes)
    }

    /// The elements of a part of the bytes, from element `range.start` to `range.end`: as they stand in memory where
    /// that is aligned, else copied to `staging`.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    ///
    /// # Panics
    /// When the range ends behind the last element.
    pub fn part<'a, T: Element>(
        &'a self,
        range: Range<usize>,
        staging: &'a mut Vec<T>,
    ) -> Result<&'a [T], TensorError> {
        match bytemuck::try_cast_slice(self.bytes_of::<T>(&range)?) {
            Ok(values) => Ok(values),
            Err(_) => Ok(self.copy_part(range, staging)?),
        }
    }

    /// A copy of a range of the elements in `staging`, which grows where it is too short.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the tensor holds another type.
    ///
    /// # Panics
    /// When the range ends behind the last element.
    pub fn copy_part<'a, T: Element>(
        &self,
        range: Range<usize>,
        staging: &'a mut Vec<T>,
    ) -> Result<&'a mut [T], TensorError> {
        let bytes = self.bytes_of::<T>(&range)?;
        if staging.len() < range.len() {
            staging.resize(range.len(), bytemuck::Zeroable::zeroed());
        }
        let copy = &mut staging[..range.len()];
        bytemuck::cast_slice_mut(copy).copy_from_slice(bytes);
        Ok(copy)
    }

    fn bytes_of<T: Element>(&self, range: &Range<usize>) -> Result<&[u8], TensorError> {
        if self.dtype != T::DTYPE {
            return Err(TensorError::Type { expected: T::DTYPE, actual: self.dtype });
        }
        Ok(&self.bytes[range.start * size_of::<T>()..range.end * size_of::<T>()])
    }

    /// A borrowed view.
    pub fn view(&self) -> View<'_> {
        View { dtype: self.dtype, shape: &self.shape, bytes: &self.bytes }
    }

    fn copied(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, TensorError> {
        let mut buffer = AlignedBuffer::zeroed(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        Self::from_bytes(dtype, shape, buffer.into())
    }
}

fn values<T: Element>(dtype: DType, bytes: &[u8]) -> Result<Cow<'_, [T]>, TensorError> {
    if dtype != T::DTYPE && !(dtype == DType::Bool && T::DTYPE == DType::U8) {
        return Err(TensorError::Type { expected: T::DTYPE, actual: dtype });
    }
    Ok(match bytemuck::try_cast_slice(bytes) {
        Ok(slice) => Cow::Borrowed(slice),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    })
}

/// A borrowed tensor: what a run reads its inputs from, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: DType,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// A view of `values`, row-major.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the number of values is not that of the shape.
    pub fn new<T: Element>(shape: &'a [usize], values: &'a [T]) -> Result<Self, TensorError> {
        let (expected, actual) = (byte_len(T::DTYPE, shape)?, size_of_val(values));
        if expected != actual {
            return Err(TensorError::Length { dtype: T::DTYPE, shape: shape.to_vec(), expected, actual });
        }
        Ok(View { dtype: T::DTYPE, shape, bytes: bytemuck::cast_slice(values) })
    }

    /// A view of the first bytes of `bytes`, little-endian and row-major; what follows is left out.
    ///
    /// # Errors
    /// [`TensorError::Length`] when there are fewer bytes than the shape takes.
    pub fn from_bytes(dtype: DType, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, TensorError> {
        let (expected, actual) = (byte_len(dtype, shape)?, bytes.len());
        let bytes = bytes.get(..expected);
        let bytes = bytes.ok_or_else(|| TensorError::Length { dtype, shape: shape.to_vec(), expected, actual })?;
        Ok(View { dtype, shape, bytes })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The bytes, row-major.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements; borrowed where the bytes are aligned for `T`. `u8` also reads `Bool`.
    ///
    /// # Errors
    /// [`TensorError::Type`] when the view is of another type.
    pub fn values<T: Element>(&self) -> Result<Cow<'a, [T]>, TensorError> {
        values(self.dtype, self.bytes)
    }

    /// A tensor with a copy of the bytes.
    pub fn to_tensor(&self) -> Tensor {
        let mut buffer = AlignedBuffer::zeroed(self.bytes.len());
        buffer.bytes_mut().copy_from_slice(self.bytes);
        Tensor { dtype: self.dtype, shape: self.shape.to_vec(), bytes: buffer.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misaligned_bytes_are_copied_and_equal() {
        let mut buffer = AlignedBuffer::zeroed(9);
        buffer.bytes_mut()[1..9].copy_from_slice(bytemuck::cast_slice(&[1.0f32, 2.0]));
        let bytes = Bytes::from(buffer).slice(1..9).unwrap();
        let tensor = Tensor::from_bytes(DType::F32, &[2], bytes).unwrap();
        assert!(matches!(tensor.values::<f32>().unwrap(), Cow::Owned(v) if v == [1.0, 2.0]));
        let mut staging: Vec<f32> = Vec::new();
        assert_eq!(tensor.part(1..2, &mut staging).unwrap(), [2.0]);
        assert_eq!(Tensor::vector(&[1.0f32, 2.0]).part(0..1, &mut staging).unwrap(), [1.0]);
        assert_eq!(staging, [2.0]);
        assert!(tensor.part::<i64>(0..0, &mut Vec::new()).is_err());
    }

    #[test]
    fn wrong_lengths_types_and_sizes_are_errors() {
        assert!(matches!(Tensor::from_slice(&[3], &[1i32, 2]), Err(TensorError::Length { .. })));
        assert!(matches!(Tensor::scalar(1i64).values::<f32>(), Err(TensorError::Type { .. })));
        assert!(matches!(Tensor::zeros(DType::F32, &[1 << 40, 1 << 40]), Err(TensorError::TooLarge { .. })));
        assert_eq!(&*Tensor::from_bools(&[2], &[true, false]).unwrap().values::<u8>().unwrap(), [1, 0]);
    }
}
