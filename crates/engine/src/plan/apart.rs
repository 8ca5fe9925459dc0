//! Sections of a run whose steps go side by side, one core each.
//!
//! A small step that all cores share costs them the lines that the others have just written, and a join. Where a graph
//! has branches, as a cell of NASNet or an inception module, each core rather follows some of them by itself. The steps
//! of a section are dealt out to lanes. A lane's steps run in their order, and each begins when every lane has come as
//! far as the step's clock says, which counts the steps of each lane that come before it: those whose values it reads,
//! and all that came before these. Two buffers may share memory where all steps that touch the one come before all
//! that touch the other.
//!
//! Sections are chosen from what the description of the machine promises, so that a plan stays a function of network,
//! schedule and description of the machine; every output is computed as ever, so that results are the same bits.

use std::ops::Range;

use tilewise_kernels::Cpu;

use super::groups::Groups;
use super::{BufferId, Place, Step, Turn};
use crate::lower::{Buffer, Storage};
use crate::schedule::{Machine, Predicted};

/// Steps that follow each other in the plan, dealt out to lanes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    first: usize,
    seats: Vec<Seat>,
    /// The steps of each lane by their numbers in the plan, in ascending order.
    pub(crate) lanes: Vec<Vec<usize>>,
}

/// Where a step stands in a section.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seat {
    lane: usize,
    /// How many steps of each lane come before it.
    clock: Vec<usize>,
}

impl Section {
    /// A section of the steps from 0 on, each with its lane and its clock.
    #[cfg(test)]
    pub(crate) fn of(seats: &[(usize, &[usize])]) -> Self {
        let lanes = seats.iter().map(|seat| seat.0 + 1).max().unwrap_or(0);
        let of_lane = |lane| (0..seats.len()).filter(|&step| seats[step].0 == lane).collect();
        let seat = |&(lane, clock): &(usize, &[usize])| Seat { lane, clock: clock.to_vec() };
        Section { first: 0, seats: seats.iter().map(seat).collect(), lanes: (0..lanes).map(of_lane).collect() }
    }

    /// The numbers of its steps.
    pub(crate) fn steps(&self) -> Range<usize> {
        self.first..self.first + self.seats.len()
    }

    /// How many steps of each lane must be done before a step of the section begins.
    pub(crate) fn clock(&self, step: usize) -> &[usize] {
        &self.seats[step - self.first].clock
    }

    /// True where a step is done before another begins, whoever runs them.
    fn comes_before(&self, step: usize, other: usize) -> bool {
        let seat = &self.seats[step - self.first];
        self.clock(other)[seat.lane] > seat.clock[seat.lane]
    }

    /// What each step adds to the run: its part of the time from the first to the last, in proportion to its own.
    pub(super) fn predicted(&self, steps: &[Step], cpu: &Cpu, machine: &Machine) -> Vec<Predicted> {
        let (core, share) = (cpu.clone().with_cores(1), machine.one_of(cpu.cores));
        let mut predicted: Vec<Predicted> =
            self.steps().map(|step| steps[step].info.predicted(&core, &share)).collect();
        let mut ends: Vec<Vec<f64>> = vec![vec![0.0]; self.lanes.len()];
        for (seat, predicted) in self.seats.iter().zip(&predicted) {
            let start = seat.clock.iter().zip(&ends).map(|(&done, ends)| ends[done]).fold(0.0, f64::max);
            ends[seat.lane].push(start + predicted.seconds());
        }
        let end = ends.iter().filter_map(|ends| ends.last()).copied().fold(0.0, f64::max);
        let busy: f64 = predicted.iter().map(Predicted::seconds).sum();
        let part = if busy > 0.0 { (end + machine.dispatch) / busy } else { 0.0 };
        predicted.iter_mut().for_each(|step| *step *= part);
        predicted
    }
}

/// Steps of a section at most: several cells of a network, and choosing takes time in proportion.
const MOST: usize = 96;

/// Bytes of a line.
const LINE_BYTES: f64 = 64.0;

/// Cycles for a line that another core has written, one address after the other: 6 ns at 3.7 GHz.
const LINE: f64 = 22.0;

/// Of the lines that a step on all cores finds with others, the part that costs as much as these. Fitted, as what follows,
/// to 130 sections of NASNet-A, PNASNet-5 and AmoebaNet-A on two cores of a Granite Rapids (AVX-512, November 2026): steps on
/// all cores take 3 us more than half of their time on one where values are small.
const MIXED: f64 = 0.4;

