//! Reads and decodes photos on threads of their own, and hands them over in order and in batches.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tilewise::image::{Encoded, Source, photos, sources};
use tilewise::{Error, Prepared};

/// One thing to read photos from.
pub(super) enum Input {
    /// A file or a shard.
    Source(Source),
    /// A photo that is part of the program.
    Bytes(String, &'static [u8]),
    /// A name on the command line that stands for nothing.
    Missing(String, Error),
}

/// A photo that was read and decoded, or not.
pub(super) struct Fed {
    pub(super) path: String,
    pub(super) photo: Result<Prepared, Error>,
}

/// What each name on the command line stands for; one that stands for nothing becomes a row with an error.
pub(super) fn find(names: &[String]) -> Vec<Input> {
    let found = names.iter().flat_map(|name| match sources(std::slice::from_ref(name)) {
        Ok(found) => found.into_iter().map(Input::Source).collect(),
        Err(error) => vec![Input::Missing(name.clone(), error.into())],
    });
    found.collect()
}

type Read = (usize, String, Result<std::borrow::Cow<'static, [u8]>, Error>);

/// Reads `inputs`, prepares the photos on `threads` threads, and calls `take` with up to `batch` of them at a time, in
/// the order of the inputs. What waits between the threads is bounded, however many photos there are.
pub(super) fn feed(
    inputs: Vec<Input>,
    prepare: impl Fn(&[u8]) -> Result<Prepared, Error> + Send + Sync + Clone,
    threads: usize,
    batch: usize,
    mut take: impl FnMut(Vec<Fed>) -> Result<()>,
) -> Result<()> {
    let waiting = 2 * threads + batch;
    let (to_decode, encoded) = sync_channel::<Read>(waiting);
    let (to_take, decoded) = sync_channel::<(usize, Fed)>(waiting);
    let encoded = Arc::new(Mutex::new(encoded));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The receivers end early only when the work failed; then there is nothing left to read for.
            let _ended = read(inputs).enumerate().try_for_each(|(i, (path, bytes))| to_decode.send((i, path, bytes)));
        });
        for _ in 0..threads {
            let (encoded, to_take, prepare) = (Arc::clone(&encoded), to_take.clone(), prepare.clone());
            scope.spawn(move || {
                while let Some((index, path, bytes)) = next(&encoded) {
                    let photo = bytes.and_then(|bytes| prepare(&bytes));
                    if to_take.send((index, Fed { path, photo })).is_err() {
                        return;
                    }
                }
            });
        }
        drop((encoded, to_take));
        in_order(decoded, batch, &mut take)
    })
}

fn next(encoded: &Mutex<Receiver<Read>>) -> Option<Read> {
    encoded.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Collects photos into batches in the order of their numbers.
fn in_order(
    decoded: Receiver<(usize, Fed)>,
    batch: usize,
    take: &mut impl FnMut(Vec<Fed>) -> Result<()>,
) -> Result<()> {
    let (mut early, mut ready, mut wanted) = (BTreeMap::new(), Vec::new(), 0);
    for (index, fed) in decoded {
        early.insert(index, fed);
        while let Some(fed) = early.remove(&wanted) {
            wanted += 1;
            ready.push(fed);
            if ready.len() == batch {
                take(std::mem::take(&mut ready))?;
            }
        }
    }
    if ready.is_empty() { Ok(()) } else { take(ready) }
}

/// The encoded photos of all inputs, one after the other.
fn read(inputs: Vec<Input>) -> impl Iterator<Item = (String, Result<std::borrow::Cow<'static, [u8]>, Error>)> {
    inputs.into_iter().flat_map(|input| -> Box<dyn Iterator<Item = _>> {
        match input {
            Input::Bytes(name, bytes) => Box::new(std::iter::once((name, Ok(bytes.into())))),
            Input::Missing(name, error) => Box::new(std::iter::once((name, Err(error)))),
            Input::Source(source) => {
                let item = |Encoded { path, bytes }| (path, bytes.map(Into::into).map_err(Error::from));
                Box::new(photos(vec![source]).map(item))
            }
        }
    })
}
