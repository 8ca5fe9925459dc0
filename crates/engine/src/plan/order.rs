//! The order of a run: steps one after the other, and chains of them depth first, some output rows at a time.
//!
//! Where a step writes more than stays in the second-level cache and only the next one reads it, row by row, the two take
//! turns, image by image: what one has just written is read while it is near, and only as many rows of it are kept as the
//! next turns need. Every output is computed as ever, so that results are the same bits.

use std::ops::Range;

use tilewise_kernels::conv::Planes;
use tilewise_kernels::{Conv2d, Cpu};

use super::groups::{Groups, follows};
use super::{BufferId, Section, Step, apart};
use crate::lower::{Buffer, Storage};
use crate::run::Memory;

/// How a step computes some of its output rows.
pub(crate) struct ByRows {
    /// The convolution that reads `x`; its output rows are those of the step.
    pub(crate) problem: Conv2d,
    /// What is read.
    pub(crate) x: BufferId,
    /// What is written, in vectors of channels.
    pub(crate) y: BufferId,
    /// The array that it adds, which has rows of whole images.
    pub(crate) residual: BufferId,
    /// The weights, which every part reads again.
    pub(crate) weights: BufferId,
    /// Channels of a vector of what is read, and of what is written.
    pub(crate) lanes: [usize; 2],
    /// Channels that are written.
    pub(crate) channels: usize,
    /// Output rows that are computed together: parts begin at multiples.
    pub(crate) band: usize,
    pub(crate) run: RunPart,
}

impl ByRows {
    /// Pixels of all vectors of channels of an image that is read, and of one that is written, in planes of so many.
    fn image(&self, planes: Planes) -> [usize; 2] {
        [self.problem.ic.div_ceil(self.lanes[0]) * planes.x, self.channels.div_ceil(self.lanes[1]) * planes.y]
    }
}

/// Computes a part.
pub(crate) type RunPart = Box<dyn Fn(&mut Memory<'_>, &Part) + Send + Sync>;

/// Some output rows of an image of a step, and where they and what they read stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) rows: Range<usize>,
    pub(crate) planes: Planes,
    /// Pixels before the first of the input and of the output.
    x: usize,
    y: usize,
}

impl Part {
    /// Input, residual and output from the first row of the part on, for pixels of `lanes` values.
    pub(crate) fn operands<'a>(
        &self,
        lanes: [usize; 2],
        x: &'a [f32],
        residual: &'a [f32],
        y: &'a mut [f32],
    ) -> (&'a [f32], &'a [f32], &'a mut [f32]) {
        let [x_at, y_at] = [self.x * lanes[0], self.y * lanes[1]];
        (&x[x_at..], residual.get(y_at..).unwrap_or_default(), &mut y[y_at..])
    }
}

/// Rows that a buffer keeps for a later turn, moved to its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keep {
    buffer: BufferId,
    /// Values of a plane, and of its rows to be moved.
    plane: usize,
    values: Range<usize>,
}

impl Keep {
    pub(crate) fn run(&self, memory: &mut Memory<'_>) {
        let ([], [values]) = memory.split::<f32, 0, 1>([], [self.buffer]);
        for plane in values.chunks_exact_mut(self.plane) {
            plane.copy_within(self.values.clone(), 0);
        }
    }
}

/// One turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// All of a step.
    Whole(usize),
    /// A part of one.
    Part(usize, Part),
    /// None: rows are kept.
    Keep(Keep),
    /// Some steps, each on one core.
    Apart(Section),
}

impl Turn {
    /// Its section, where it has one.
    pub(crate) fn section(&self) -> Option<&Section> {
        match self {
            Turn::Apart(section) => Some(section),
            Turn::Whole(_) | Turn::Part(..) | Turn::Keep(_) => None,
        }
    }

    /// The numbers of its steps.
    pub(crate) fn steps(&self) -> Range<usize> {
        match self {
            Turn::Whole(step) | Turn::Part(step, _) => *step..*step + 1,
            Turn::Keep(_) => 0..0,
            Turn::Apart(section) => section.steps(),
        }
    }
}

/// Parts have at least so many rows for each core: those that a part reads and the one before read too cost time.
const LOWEST: usize = 4;

/// The turns of a run. Buffers between the steps of a chain shrink to the rows that are kept, and all buffers of a chain
/// live until it is done.
pub(crate) fn order(steps: &[Step], buffers: &mut [Buffer], groups: &mut Groups, cpu: &Cpu) -> Vec<Turn> {
    let mut turns = Vec::with_capacity(steps.len());
    let mut first = 0;
    while first < steps.len() {
        let chain = chain(&steps[first..], first, buffers, groups, cpu);
        if chain.len() < 2 {
            turns.push(Turn::Whole(first));
            first += 1;
            continue;
        }
        let last = first + chain.len() - 1;
        let height = groups.rows(first..last).unwrap_or_else(|| height(&chain, buffers, cpu));
        groups.make(first..last + 1, height);
        let parts = parts(&chain, height, cpu.cores);
        turns.extend(take_turns(&chain, first, &parts, buffers));
        for buffer in buffers.iter_mut().filter(|buffer| buffer.first <= last && first <= buffer.last) {
            (buffer.first, buffer.last) = (buffer.first.min(first), buffer.last.max(last));
        }
        first = last + 1;
    }
    apart::apart(turns, steps, buffers, groups, cpu)
}