/// Cycles that cores wait for the last of them at the end of a step that has blocks, beside what is predicted: 1.7 us.
const UNEVEN: f64 = 6500.0;

/// Cycles until all lanes are under way: 1.6 us.
const START: f64 = 6000.0;

/// Cycles to find a step of a lane and to tell that it is done.
const CLAIM: f64 = 150.0;

/// Sections are taken that should save one part in about so many: predictions are no better.
const GAIN: f64 = 16.0;

/// Turns, with sections in place of whole steps where that is faster, and the schedule does not say otherwise.
pub(super) fn apart(turns: Vec<Turn>, steps: &[Step], buffers: &[Buffer], groups: &Groups, cpu: &Cpu) -> Vec<Turn> {
    if cpu.cores < 2 {
        return turns;
    }
    let mut whole: Vec<bool> = vec![false; steps.len()];
    for turn in &turns {
        if let Turn::Whole(step) = turn {
            let ids = steps[*step].reads.iter().chain(&steps[*step].writes);
            whole[*step] = !groups.is_whole(*step)
                && !ids.clone().any(|id| matches!(buffers[id.index()].storage, Storage::Dynamic(_)));
        }
    }
    let mut sections = sections(&whole, &Costs::of(steps, buffers, cpu)).into_iter().peekable();
    let mut all = Vec::with_capacity(turns.len());
    for turn in turns {
        let step = turn.steps().start;
        match sections.peek().map(Section::steps) {
            Some(range) if matches!(turn, Turn::Whole(_)) && range.contains(&step) => {
                if step + 1 == range.end {
                    all.extend(sections.next().map(Turn::Apart));
                }
            }
            _ => all.push(turn),
        }
    }
    all
}

/// What steps cost, in cycles.
struct Costs {
    cores: usize,
    dispatch: f64,
    steps: Vec<Cost>,
}

struct Cost {
    /// On all cores, and on one.
    whole: f64,
    alone: f64,
    /// Arrays that are read: buffer, bytes.
    reads: Vec<(usize, usize)>,
    /// Steps that must be done before.
    after: Vec<After>,
}

/// A step that must be done before another.
struct After {
    step: usize,
    /// The buffer that both touch, and the bytes that the one wrote and the other reads.
    buffer: usize,
    bytes: usize,
}

impl Costs {
    fn of(steps: &[Step], buffers: &[Buffer], cpu: &Cpu) -> Self {
        let (cores, machine) = (cpu.cores, Machine::promised(cpu));
        let (core, share) = (cpu.clone().with_cores(1), machine.one_of(cores));
        let mut touched: Vec<Vec<(usize, Range<usize>, bool)>> = vec![Vec::new(); buffers.len()];
        let mut costs = Vec::with_capacity(steps.len());
        for (number, step) in steps.iter().enumerate() {
            let mut cost = Cost { whole: 0.0, alone: 0.0, reads: Vec::new(), after: Vec::new() };
            for (&id, writes) in step.reads.iter().map(|id| (id, false)).chain(step.writes.iter().map(|id| (id, true)))
            {
                let Some((buffer, range)) = extent(buffers, id) else { continue };
                if !writes {
                    cost.reads.push((buffer, range.len()));
                }
                let others = touched[buffer].iter().filter(|touch| touch.0 < number && (writes || touch.2));
                let others = others
                    .map(|(step, of, _)| (*step, of.end.min(range.end).saturating_sub(of.start.max(range.start))));
                let others: Vec<(usize, usize)> = others.filter(|(_, bytes)| *bytes > 0).collect();
                // What several have written in turn is read once.
                let parts = others.iter().map(|(_, bytes)| bytes).sum::<usize>().div_ceil(range.len()).max(1);
                let read = |bytes: usize| if writes { 0 } else { bytes / parts };
                cost.after.extend(others.iter().map(|&(step, bytes)| After { step, buffer, bytes: read(bytes) }));
                touched[buffer].push((number, range, writes));
            }
            let read: usize = cost.reads.iter().map(|read| read.1).sum();
            let uneven = if step.info.decision.is_some() { UNEVEN } else { 0.0 };
            cost.whole =
                step.info.predicted(cpu, &machine).seconds() + uneven + MIXED * far(read as f64, cores) / cores as f64;
            cost.alone = step.info.predicted(&core, &share).seconds() + CLAIM;
            costs.push(cost);
        }
        Costs { cores, dispatch: machine.dispatch, steps: costs }
    }
}

