//! Tensors in safetensors files, by name; they stay in the mapped file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;
use tilewise_tensor::{Bytes, DType, Tensor};

use crate::shown::shown;

/// Why a file of tensors could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file could not be opened or mapped.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no safetensors file, or its header does not fit its data.
    #[error("{}: no safetensors file: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that breaks the format's rules.
    #[error("{}: tensor '{tensor}': {reason}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A valid tensor of an element type that is not built.
    #[error("{}: tensor '{tensor}': elements of type {dtype} are not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The element type, as the format names it.
        dtype: String,
    },
}

/// Bytes of the number before the header, which is the header's length.
const PREFIX: usize = 8;

/// Longest header, in bytes: the format's own limit.
const LONGEST_HEADER: usize = 100_000_000;

/// Most axes of a tensor; NumPy's limit, beyond which nothing can make or read one.
const MOST_AXES: usize = 64;

/// The tensors of a file by name. They share the mapped file: nothing is copied, and nothing but the header and
/// booleans is read.
///
/// # Errors
/// [`SafetensorsError::Unsupported`] for a valid file with an element type that is not built; the others for files that
/// cannot be opened or break the format's rules.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, SafetensorsError> {
    let bytes = File::open(path).and_then(|file| Bytes::map(&file));
    let bytes = bytes.map_err(|source| SafetensorsError::Io { path: path.to_path_buf(), source })?;
    tensors(&bytes, path)
}

/// The tensors of a file's bytes; errors name the file.
fn tensors(bytes: &Bytes, path: &Path) -> Result<BTreeMap<String, Tensor>, SafetensorsError> {
    let (metadata, data) =
        open(bytes).map_err(|reason| SafetensorsError::File { path: path.to_path_buf(), reason: shown(&reason) })?;
    let mut out = BTreeMap::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let invalid = |reason| SafetensorsError::Tensor { path: path.to_path_buf(), tensor: shown(&name), reason };
        let Some(dtype) = dtype(info.dtype) else {
            let (tensor, dtype) = (shown(&name), info.dtype.to_string());
            return Err(SafetensorsError::Unsupported { path: path.to_path_buf(), tensor, dtype });
        };
        let (start, end) = info.data_offsets;
        let part = data.slice(start..end).ok_or_else(|| invalid("its data is not in the file".to_owned()))?;
        let tensor = tensor(dtype, &info.shape, part).map_err(invalid)?;
        out.insert(name, tensor);
    }
    Ok(out)
}

/// The header, and the data that follows it. The header's offsets begin at zero, leave no gap, do not overlap, end with
/// the file and are what types and shapes need.
///
/// The crate's own reader of a whole file adds lengths that a header may claim without a check for overflow; here it
/// reads the header alone.
fn open(bytes: &Bytes) -> Result<(Metadata, Bytes), String> {
    let short = || format!("{} bytes hold no length of a header", bytes.len());
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or_else(short)?;
    let length = u64::from_le_bytes(*prefix);
    let fits = |&length: &usize| length <= LONGEST_HEADER && length <= rest.len();
    let cut = || format!("a header of {length} bytes, {} follow and at most {LONGEST_HEADER} are read", rest.len());
    let length = usize::try_from(length).ok().filter(fits).ok_or_else(cut)?;
    let metadata: Metadata = serde_json::from_slice(&rest[..length]).map_err(|error| error.to_string())?;
    let data = bytes.slice(PREFIX + length..bytes.len()).ok_or_else(cut)?;
    if metadata.data_len() != data.len() {
        return Err(format!("the header tells of {} bytes of data, the file has {}", metadata.data_len(), data.len()));
    }
    Ok((metadata, data))
}