/// The longest chain that begins with the first of some steps, the `number`th of all: each alone reads what the one
/// before writes, and that is said of the one before; or what is between is too much to stay in the caches, while the
/// weights of all of them do.
fn chain<'a>(steps: &'a [Step], number: usize, buffers: &[Buffer], groups: &Groups, cpu: &Cpu) -> Vec<&'a ByRows> {
    let mut chain: Vec<&ByRows> = Vec::new();
    let mut weights = 0;
    for (next, number) in steps.iter().map_while(|step| step.rows.as_ref()).zip(number..) {
        weights += buffers[next.weights.index()].bytes();
        let light = weights <= cpu.l2.size / 4;
        let joins = match chain.last() {
            None => light || groups.joined(number) == Some(true),
            Some(last) => groups.joined(number - 1).unwrap_or_else(|| {
                let between = buffers[last.y.index()].bytes();
                light && between > cpu.cores * cpu.l2.size / 4 && follows(last, next, number, buffers)
            }),
        };
        if !joins {
            break;
        }
        chain.push(next);
    }
    chain
}

/// Output rows of the last step in a part of an image: as many as leave half of the cores' second-level caches to the
/// weights and to what else passes, and as many for each core.
fn height(chain: &[&ByRows], buffers: &[Buffer], cpu: &Cpu) -> usize {
    let ends = chain.first().map(|step| step.x).into_iter().chain(chain.iter().map(|step| step.y));
    let images = chain.first().map_or(1, |first| first.problem.n);
    let bytes = ends.map(|id| buffers[id.index()].bytes()).sum::<usize>() / images;
    let rows = chain.last().map_or(1, |last| last.problem.oh());
    let parts = bytes.div_ceil(cpu.cores * cpu.l2.size / 2).max(1);
    rows.div_ceil(parts).max(LOWEST * cpu.cores).next_multiple_of(cpu.cores)
}

/// The output rows of each step of a chain, for each part of `height` rows of the last one. A step that computes bands of
/// rows runs ahead to the next that gives each of `cores` as many.
fn parts(chain: &[&ByRows], height: usize, cores: usize) -> Vec<Vec<Range<usize>>> {
    let rows = chain.last().map_or(0, |last| last.problem.oh());
    let mut done = vec![0; chain.len()];
    let part = |start: usize| {
        let mut wanted = (start + height).min(rows);
        let ends: Vec<usize> = (chain.iter().rev())
            .map(|step| {
                // Rows that nobody reads come with the last part.
                let whole = if step.band > 1 { wanted.next_multiple_of(step.band * cores) } else { wanted };
                let end = if start + height >= rows { step.problem.oh() } else { whole.min(step.problem.oh()) };
                wanted = step.problem.rows(0..end.max(1)).1.end;
                end
            })
            .collect();
        let ranges = done.iter_mut().zip(ends.into_iter().rev());
        ranges.map(|(from, to)| std::mem::replace(from, to.max(*from))..to.max(*from)).collect()
    };
    (0..rows).step_by(height).map(part).collect()
}