/// Cycles to read bytes that all cores had a part in.
fn far(bytes: f64, cores: usize) -> f64 {
    bytes / LINE_BYTES * LINE * (cores - 1) as f64 / cores as f64
}

/// The buffer of the arena that holds another one or is the same, and the bytes of it there; `None` for what stands
/// elsewhere or nowhere.
fn extent(buffers: &[Buffer], id: BufferId) -> Option<(usize, Range<usize>)> {
    let (mut at, mut start) = (id.index(), 0);
    while let Storage::Part { of, offset, .. } = buffers[at].storage {
        (at, start) = (of.index(), start + offset);
    }
    let bytes = buffers[id.index()].bytes();
    let there = matches!(buffers[at].storage, Storage::Arena { .. } | Storage::Scratch { .. });
    (there && bytes > 0).then_some((at, start..start + bytes))
}

/// The sections that make the least of the time of all steps: each begins where the fastest way to the step before it ends.
fn sections(whole: &[bool], costs: &Costs) -> Vec<Section> {
    let steps = whole.len();
    // For each number of steps the least time until they are done, and where the last turn of that way begins.
    let mut best: Vec<(f64, usize)> = (0..=steps).map(|end| (f64::INFINITY, end.saturating_sub(1))).collect();
    best[0].0 = 0.0;
    for first in 0..steps {
        let start = best[first].0;
        let mut relax = |end: usize, time: f64| {
            if start + time < best[end].0 {
                best[end] = (start + time, first);
            }
        };
        relax(first + 1, costs.steps[first].whole);
        let mut sketch = Sketch::new(first, costs);
        for step in (first..steps).take(MOST).take_while(|&step| whole[step]) {
            sketch.push(step);
            if sketch.lanes() > 1 {
                relax(step + 1, (sketch.end() + costs.dispatch + START) * (1.0 + 1.0 / GAIN));
            }
        }
    }
    let mut sections = Vec::new();
    let mut end = steps;
    while end > 0 {
        let first = best[end].1;
        if end - first > 1 {
            let mut sketch = Sketch::new(first, costs);
            (first..end).for_each(|step| sketch.push(step));
            sections.push(sketch.section());
        }
        end = first;
    }
    sections.reverse();
    sections
}

/// A section under way: steps are dealt out in their order, each to the lane where it should be done first.
struct Sketch<'a> {
    costs: &'a Costs,
    first: usize,
    /// When each lane has done its steps.
    ends: Vec<f64>,
    steps: Vec<Sketched>,
    /// Buffers from before the section that cores have read, and which of them.
    near: Vec<(usize, u64)>,
}

/// A step of a sketch.
struct Sketched {
    lane: usize,
    end: f64,
    /// The lanes whose cores have its output, as bits.
    near: u64,
}

impl<'a> Sketch<'a> {
    fn new(first: usize, costs: &'a Costs) -> Self {
        // Lanes stand in a word of bits.
        Sketch { costs, first, ends: vec![0.0; costs.cores.min(64)], steps: Vec::new(), near: Vec::new() }
    }

    /// Lanes that have steps: the first ones.
    fn lanes(&self) -> usize {
        self.ends.iter().filter(|&&end| end > 0.0).count()
    }

    fn end(&self) -> f64 {
        self.ends.iter().copied().fold(0.0, f64::max)
    }

