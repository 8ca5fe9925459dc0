//! Tensors in NumPy's files: `.npy` and `.npz` in, `.npz` out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use npyz::{Endianness, NpyHeader, Order, TypeChar, WriterBuilder};
use tilewise_tensor::{AlignedBuffer, DType, Tensor, bf16, numel, strides};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Why a file of tensors could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An array that is no tensor, or no array at all.
    #[error("{}: {array}{reason}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// `array 'name': `, or nothing where the file is one array.
        array: String,
        /// What is wrong.
        reason: String,
    },
}

/// The arrays of a `.npz` file by name, in the file's order, or the one of a `.npy` file under an empty name. Either
/// byte order and either order of axes is read. Which of the two a file is, its first bytes say.
///
/// # Errors
/// [`NpyError::Io`], and [`NpyError::Array`] for element types that are no [`DType`] (NumPy has no bf16) and for
/// arrays whose data is not as long as their shape.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, NpyError> {
    let io_error = |source| NpyError::Io { path: path.to_path_buf(), source };
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(4).read_to_end(&mut start)).map_err(io_error)?;
    let mut file = BufReader::new(File::open(path).map_err(io_error)?);
    let bad = |array: String| move |reason| NpyError::Array { path: path.to_path_buf(), array, reason };
    if start != *b"PK\x03\x04" && start != *b"PK\x05\x06" {
        return Ok(vec![(String::new(), array(&mut file).map_err(bad(String::new()))?)]);
    }
    let mut zip = ZipArchive::new(file).map_err(|error| io_error(error.into()))?;
    let mut names = BTreeSet::new();
    let mut out = Vec::new();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| io_error(error.into()))?;
        let member_name = member.name().map_err(|error| io_error(error.into()))?.into_owned();
        let Some(name) = member_name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let bad = bad(format!("array '{}': ", name.escape_debug()));
        if !names.insert(name.clone()) {
            return Err(bad("a second one of this name".to_owned()));
        }
        out.push((name, array(&mut member).map_err(bad)?));
    }
    Ok(out)
}

/// Writes a `.npz` file of named arrays, uncompressed. NumPy has no bf16: such tensors become f32, which holds every
/// value of theirs.
///
/// # Errors
/// [`NpyError::Io`].
pub fn write_npz(path: &Path, arrays: &[(&str, &Tensor)]) -> Result<(), NpyError> {
    let io_error = |source| NpyError::Io { path: path.to_path_buf(), source };
    let file = BufWriter::new(File::create(path).map_err(io_error)?);
    let mut npz = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, tensor) in arrays {
        let bad = |reason| NpyError::Array { path: path.to_path_buf(), array: format!("array '{name}': "), reason };
        let tensor = &widened(tensor).map_err(|error| bad(error.to_string()))?;
        let shape: Vec<u64> = tensor.shape().iter().map(|&n| n as u64).collect();
        let dtype: npyz::TypeStr = type_text(tensor.dtype()).parse().map_err(|_| bad("no type".to_owned()))?;
        npz.start_file(format!("{name}.npy"), options).map_err(|error| io_error(error.into()))?;
        let writer = npyz::WriteOptions::<u8>::new().writer(&mut npz);
        let writer = writer.dtype(npyz::DType::Plain(dtype)).shape(&shape).write_header_only().map_err(io_error)?;
        io::Write::write_all(writer, tensor.bytes()).map_err(io_error)?;
    }
    npz.finish().map_err(|error| io_error(error.into()))?;
    Ok(())
}

fn widened(tensor: &Tensor) -> Result<Tensor, tilewise_tensor::TensorError> {
    if tensor.dtype() != DType::BF16 {
        return Ok(tensor.clone());
    }
    let values: Vec<f32> = tensor.values::<bf16>()?.iter().map(|x| x.to_f32()).collect();
    Tensor::from_slice(tensor.shape(), &values)
}