/// The turns of a chain whose first step is the `number`th. What stands between its steps is cut down to the rows that
/// are alive at once.
fn take_turns(chain: &[&ByRows], number: usize, parts: &[Vec<Range<usize>>], buffers: &mut [Buffer]) -> Vec<Turn> {
    // For each part the first row of each step's output that is still read, by that part or a later one.
    let begin = |part: &[Range<usize>], i: usize| match (chain.get(i + 1), &part[i + 1..]) {
        (Some(next), [rows, ..]) if !rows.is_empty() => next.problem.rows(rows.clone()).1.start.min(part[i].start),
        _ => part[i].start,
    };
    let windows: Vec<usize> = (0..chain.len() - 1)
        .map(|i| parts.iter().map(|part| part[i].end - begin(part, i)).max().unwrap_or(0))
        .collect();
    let mut turns = Vec::new();
    let images = chain.first().map_or(0, |first| first.problem.n);
    for image in 0..images {
        let mut stored = vec![0; chain.len()];
        for (part, (i, step)) in parts.iter().flat_map(|part| std::iter::repeat(part).zip(chain.iter().enumerate())) {
            let (p, rows) = (&step.problem, part[i].clone());
            if rows.is_empty() {
                continue;
            }
            let read = p.rows(rows.clone()).1;
            let (x, x_plane) = match i.checked_sub(1) {
                Some(before) => (read.start - stored[before], windows[before]),
                None => (read.start, p.ih),
            };
            let (y, y_plane) = match windows.get(i) {
                Some(&window) => {
                    let from = begin(part, i);
                    if from > stored[i] && rows.start > from {
                        let row = p.ow() * step.lanes[1];
                        let values = (from - stored[i]) * row..(rows.start - stored[i]) * row;
                        turns.push(Turn::Keep(Keep { buffer: step.y, plane: window * row, values }));
                    }
                    stored[i] = from;
                    (rows.start - from, window)
                }
                None => (rows.start, p.oh()),
            };
            let planes = Planes { x: x_plane * p.iw, y: y_plane * p.ow() };
            // What stands between steps holds one image.
            let [x_image, y_image] = step.image(planes);
            let x = x * p.iw + if i == 0 { image * x_image } else { 0 };
            let y = y * p.ow() + if i + 1 == chain.len() { image * y_image } else { 0 };
            turns.push(Turn::Part(number + i, Part { rows, planes, x, y }));
        }
    }
    for (step, window) in chain.iter().zip(windows) {
        if let Storage::Arena { bytes } = &mut buffers[step.y.index()].storage {
            *bytes = *bytes / (step.problem.n * step.problem.oh()) * window;
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use tilewise_kernels::{Epilogue, Pads};

    use super::*;

    fn step(ih: usize, k: usize, stride: usize, pad: usize, number: u32) -> ByRows {
        let pads = Pads { top: pad, bottom: pad, left: 0, right: 0 };
        let (kernel, stride, dilation) = ([k, 1], [stride, 1], [1, 1]);
        let [kh, kw] = kernel;
        let epilogue = Epilogue::default();
        let problem = Conv2d { n: 1, ic: 1, ih, iw: 5, oc: 1, kh, kw, stride, dilation, pads, groups: 1, epilogue };
        let (x, y, weights) = (BufferId(number), BufferId(number + 1), BufferId::NONE);
        ByRows {
            problem,
            x,
            y,
            residual: BufferId::NONE,
            weights,
            lanes: [1; 2],
            channels: 1,
            band: 1,
            run: Box::new(|_, _| ()),
        }
    }

    fn buffers(chain: &[&ByRows]) -> Vec<Buffer> {
        let pixels = |p: &Conv2d| p.oh() * p.ow();
        let bytes = std::iter::once(0).chain(chain.iter().map(|step| pixels(&step.problem) * 4));
        bytes.map(|bytes| Buffer { storage: Storage::Arena { bytes }, first: 0, last: 0 }).collect()
    }

    /// Follows the turns with memory that says which row stands where.
    #[test]
    fn every_row_is_computed_once_and_what_it_reads_is_there() {
        let sizes = [(40, 3), (41, 4), (37, 100), (30, 1)];
        let bands = [[1, 1, 1], [4, 1, 1], [1, 4, 1], [4, 3, 2]].into_iter().flat_map(|bands| [(bands, 1), (bands, 2)]);
        for ((ih, height), (bands, cores)) in sizes.into_iter().flat_map(|size| bands.clone().map(move |b| (size, b))) {
            let first = ByRows { band: bands[0], ..step(ih, 3, 2, 1, 0) };
            let second = ByRows { band: bands[1], ..step(first.problem.oh(), 5, 1, 2, 1) };
            let third = ByRows { band: bands[2], ..step(second.problem.oh(), 1, 3, 0, 2) };
            let chain = [&first, &second, &third];
            let mut buffers = buffers(&chain);
            let parts = parts(&chain, height, cores);
            let turns = take_turns(&chain, 7, &parts, &mut buffers);
            // The rows that stand in each buffer, in order.
            let rows = |id: BufferId, width: usize| buffers[id.index()].bytes() / 4 / width;
            let mut stored: Vec<Vec<Option<usize>>> =
                chain.iter().map(|step| vec![None; rows(step.y, step.problem.ow())]).collect();
            let mut computed = vec![Vec::new(); 3];
            for turn in &turns {
                match turn {
                    Turn::Whole(_) | Turn::Apart(_) => panic!("a chain has parts only"),
                    Turn::Keep(keep) => {
                        let of = keep.buffer.index() - 1;
                        let width = chain[of].problem.ow();
                        stored[of].copy_within(keep.values.start / width..keep.values.end / width, 0);
                    }
                    Turn::Part(number, part) => {
                        let i = number - 7;
                        let p = &chain[i].problem;
                        let (problem, read) = p.rows(part.rows.clone());
                        assert_eq!((problem.oh(), problem.ih), (part.rows.len(), read.len()));
                        assert!(part.rows.start.is_multiple_of(bands[i]), "{part:?} of bands of {}", bands[i]);
                        if i > 0 {
                            let there = &stored[i - 1][part.x / p.iw..][..read.len()];
                            assert_eq!(there, read.map(Some).collect::<Vec<_>>(), "{i} {part:?}");
                        }
                        let to = &mut stored[i][part.y / p.ow()..][..part.rows.len()];
                        to.iter_mut().zip(part.rows.clone()).for_each(|(to, row)| *to = Some(row));
                        computed[i].extend(part.rows.clone());
                    }
                }
            }
            for (step, computed) in chain.iter().zip(&computed) {
                assert_eq!(computed, &(0..step.problem.oh()).collect::<Vec<_>>());
            }
            assert!(height > 10 || bands != [1; 3] || stored[0].len() < first.problem.oh(), "{}", stored[0].len());
        }
    }
}
