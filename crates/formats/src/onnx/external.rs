//! Tensor data in files beside the model: found, checked and mapped, never outside the model's folder.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::path::{Component, Path, PathBuf};

use tilewise_tensor::{Bytes, DType, numel};

use super::error::{ImportError, shown};
use super::proto::TensorProto;

/// Largest tensor outside the model's file, in bytes (8 GiB). The largest weight of a published vision network has
/// some 100 million elements, 0.4 GB; a file with a hole claims any length for nothing.
const LARGEST: u64 = 8 << 30;

/// The files that a model's tensors stand in, each mapped once.
pub(crate) struct External {
    folder: Option<PathBuf>,
    files: HashMap<PathBuf, Bytes>,
}

/// The entries of a tensor's `external_data` that are read; others, such as a checksum, are not.
#[derive(Default)]
struct Place<'a> {
    location: Option<&'a str>,
    offset: Option<&'a str>,
    length: Option<&'a str>,
}

impl External {
    /// Files in `folder`; without one, external data is an error.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        External { folder: folder.map(Path::to_path_buf), files: HashMap::new() }
    }

    /// The bytes of a tensor of known type and shape.
    pub(crate) fn bytes(&mut self, proto: &TensorProto, dtype: DType, shape: &[usize]) -> Result<Bytes, ImportError> {
        let place = Place::read(proto).map_err(|reason| ImportError::tensor(&proto.name, reason))?;
        let location = place.location.unwrap_or("");
        self.range(&place, location, dtype, shape).map_err(|reason| ImportError::External {
            tensor: shown(&proto.name),
            location: shown(location),
            reason,
        })
    }

    fn range(&mut self, place: &Place<'_>, location: &str, dtype: DType, shape: &[usize]) -> Result<Bytes, String> {
        let needed = numel(shape).and_then(|n| n.checked_mul(dtype.size())).and_then(|n| u64::try_from(n).ok());
        let needed = needed.filter(|&n| n <= LARGEST).ok_or("a tensor of more than 8 GiB")?;
        let offset = number("offset", place.offset)?.unwrap_or(0);
        let length = number("length", place.length)?.unwrap_or(needed);
        if length != needed {
            return Err(format!("a length of {length} bytes, {dtype}{shape:?} needs {needed}"));
        }
        let bytes = self.file(location)?;
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        end.and_then(|end| bytes.slice(end - length as usize..end))
            .ok_or_else(|| format!("{length} bytes from {offset} on do not lie in a file of {}", bytes.len()))
    }

    fn file(&mut self, location: &str) -> Result<Bytes, String> {
        let folder = self.folder.as_ref().ok_or("the model was read without a folder to look in")?;
        let path = inside(folder, location)?;
        if let Some(bytes) = self.files.get(&path) {
            return Ok(bytes.clone());
        }
        let file = File::open(&path).map_err(|e| e.to_string())?;
        // Looked at again on the open file: the name may mean another one by now.
        plain_file(&file.metadata().map_err(|e| e.to_string())?)?;
        let bytes = Bytes::map(&file).map_err(|e| e.to_string())?;
        self.files.insert(path, bytes.clone());
        Ok(bytes)
    }
}

impl<'a> Place<'a> {
    fn read(proto: &'a TensorProto) -> Result<Self, String> {
        let mut place = Place::default();
        for entry in &proto.external_data {
            let slot = match entry.key.as_str() {
                "location" => &mut place.location,
                "offset" => &mut place.offset,
                "length" => &mut place.length,
                _ => continue,
            };
            if slot.replace(&entry.value).is_some() {
                return Err(format!("external data gives its {} twice", entry.key));
            }
        }
        Ok(place)
    }
}

fn number(key: &str, text: Option<&str>) -> Result<Option<u64>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("the {key} '{}' is no number of bytes", shown(text)));
    text.map(parse).transpose()
}

/// The canonical path of a regular file in `folder`. Nothing is opened: opening a pipe would wait for a writer, and
/// the file of another program should not even be touched.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    if location.is_empty() {
        return Err("no location is given".to_owned());
    }
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.contains(['\0', '\\']) || !Path::new(location).components().all(plain) {
        return Err("expected a path inside the model's folder".to_owned());
    }
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    let path = folder.join(location).canonicalize().map_err(|e| e.to_string())?;
    if !path.starts_with(&folder) {
        return Err("a link that leads out of the model's folder".to_owned());
    }
    plain_file(&path.metadata().map_err(|e| e.to_string())?)?;
    Ok(path)
}

fn plain_file(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(metadata) > 1 {
        // A hard link is another folder's file under a name of this one.
        return Err("it has a second name, which may stand outside the model's folder".to_owned());
    }
    Ok(())
}