fn tensor(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Tensor, String> {
    if shape.len() > MOST_AXES {
        return Err(format!("{} axes, at most {MOST_AXES} are allowed", shape.len()));
    }
    // Kernels rely on 0 and 1.
    if dtype == DType::Bool && bytes.iter().any(|&byte| byte > 1) {
        return Err("a bool that is neither 0 nor 1".to_owned());
    }
    Tensor::from_bytes(dtype, shape, bytes).map_err(|error| error.to_string())
}

/// The element type; nothing for those that are not built.
fn dtype(dtype: Dtype) -> Option<DType> {
    const TYPES: &[(Dtype, DType)] = &[
        (Dtype::BOOL, DType::Bool),
        (Dtype::U8, DType::U8),
        (Dtype::I8, DType::I8),
        (Dtype::I16, DType::I16),
        (Dtype::U16, DType::U16),
        (Dtype::F16, DType::F16),
        (Dtype::BF16, DType::BF16),
        (Dtype::I32, DType::I32),
        (Dtype::U32, DType::U32),
        (Dtype::F32, DType::F32),
        (Dtype::F64, DType::F64),
        (Dtype::I64, DType::I64),
        (Dtype::U64, DType::U64),
    ];
    TYPES.iter().find(|(theirs, _)| *theirs == dtype).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use tilewise_tensor::{AlignedBuffer, bf16, f16};

    use super::*;

    /// A file of a header and so many bytes of data, which count up from 0.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let data = (0..data).map(|at| at as u8);
        (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(data).collect()
    }

    fn read_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, SafetensorsError> {
        let mut buffer = AlignedBuffer::zeroed(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        tensors(&buffer.into(), Path::new("a.safetensors"))
    }

    fn refusal(bytes: &[u8]) -> String {
        read_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn tensors_of_every_type_are_read_by_name() {
        let rows = [
            ("F32", DType::F32),
            ("F64", DType::F64),
            ("F16", DType::F16),
            ("BF16", DType::BF16),
            ("I64", DType::I64),
            ("I32", DType::I32),
            ("I16", DType::I16),
            ("I8", DType::I8),
            ("U64", DType::U64),
            ("U32", DType::U32),
            ("U16", DType::U16),
            ("U8", DType::U8),
            ("BOOL", DType::Bool),
        ];
        assert_eq!(rows.len(), DType::ALL.len());
        for (name, dtype) in rows {
            let size = dtype.size();
            let header = format!(
                r#"{{"__metadata__":{{"a":"b"}},"t":{{"dtype":"{name}","shape":[2,1],"data_offsets":[0,{}]}}}}"#,
                2 * size
            );
            let tensors = read_bytes(&file(&header, 2 * size)).unwrap();
            let bytes: Vec<u8> = (0..2 * size as u8).collect();
            assert_eq!(tensors.keys().collect::<Vec<_>>(), ["t"]);
            let tensor = &tensors["t"];
            assert_eq!((tensor.dtype(), tensor.shape(), &**tensor.bytes()), (dtype, &[2, 1][..], &*bytes), "{name}");
        }
    }

    #[test]
    fn values_are_those_of_the_file() {
        let header = r#"{"h":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]},"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]},"none":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]}}"#;
        let mut bytes = file(header, 0);
        bytes.extend(f16::from_f32(1.5).to_le_bytes());
        bytes.extend(bf16::from_f32(-2.0).to_le_bytes());
        let tensors = read_bytes(&bytes).unwrap();
        assert_eq!(&*tensors["a"].values::<f16>().unwrap(), [f16::from_f32(1.5)]);
        assert_eq!(&*tensors["h"].values::<bf16>().unwrap(), [bf16::from_f32(-2.0)]);
        assert_eq!((tensors["a"].shape(), tensors["none"].shape()), (&[][..], &[0, 3][..]));
        assert!(read_bytes(&file("{}", 0)).unwrap().is_empty());
    }

    #[test]
    fn what_the_crate_writes_is_read() {
        let data: Vec<u8> = (1..4).flat_map(|x| (x as f32).to_le_bytes()).collect();
        let view = |shape: &[usize]| ::safetensors::tensor::TensorView::new(Dtype::F32, shape.to_vec(), &data).unwrap();
        let bytes = ::safetensors::serialize([("b.weight", view(&[3, 1])), ("a.weight", view(&[3]))], None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let tensors = read(&path).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a.weight", "b.weight"]);
        assert_eq!(&*tensors["b.weight"].values::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }

    const TWO: &str =
        r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I16","shape":[1],"data_offsets":[2,4]}}"#;

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        let bytes = file(TWO, 4);
        assert_eq!(read_bytes(&bytes).unwrap().len(), 2);
        for end in 0..bytes.len() {
            assert!(read_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // Either is fine, a panic is not.
                drop(read_bytes(&flipped));
            }
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let most = u64::MAX / 8;
        // Eight tensors whose lengths add up to almost all of the address space.
        let huge: Vec<String> = (0..8u64)
            .map(|at| {
                let (start, end) = (at * most, (at + 1) * most);
                format!(r#""{at}":{{"dtype":"U8","shape":[{most}],"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        let rows = [
            (TWO.to_owned(), 5, "tells of 4 bytes of data, the file has 5"),
            (TWO.to_owned(), 3, "tells of 4 bytes of data, the file has 3"),
            (TWO.replace("[2,4]", "[1,3]"), 4, "b"),
            (TWO.replace("[2,4]", "[3,5]"), 5, "b"),
            (one("F32", "[2]", "[0,4]"), 4, ""),
            (one("F32", "[1]", "[4,0]"), 4, "t"),
            (one("F32", "[-1]", "[0,4]"), 4, "-1"),
            (one("F32", "[9223372036854775807,9223372036854775807]", "[0,4]"), 4, ""),
            (one("U8", "[18446744073709551615]", "[0,18446744073709551615]"), 4, ""),
            (format!("{{{}}}", huge.join(",")), 4, "tells of"),
            (one("F31", "[1]", "[0,4]"), 4, "F31"),
            (one("F8_E4M3", "[4]", "[0,4]"), 4, "tensor 't': elements of type F8_E4M3 are not supported"),
            (one("C64", "[1]", "[0,8]"), 8, "not supported"),
            (one("F4", "[1]", "[0,1]"), 1, ""),
            (one("BOOL", "[3]", "[0,3]"), 3, "neither 0 nor 1"),
            (one("U8", &format!("{:?}", [1; 65]), "[0,1]"), 1, "65 axes"),
            ("[]".to_owned(), 0, ""),
            ("{\"t\":1}".to_owned(), 0, ""),
            ("[".repeat(10_000), 0, ""),
        ];
        for (header, data, part) in rows {
            let message = refusal(&file(&header, data));
            assert!(message.contains(part) && message.len() < 1000, "{header}: {message}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), []).unwrap();
        assert!(matches!(read(&folder.path().join("empty")), Err(SafetensorsError::File { .. })));
        assert!(matches!(read(folder.path()), Err(SafetensorsError::Io { .. })));
        for bytes in [&[][..], &[1, 2, 3], &u64::MAX.to_le_bytes(), &(1u64 << 40).to_le_bytes()] {
            assert!(matches!(read_bytes(bytes), Err(SafetensorsError::File { .. })), "{bytes:?}");
        }
        assert!(matches!(read(Path::new("/no/such/file")), Err(SafetensorsError::Io { .. })));
    }

    #[test]
    fn names_from_the_file_are_escaped_and_cut() {
        let name = format!("\\u001b{}", "a".repeat(100_000));
        let header = format!(r#"{{"{name}":{{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}}}"#);
        let message = refusal(&file(&header, 8));
        assert!(message.contains("\\u{1b}aaa") && message.len() < 1000, "{message}");
    }
}