/// NumPy's name of an element type, such as `<f4`.
fn type_text(dtype: DType) -> String {
    let kind = match dtype {
        DType::F64 | DType::F32 | DType::F16 | DType::BF16 => 'f',
        DType::I64 | DType::I32 | DType::I16 | DType::I8 => 'i',
        DType::U64 | DType::U32 | DType::U16 | DType::U8 => 'u',
        DType::Bool => 'b',
    };
    let order = if dtype.size() == 1 { '|' } else { '<' };
    format!("{order}{kind}{}", dtype.size())
}

/// Longest header, in bytes: NumPy's own limit.
const LONGEST_HEADER: usize = 10_000;

/// Reads one array: header, then data.
fn array(reader: &mut impl Read) -> Result<Tensor, String> {
    let header = header(reader)?;
    let shape: Option<Vec<usize>> = header.shape().iter().map(|&n| usize::try_from(n).ok()).collect();
    let too_large = || format!("{:?} is too large", header.shape());
    let shape = shape.ok_or_else(too_large)?;
    let (dtype, order) = dtype(&header.dtype())?;
    let len = numel(&shape).and_then(|n| n.checked_mul(dtype.size())).ok_or_else(too_large)?;
    // Read as far as the file goes, not allocated as far as the header says.
    let mut bytes = Vec::new();
    reader.take(len as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() != len {
        return Err(format!("{dtype}{shape:?} needs {len} bytes, the file has {}", bytes.len()));
    }
    if order == Endianness::Big {
        bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
    }
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    let mut buffer = AlignedBuffer::try_zeroed(len).ok_or_else(too_large)?;
    match header.order() {
        Order::C => buffer.bytes_mut().copy_from_slice(&bytes),
        Order::Fortran => transpose(&bytes, &shape, dtype.size(), buffer.bytes_mut()),
    }
    Tensor::from_bytes(dtype, &shape, buffer.into()).map_err(|error| error.to_string())
}

/// Elements of `size` bytes, first axis fastest, into the same with the last axis fastest.
fn transpose(from: &[u8], shape: &[usize], size: usize, to: &mut [u8]) {
    let steps = strides(shape);
    let mut index = vec![0; shape.len()];
    for element in from.chunks_exact(size) {
        let at: usize = index.iter().zip(&steps).map(|(i, step)| i * step).sum();
        to[at * size..][..size].copy_from_slice(element);
        for (i, &len) in index.iter_mut().zip(shape) {
            *i += 1;
            if *i < len {
                break;
            }
            *i = 0;
        }
    }
}

fn dtype(dtype: &npyz::DType) -> Result<(DType, Endianness), String> {
    let npyz::DType::Plain(plain) = dtype else { return Err("a record is no tensor".to_owned()) };
    let text = plain.to_string();
    let name = text.get(1..).unwrap_or_default();
    if plain.type_char() == TypeChar::Object {
        return Err("Python objects are not read".to_owned());
    }
    let names = |dtype: &&DType| **dtype != DType::BF16 && type_text(**dtype).get(1..) == Some(name);
    let found = DType::ALL.iter().find(names).ok_or_else(|| format!("elements of type {text} are not read"))?;
    Ok((*found, plain.endianness()))
}

/// Reads the header, which must be one that NumPy writes: the parser recurses as deep as brackets nest, multiplies
/// the lengths without a check, and allocates what the length field says.
fn header(reader: &mut impl Read) -> Result<NpyHeader, String> {
    let mut block = read_some(reader, 8)?;
    if !block.starts_with(b"\x93NUMPY") {
        return Err("no array of NumPy: it does not begin with \\x93NUMPY".to_owned());
    }
    let length = read_some(reader, if block[6] == 1 { 2 } else { 4 })?;
    let count = length.iter().rev().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
    if count > LONGEST_HEADER {
        return Err(format!("a header of {count} bytes, expected at most {LONGEST_HEADER}"));
    }
    block.extend(length);
    let text = read_some(reader, count)?;
    let nested = text.iter().filter(|byte| b"([{".contains(byte)).count() > 8;
    let mut numbers = text.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty());
    let product = numbers.try_fold(1u64, |product, run| {
        let number: u64 = std::str::from_utf8(run).ok()?.parse().ok()?;
        product.checked_mul(number.max(1))
    });
    if nested || product.is_none() {
        return Err("the header describes no tensor that fits in memory".to_owned());
    }
    block.extend(text);
    NpyHeader::from_reader(block.as_slice()).map_err(|error| error.to_string())
}