    fn push(&mut self, step: usize) {
        let Cost { alone, reads, after, .. } = &self.costs.steps[step];
        let after: Vec<(&After, usize)> =
            after.iter().filter_map(|after| Some((after, after.step.checked_sub(self.first)?))).collect();
        let ready = after.iter().map(|&(_, step)| self.steps[step].end).fold(0.0, f64::max);
        // What is read, in cycles where it is far, and the lanes to which it is near.
        let mut read: Vec<(f64, u64)> = Vec::new();
        for &(buffer, bytes) in reads {
            let mut given = bytes;
            for (after, step) in after.iter().filter(|(after, _)| after.buffer == buffer && after.bytes > 0) {
                given = given.saturating_sub(after.bytes);
                read.push((after.bytes as f64 / LINE_BYTES * LINE, self.steps[*step].near));
            }
            let near = self.near.iter().find(|near| near.0 == buffer).map_or(0, |near| near.1);
            read.push((far(given as f64, self.costs.cores), near));
        }
        let end = |lane: usize| {
            let far = read.iter().filter(|(_, near)| near >> lane & 1 == 0).map(|(cycles, _)| cycles);
            ready.max(self.ends[lane]) + alone + far.sum::<f64>()
        };
        // Of the lanes without a step one is as good as the others.
        let ends = (0..self.ends.len().min(self.lanes() + 1)).map(|lane| (lane, end(lane)));
        let (lane, end) = ends.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        after.iter().filter(|(after, _)| after.bytes > 0).for_each(|&(_, step)| self.steps[step].near |= 1 << lane);
        for &(buffer, _) in reads {
            match self.near.iter_mut().find(|near| near.0 == buffer) {
                Some(near) => near.1 |= 1 << lane,
                None => self.near.push((buffer, 1 << lane)),
            }
        }
        self.ends[lane] = end;
        self.steps.push(Sketched { lane, end, near: 1 << lane });
    }

    fn section(&self) -> Section {
        let mut lanes = vec![Vec::new(); self.ends.len()];
        let mut seats: Vec<Seat> = Vec::with_capacity(self.steps.len());
        for (&Sketched { lane, .. }, step) in self.steps.iter().zip(self.first..) {
            let mut clock = vec![0; lanes.len()];
            let before = self.costs.steps[step].after.iter().map(|after| after.step).chain(lanes[lane].last().copied());
            for before in before.filter(|&before| before >= self.first) {
                let seat = &seats[before - self.first];
                clock.iter_mut().zip(&seat.clock).for_each(|(done, before)| *done = (*done).max(*before));
                clock[seat.lane] = clock[seat.lane].max(seat.clock[seat.lane] + 1);
            }
            lanes[lane].push(step);
            seats.push(Seat { lane, clock });
        }
        lanes.truncate(self.lanes());
        seats.iter_mut().for_each(|seat| seat.clock.truncate(lanes.len()));
        Section { first: self.first, seats, lanes }
    }
}

/// Which buffers are never in use at the same time.
#[derive(Default)]
pub(crate) struct Lives {
    /// Of each buffer, how many steps of each lane of the section of its last step are done when it is; none where it
    /// does not end in a section.
    done: Vec<Vec<usize>>,
    /// And how many are done before any step touches it, in the section of its first step.
    begun: Vec<Vec<usize>>,
    /// The section of each step, counted from 1; 0 for none.
    section: Vec<usize>,
}

impl Lives {
    pub(super) fn of(buffers: &[Buffer], steps: &[Step], turns: &[Turn]) -> Self {
        let none = || vec![Vec::new(); buffers.len()];
        let mut lives = Lives { done: none(), begun: none(), section: vec![0; steps.len() + 1] };
        let sections = turns.iter().filter_map(Turn::section);
        for (section, number) in sections.zip(1..) {
            for step in section.steps() {
                lives.section[step] = number;
                let seat = &section.seats[step - section.first];
                for (at, _) in steps[step].reads.iter().chain(&steps[step].writes).filter_map(|&id| extent(buffers, id))
                {
                    let (buffer, lanes) = (&buffers[at], section.lanes.len());
                    if section.steps().contains(&buffer.last) {
                        lives.done[at].resize(lanes, 0);
                        lives.done[at][seat.lane] = seat.clock[seat.lane] + 1;
                    }
                    if section.steps().contains(&buffer.first) {
                        lives.begun[at].resize(lanes, usize::MAX);
                        lives.begun[at].iter_mut().zip(&seat.clock).for_each(|(all, &this)| *all = this.min(*all));
                    }
                }
            }
        }
        lives
    }

    /// True where two buffers are in use at the same time, or may be.
    pub(super) fn meet(&self, buffers: &[Buffer], a: usize, b: usize) -> bool {
        let ends_before = |a: usize, b: usize| {
            let (last, first) = (buffers[a].last, buffers[b].first);
            let section = |step: usize| self.section.get(step).copied().unwrap_or(0);
            let together = section(last) > 0 && section(last) == section(first);
            last < first && (!together || self.done[a].iter().zip(&self.begun[b]).all(|(done, begun)| done <= begun))
        };
        !ends_before(a, b) && !ends_before(b, a)
    }
}

