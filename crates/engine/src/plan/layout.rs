//! Memory planning: where in the arena each buffer stands, so that buffers alive at the same time do not overlap.

use tilewise_tensor::ALIGN;

use super::Place;
use super::apart::Lives;
use crate::PlanError;
use crate::lower::{Buffer, Storage};

/// Places every buffer, and returns the bytes that the arena takes, at most `memory`. Large buffers are placed first, each at the
/// lowest offset that is free during its whole life, as `lives` has it: within a few percent of the lower bound on real networks.
pub(crate) fn assign(buffers: Vec<Buffer>, lives: &Lives, memory: usize) -> Result<(Vec<Place>, usize), PlanError> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].arena_bytes()), buffers[i].first, i));
    let mut offsets = vec![0usize; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0usize;
    for i in order {
        let buffer = &buffers[i];
        let bytes = buffer.arena_bytes();
        if bytes == 0 {
            continue;
        }
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| lives.meet(&buffers, i, j))
            .map(|&j| (offsets[j], offsets[j] + buffers[j].arena_bytes()))
            .collect();
        taken.sort_unstable();
        let mut at = 0usize;
        for (start, end) in taken {
            if start >= at && start - at >= bytes {
                break;
            }
            at = at.max(end.next_multiple_of(ALIGN));
        }
        offsets[i] = at;
        total = total.max(at.saturating_add(bytes));
        if total > memory {
            return Err(PlanError::TooLarge { bytes: total, memory });
        }
        placed.push(i);
    }
    let mut places: Vec<Place> = Vec::with_capacity(buffers.len());
    for (buffer, at) in buffers.into_iter().zip(offsets) {
        places.push(match buffer.storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } => Place::Arena(at..at + bytes),
            Storage::Part { of, offset, bytes } => {
                let at = places[of.index()].range().start + offset;
                Place::Arena(at..at + bytes)
            }
            Storage::Constant(constant) => Place::Constant(constant),
            Storage::Dynamic(slot) => Place::Dynamic(slot),
            Storage::Given { input, bytes } => Place::Given { input, bytes },
        });
    }
    Ok((places, total))
}

/// Bytes of the buffers that are alive at each of `steps` steps.
pub(crate) fn live_bytes(buffers: &[Buffer], steps: usize) -> Vec<usize> {
    let alive = |step: usize| buffers.iter().filter(move |buffer| buffer.first <= step && step <= buffer.last);
    (0..steps).map(|step| alive(step).map(Buffer::arena_bytes).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BufferId;

    fn buffer(bytes: usize, first: usize, last: usize) -> Buffer {
        Buffer { storage: Storage::Arena { bytes }, first, last }
    }

    #[test]
    fn buffers_alive_together_do_not_overlap_and_others_share() {
        let lives = [(100, 0, 1), (300, 1, 2), (100, 2, 3), (300, 3, 4), (64, 0, 4), (0, 0, 4)];
        let (places, total) =
            assign(lives.iter().map(|&(b, f, l)| buffer(b, f, l)).collect(), &Lives::default(), 512).unwrap();
        for (i, a) in lives.iter().enumerate() {
            for (j, b) in lives.iter().enumerate().take(i) {
                let (x, y) = (places[i].range(), places[j].range());
                let together = a.1 <= b.2 && b.1 <= a.2;
                assert!(!together || x.end <= y.start || y.end <= x.start || x.is_empty() || y.is_empty(), "{i} {j}");
            }
        }
        assert!(places.iter().all(|place| place.range().start % ALIGN == 0));
        let buffers: Vec<Buffer> = lives.iter().map(|&(b, f, l)| buffer(b, f, l)).collect();
        assert_eq!(live_bytes(&buffers, 5), [164, 464, 464, 464, 364]);
        // The largest moment is step 2: 300, 100 and 64 bytes, each from a multiple of 64 on.
        assert_eq!(total, 320 + 128 + 64);
        assert!(assign(vec![buffer(513, 0, 0)], &Lives::default(), 512).is_err());
    }

    #[test]
    fn parts_stand_in_their_whole() {
        let part = |of: u32, offset, bytes| Buffer {
            storage: Storage::Part { of: BufferId(of), offset, bytes },
            first: 0,
            last: 2,
        };
        let (places, total) = assign(
            vec![buffer(64, 0, 2), buffer(256, 0, 2), part(1, 64, 192), part(2, 128, 64)],
            &Lives::default(),
            512,
        )
        .unwrap();
        let whole = places[1].range();
        assert_eq!((places[2].range(), total), (whole.start + 64..whole.end, 320));
        assert_eq!(places[3].range(), whole.end - 64..whole.end);
    }
}
