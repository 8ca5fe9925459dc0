//! Models as files: made under another name first, so that a file is whole or not there, and so that a model may be
//! written over the file that its weights are mapped from.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tilewise_graph::Graph;

use super::encode::Body;
use super::error::ExportError;
use super::model::model;
use super::{LARGEST, emit, form, table};

/// Names that are tried for an unfinished file.
const MOST_DRAFTS: u32 = 1000;

/// Where a saved model's weights go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Weights {
    /// Into the model's file, or beside it where that would be longer than a protobuf message can be (2 GiB).
    #[default]
    Auto,
    /// Into a file of their own beside the model's: `F.onnx.data` for `F.onnx`.
    Beside,
}

/// Writes a graph as a model file.
///
/// # Errors
/// Those of [`super::write`], and [`ExportError::File`].
pub fn save(graph: &Graph, path: &Path, weights: Weights) -> Result<(), ExportError> {
    let lowered = form::lower(graph, table::OPSET)?;
    let mut whole = model(graph, &lowered, None);
    let data_path = beside(path, ".data");
    let outside = weights == Weights::Beside || whole.proto.body_len() > LARGEST;
    if outside {
        let name = data_path.file_name().and_then(|name| name.to_str());
        let no_text = || io::Error::new(io::ErrorKind::InvalidInput, "the file's name is no text");
        let name = name.ok_or_else(|| ExportError::File { path: path.to_path_buf(), source: no_text() })?;
        whole = model(graph, &lowered, Some(name));
    }
    let mut file = Draft::new(path)?;
    let mut data = if outside { Some(Draft::new(&data_path)?) } else { None };
    emit(&whole, &mut file.sink, data.as_mut().map(|data| &mut data.sink as &mut dyn Write))?;
    // The weights first: a model is never there without them.
    data.map_or(Ok(()), Draft::finish)?;
    file.finish()
}

/// The path with something added to the file's name.
fn beside(path: &Path, added: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(added);
    name.into()
}

/// A file under a name of its own until it is whole; it is removed where that never comes.
struct Draft {
    sink: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn new(path: &Path) -> Result<Self, ExportError> {
        let mut count = 0;
        loop {
            let draft = beside(path, &format!(".{count}.part"));
            match File::create_new(&draft) {
                Ok(file) => return Ok(Draft { sink: BufWriter::new(file), draft, path: path.to_path_buf() }),
                // Another writer's, or one that was left behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && count < MOST_DRAFTS => count += 1,
                Err(source) => return Err(ExportError::File { path: draft, source }),
            }
        }
    }

    fn finish(self) -> Result<(), ExportError> {
        fs::rename(&self.draft, &self.path).map_err(|source| ExportError::File { path: self.path.clone(), source })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once the file has its name there is nothing to remove, and otherwise nobody to tell.
        let _removed = fs::remove_file(&self.draft);
    }
}