fn read_some(reader: &mut impl Read, count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    reader.read_exact(&mut bytes).map_err(|error| format!("the header: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn every_type_survives_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.npz");
        let tensors: Vec<Tensor> = DType::ALL
            .iter()
            .map(|&dtype| {
                let len = 6 * dtype.size();
                let mut buffer = AlignedBuffer::zeroed(len);
                buffer.bytes_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8 % 2);
                Tensor::from_bytes(dtype, &[2, 3], buffer.into()).unwrap()
            })
            .collect();
        let pairs: Vec<(&str, &Tensor)> = tensors.iter().map(|t| (t.dtype().name(), t)).collect();
        write_npz(&path, &pairs).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.len(), tensors.len());
        for (tensor, (name, got)) in tensors.iter().zip(back) {
            assert_eq!((name.as_str(), got.shape()), (tensor.dtype().name(), tensor.shape()));
            if tensor.dtype() == DType::BF16 {
                let wide: Vec<f32> = tensor.values::<bf16>().unwrap().iter().map(|x| x.to_f32()).collect();
                assert_eq!(&*got.values::<f32>().unwrap(), wide);
            } else {
                assert_eq!((got.dtype(), &got.bytes()[..]), (tensor.dtype(), &tensor.bytes()[..]));
            }
        }
    }

    #[test]
    fn both_orders_of_bytes_and_axes_are_read() {
        let values = |bytes: &[u8]| array(&mut &*bytes).unwrap().values::<i16>().unwrap().into_owned();
        let big: Vec<u8> = (0..6i16).flat_map(i16::to_be_bytes).collect();
        let little: Vec<u8> = (0..6i16).flat_map(i16::to_le_bytes).collect();
        assert_eq!(values(&bytes_of("'>i2'", false, "(2, 3)", &big)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(values(&bytes_of("'<i2'", true, "(2, 3)", &little)), [0, 2, 4, 1, 3, 5]);
        assert_eq!(values(&bytes_of("'<i2'", false, "()", &little[..2])), [0]);
        assert_eq!(values(&bytes_of("'<i2'", false, "(0, 7)", &[])), [0i16; 0]);
    }

    #[test]
    fn hostile_headers_are_errors() {
        let deep = format!("{}1{}", "(".repeat(4000), ")".repeat(4000));
        let mut long = b"\x93NUMPY\x02\x00".to_vec();
        long.extend(u32::MAX.to_le_bytes());
        let cases = [
            bytes_of("'<f4'", false, "(9223372036854775807, 9223372036854775807)", &[]),
            bytes_of("'<f4'", false, "(1099511627776,)", &[0; 8]),
            bytes_of("'<f4'", false, &deep, &[]),
            bytes_of("'<f4'", false, "(2,)", &[0; 7]),
            bytes_of("'<f4'", false, "(-1,)", &[]),
            bytes_of("'|O'", false, "(1,)", &[0; 8]),
            bytes_of("'<c8'", false, "(1,)", &[0; 8]),
            bytes_of("[('a', '<f4')]", false, "(1,)", &[0; 4]),
            long,
            b"\x93NUMPY".to_vec(),
            b"no array".to_vec(),
            Vec::new(),
        ];
        for (at, case) in cases.iter().enumerate() {
            assert!(array(&mut case.as_slice()).is_err(), "case {at}");
        }
    }
}