/// Two steps of a section of which neither comes before the other and one writes what the other touches; a plan has none.
pub(super) fn clash(turns: &[Turn], steps: &[Step], places: &[Place]) -> Option<(usize, usize)> {
    let ranges = |ids: &[BufferId]| ids.iter().map(|id| places[id.index()].range()).collect::<Vec<_>>();
    let meet = |a: &[BufferId], b: &[BufferId]| {
        let b = ranges(b);
        ranges(a).iter().any(|a| b.iter().any(|b| a.start.max(b.start) < a.end.min(b.end)))
    };
    for section in turns.iter().filter_map(Turn::section) {
        for (a, b) in section.steps().flat_map(|a| (a + 1..section.steps().end).map(move |b| (a, b))) {
            let (x, y) = (&steps[a], &steps[b]);
            let free = !section.comes_before(a, b);
            if free && (meet(&x.writes, &y.writes) || meet(&x.writes, &y.reads) || meet(&x.reads, &y.writes)) {
                return Some((a, b));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::plan::Packed;

    use super::*;
    use crate::plan::{StepInfo, layout};

    fn step(reads: Vec<BufferId>, writes: Vec<BufferId>, macs: u64) -> Step {
        let step = Step::of(reads, writes, Box::new(|_| Ok(())));
        Step { info: StepInfo { macs, ..step.info }, ..step }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % n as u64) as usize
        }
    }

    /// A network of `count` steps: each reads some values, writes a new one, or part of one, and has scratch.
    fn network(random: &mut Random, count: usize) -> (Vec<Step>, Vec<Buffer>) {
        let buffer = |storage| Buffer { storage, first: usize::MAX, last: 0 };
        let mut buffers = vec![buffer(Storage::Arena { bytes: 0 }), buffer(Storage::Arena { bytes: 640 })];
        let constant = Arc::new(Packed::of(64));
        buffers.push(buffer(Storage::Constant(constant)));
        buffers[1].first = 0;
        let (mut values, mut seats) = (vec![1], Vec::new());
        let mut steps = Vec::new();
        for number in 0..count {
            let mut add = |storage| {
                buffers.push(buffer(storage));
                buffers.len() - 1
            };
            // Some values are made in parts of one that is read when all of them are there.
            if seats.is_empty() && random.below(4) == 0 {
                let of = BufferId(add(Storage::Arena { bytes: 3 * 128 }) as u32);
                seats = (0..3).map(|i| add(Storage::Part { of, offset: 128 * i, bytes: 128 })).collect();
            }
            let y = match seats.pop() {
                Some(seat) => seat,
                None => add(Storage::Arena { bytes: 64 * (1 + random.below(9)) }),
            };
            let scratch = add(Storage::Scratch { bytes: 64 * random.below(3) });
            let recent = values.len().saturating_sub(1 + random.below(6));
            let mut reads = vec![BufferId::NONE, BufferId(2), BufferId(values[recent] as u32)];
            reads.push(BufferId(values[random.below(values.len())] as u32));
            values.push(y);
            if let Storage::Part { of, .. } = buffers[y].storage
                && seats.is_empty()
            {
                values.push(of.index());
            }
            let writes = vec![BufferId(y as u32), BufferId(scratch as u32)];
            for id in reads.iter().chain(&writes) {
                let whole = extent(&buffers, *id).map(|(whole, _)| whole);
                for at in [Some(id.index()), whole].into_iter().flatten() {
                    buffers[at].first = buffers[at].first.min(number);
                    buffers[at].last = buffers[at].last.max(number);
                }
            }
            steps.push(step(reads, writes, [20_000, 100_000, 400_000][random.below(3)]));
        }
        let last = values[values.len() - 1];
        buffers[last].last = count;
        (steps, buffers)
    }

    /// Runs turns in one of the orders that their clocks allow, with memory that says who wrote it; what each step finds
    /// where it reads.
    fn found(turns: &[Turn], steps: &[Step], places: &[Place], bytes: usize, random: &mut Random) -> Vec<Vec<usize>> {
        let mut memory = vec![usize::MAX; bytes];
        let mut found = vec![Vec::new(); steps.len()];
        let mut run = |step: usize| {
            let reads = steps[step].reads.iter().flat_map(|id| places[id.index()].range());
            found[step] = reads.map(|at| memory[at]).collect();
            steps[step].writes.iter().for_each(|id| memory[places[id.index()].range()].fill(step));
        };
        for turn in turns {
            let Some(section) = turn.section() else {
                turn.steps().for_each(&mut run);
                continue;
            };
            let mut done = vec![0; section.lanes.len()];
            for _ in section.steps() {
                let next = |lane: usize| section.lanes[lane].get(done[lane]).copied();
                let ready = |step: &usize| section.clock(*step).iter().zip(&done).all(|(before, done)| before <= done);
                let ready: Vec<usize> =
                    (0..done.len()).filter(|&lane| next(lane).as_ref().is_some_and(ready)).collect();
                let lane = ready[random.below(ready.len())];
                run(section.lanes[lane][done[lane]]);
                done[lane] += 1;
            }
        }
        found
    }

    fn unsaid(steps: &[Step]) -> Groups {
        Groups::of(steps, &[], &crate::Schedule::default())
    }

    #[test]
    fn steps_side_by_side_find_what_they_would_find_one_after_the_other() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut taken, mut lanes) = (0, 0);
        for round in 0..200 {
            let cpu = Cpu::zen5().with_cores([2, 3, 8, 64][round % 4]);
            let (steps, buffers) = network(&mut random, 1 + round);
            let in_order: Vec<Turn> = (0..steps.len()).map(Turn::Whole).collect();
            let turns = apart(in_order.clone(), &steps, &buffers, &unsaid(&steps), &cpu);
            assert!(turns.iter().flat_map(Turn::steps).eq(0..steps.len()));
            for section in turns.iter().filter_map(Turn::section) {
                let mut all = section.lanes.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(section.steps()) && section.lanes.iter().all(|lane| lane.is_sorted()));
                (taken, lanes) = (taken + 1, lanes.max(section.lanes.len()));
                assert!((2..=cpu.cores).contains(&section.lanes.len()));
            }
            let lives = Lives::of(&buffers, &steps, &turns);
            let (places, bytes) = layout::assign(buffers, &lives, usize::MAX).unwrap();
            assert_eq!(clash(&turns, &steps, &places), None);
            let expected = found(&in_order, &steps, &places, bytes, &mut random);
            for _ in 0..4 {
                assert_eq!(found(&turns, &steps, &places, bytes, &mut random), expected, "round {round}");
            }
        }
        assert!(taken > 100 && lanes > 2, "{taken} sections of up to {lanes} lanes");
    }

    #[test]
    fn what_is_side_by_side_without_a_clock_clashes() {
        let ids = [BufferId(0), BufferId(1)];
        let steps = [step(vec![], vec![ids[0]], 0), step(vec![ids[0]], vec![ids[1]], 0)];
        let places = [Place::Arena(0..64), Place::Arena(64..128)];
        let section = |clock: [usize; 2]| [Turn::Apart(Section::of(&[(0, &[0, 0]), (1, &clock)]))];
        assert_eq!(clash(&section([0, 0]), &steps, &places), Some((0, 1)));
        assert_eq!(clash(&section([1, 0]), &steps, &places), None);
    }

    #[test]
    fn large_steps_and_chains_keep_all_cores() {
        let cpu = Cpu::zen5();
        let kinds = |steps: Vec<Step>, buffers: Vec<Buffer>| {
            let turns = apart((0..steps.len()).map(Turn::Whole).collect(), &steps, &buffers, &unsaid(&steps), &cpu);
            turns.iter().filter(|turn| turn.section().is_some()).count()
        };
        let buffers =
            || (0..9).map(|i| Buffer { storage: Storage::Arena { bytes: 4096 }, first: i, last: 9 }).collect();
        let chain = |macs| (1..9).map(|i| step(vec![BufferId(i - 1)], vec![BufferId(i)], macs)).collect();
        let branches = |macs| (1..9).map(|i| step(vec![BufferId(0)], vec![BufferId(i)], macs)).collect();
        assert_eq!(kinds(chain(100_000), buffers()), 0);
        assert_eq!(kinds(branches(100_000), buffers()), 1);
        assert_eq!(kinds(branches(1_000_000_000), buffers()), 0);
    }
}
