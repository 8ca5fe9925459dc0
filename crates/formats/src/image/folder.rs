//! Where photos come from: files, folders, patterns and tar shards.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::vec;

use super::ImageError;

/// Most bytes of one file or shard member that are read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// File name extensions, in lower case, by which folders, patterns and shards are searched.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// One thing that holds photos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An encoded photo.
    File(PathBuf),
    /// A tar file whose members are encoded photos (and, as WebDataset has it, other files, which are passed over).
    Shard(PathBuf),
}

/// One encoded photo, or why there is none.
#[derive(Debug)]
pub struct Encoded {
    /// What to call it: its path, or `shard.tar/member`.
    pub path: String,
    /// The file's content.
    pub bytes: Result<Vec<u8>, ImageError>,
}

/// Finds the sources behind what a user names, in the order given.
///
/// A file is taken whatever it is called (as a shard where it ends in `.tar`). A folder is searched at all depths, in
/// sorted order, for file names of photos; links to folders are not followed. What does not exist is read as a pattern
/// (`photos/**/*.jpg`), of whose matches photos, shards and folders are taken.
///
/// # Errors
/// [`ImageError::Read`] for what does not exist or cannot be listed, [`ImageError::Pattern`], and
/// [`ImageError::NoPhotos`] where a folder or pattern yields nothing.
pub fn sources(inputs: &[String]) -> Result<Vec<Source>, ImageError> {
    let mut all = Vec::new();
    for input in inputs {
        let before = all.len();
        let path = Path::new(input);
        match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => search(path, &mut all)?,
            Ok(kind) if kind.is_file() => all.push(if is_shard(path) { shard(path) } else { file(path) }),
            Ok(_) => return Err(unreadable(path, io::Error::other("neither a file nor a folder"))),
            Err(_) if input.contains(['*', '?', '[']) => expand(input, &mut all)?,
            Err(source) => return Err(unreadable(path, source)),
        }
        if all.len() == before {
            return Err(ImageError::NoPhotos { input: input.clone(), extensions: EXTENSIONS.join(", ") });
        }
    }
    Ok(all)
}

fn file(path: &Path) -> Source {
    Source::File(path.to_owned())
}

fn shard(path: &Path) -> Source {
    Source::Shard(path.to_owned())
}

fn unreadable(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read { path: path.to_owned(), source }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

fn is_photo(path: &Path) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

fn is_shard(path: &Path) -> bool {
    extension(path) == "tar"
}

/// The photos below a folder, sorted by path.
fn search(folder: &Path, found: &mut Vec<Source>) -> Result<(), ImageError> {
    let mut pending = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))? {
            let entry = entry.map_err(|source| unreadable(&folder, source))?;
            let path = entry.path();
            // The kind of a link is that of the link: a folder behind one could be a folder above this one.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if is_photo(&path) && path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    found.extend(files.into_iter().map(Source::File));
    Ok(())
}

/// The photos, shards and folders that match a pattern, in sorted order.
fn expand(pattern: &str, found: &mut Vec<Source>) -> Result<(), ImageError> {
    let paths =
        glob::glob(pattern).map_err(|error| ImageError::Pattern { pattern: pattern.to_owned(), reason: error.msg })?;
    for path in paths {
        let path = path.map_err(|error| ImageError::Read { path: error.path().to_owned(), source: error.into() })?;
        if path.is_dir() {
            // A `**` matches the folders below on its own.
            if !pattern.contains("**") {
                search(&path, found)?;
            }
        } else if path.is_file() && is_shard(&path) {
            found.push(shard(&path));
        } else if path.is_file() && is_photo(&path) {
            found.push(file(&path));
        }
    }
    Ok(())
}

/// Reads the photos of `sources` one after the other, each when it is asked for. What cannot be read is an item too.
pub fn photos(sources: Vec<Source>) -> Photos {
    Photos { sources: sources.into_iter(), open: None }
}

/// The iterator [`photos`] makes. It holds one photo's bytes at a time, and of an open shard the list of its members.
pub struct Photos {
    sources: vec::IntoIter<Source>,
    open: Option<Shard>,
}

impl Iterator for Photos {
    type Item = Encoded;

    fn next(&mut self) -> Option<Encoded> {
        loop {
            if let Some(member) = self.open.as_mut().and_then(Shard::next) {
                return Some(member);
            }
            self.open = None;
            match self.sources.next()? {
                Source::File(path) => {
                    let bytes = read_file(&path);
                    return Some(Encoded { path: path.display().to_string(), bytes });
                }
                Source::Shard(path) => match Shard::open(&path) {
                    Ok(shard) => self.open = Some(shard),
                    Err(source) => {
                        let bytes = Err(unreadable(&path, source));
                        return Some(Encoded { path: path.display().to_string(), bytes });
                    }
                },
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let length = file.metadata().map_err(|source| unreadable(path, source))?.len();
    read_bounded(file, length, path)
}

/// Reads `length` bytes, if a photo may have so many and if they are there.
fn read_bounded(from: impl Read, length: u64, path: &Path) -> Result<Vec<u8>, ImageError> {
    if length > MAX_FILE_BYTES {
        return Err(ImageError::TooManyBytes { path: path.to_owned(), bytes: length, limit: MAX_FILE_BYTES });
    }
    // Grown while reading, not reserved: a shard's header can promise more than the shard holds.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    if (bytes.len() as u64) < length {
        return Err(unreadable(path, io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}

/// An open tar file. Its headers are read when it is opened, its members when they are asked for: the tar reader's own
/// iterator borrows the reader and could not be kept here.
struct Shard {
    path: PathBuf,
    file: File,
    members: vec::IntoIter<Member>,
    /// Why the list of members ends early.
    broken: Option<io::Error>,
}

struct Member {
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Shard {
    fn open(path: &Path) -> io::Result<Shard> {
        let file = File::open(path)?;
        let mut members = Vec::new();
        let broken = list(&file, &mut members).err();
        Ok(Shard { path: path.to_owned(), file, members: members.into_iter(), broken })
    }

    fn next(&mut self) -> Option<Encoded> {
        let Some(member) = self.members.next() else {
            let bytes = Err(unreadable(&self.path, self.broken.take()?));
            return Some(Encoded { path: self.path.display().to_string(), bytes });
        };
        let path = self.path.join(&member.path);
        let bytes = match self.file.seek(SeekFrom::Start(member.offset)) {
            Ok(_) => read_bounded(&self.file, member.length, &path),
            Err(source) => Err(unreadable(&path, source)),
        };
        Some(Encoded { path: path.display().to_string(), bytes })
    }
}

/// Lists the photos among the regular members, until the end or the first header that is broken.
fn list(file: &File, members: &mut Vec<Member>) -> io::Result<()> {
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_file() && is_photo(&path) {
            members.push(Member { path, offset: entry.raw_file_position(), length: entry.size() });
        }
    }
    Ok(())
}
