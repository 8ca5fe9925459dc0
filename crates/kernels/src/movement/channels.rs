//! Channels to other places, in the blocked layout: concatenation and split at channels where no block begins, and
//! channel shuffle.

use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp, Tier};

/// Which channels of one image batch go to which channels of another; made once for a problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelCopy {
    /// Images.
    n: usize,
    /// Places of one channel: height times width.
    pixels: usize,
    /// Channels of the source and of the destination.
    channels: [usize; 2],
    lanes: usize,
    /// Sorted by block of the destination.
    moves: Vec<Move>,
    /// For each block of the destination that is written, where its moves begin; and the end.
    starts: Vec<usize>,
}

/// What one vector of the destination takes from one vector of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Move {
    to: usize,
    from: usize,
    /// For each lane of the destination the lane of the source; [`KEPT`] where it is another move's.
    lanes: [u32; MAX_LANES],
}

/// A lane that a move leaves as it is.
const KEPT: u32 = u32::MAX;

impl ChannelCopy {
    /// Copies of `n` images of `pixels` places from an array of `channels[0]` channels into one of `channels[1]`, on a
    /// tier: channel `c` of the destination takes channel `from(c)` of the source, and stays as it is where that is
    /// `None`.
    ///
    /// # Panics
    /// When `from` gives a channel that the source does not have.
    pub fn new(
        tier: Tier,
        [n, pixels]: [usize; 2],
        channels: [usize; 2],
        from: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let lanes = tier.lanes();
        let mut moves: Vec<Move> = Vec::new();
        for c in 0..channels[1] {
            let Some(source) = from(c) else { continue };
            assert!(source < channels[0], "the source has the channel");
            let (to, source_block) = (c / lanes, source / lanes);
            let known = moves.iter().rposition(|m| (m.to, m.from) == (to, source_block));
            let at = known.unwrap_or_else(|| {
                moves.push(Move { to, from: source_block, lanes: [KEPT; MAX_LANES] });
                moves.len() - 1
            });
            moves[at].lanes[c % lanes] = (source % lanes) as u32;
        }
        let mut starts: Vec<usize> = (0..moves.len()).filter(|&i| i == 0 || moves[i - 1].to != moves[i].to).collect();
        starts.push(moves.len());
        ChannelCopy { n, pixels, channels, lanes, moves, starts }
    }

    fn blocks(&self, side: usize) -> usize {
        self.channels[side].div_ceil(self.lanes)
    }
}

/// One row of the table of kernels that move channels.
pub struct ChannelKernel {
    /// Name and tier.
    pub id: KernelId,
    /// `[n][ceil(c / V)][pixels][V]` to the same. Panics when a length is not what the problem says, or when it was
    /// made for another tier.
    pub run: fn(&ChannelCopy, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [ChannelKernel; 3] = tiered!(ChannelKernel, "channels", "f32", F32, { run: run });

/// The kernel of a tier.
pub fn choose_channels(tier: Tier) -> &'static ChannelKernel {
    &ROWS[tier as usize]
}

/// Pixels of one task: what several moves write one after the other stays in the first-level cache.
const PIXELS: usize = 128;

fn run<I: Isa>(p: &ChannelCopy, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let plane = p.pixels * I::LANES;
    let [x_blocks, y_blocks] = [p.blocks(0), p.blocks(1)];
    assert!(p.lanes == I::LANES && x.len() == p.n * x_blocks * plane && y.len() == p.n * y_blocks * plane);
    let (isa, y, written) = (I::require(), Shards::new(y), p.starts.len() - 1);
    let parts = p.pixels.div_ceil(PIXELS);
    ctx.pool.run(p.n * written * parts, &|task| {
        let (rest, part) = (task.index / parts, task.index % parts);
        let (image, block) = (rest / written, rest % written);
        let pixels = part * PIXELS..p.pixels.min((part + 1) * PIXELS);
        let moves = &p.moves[p.starts[block]..p.starts[block + 1]];
        let at = |blocks: usize, block: usize| (image * blocks + block) * plane + pixels.start * I::LANES;
        let (to, len) = (at(y_blocks, moves[0].to), pixels.len() * I::LANES);
        // SAFETY: tasks differ in image, block or pixels.
        let y = unsafe { y.range(to..to + len) };
        for group in moves.chunks(MOST) {
            let from = |i: usize| &x[at(x_blocks, group[i].from)..][..len];
            let keeps = !covers(p, group);
            match group.len() {
                1 => isa.dispatch(Body::<1> { lanes: lanes(group), keeps, x: std::array::from_fn(from), y }),
                2 => isa.dispatch(Body::<2> { lanes: lanes(group), keeps, x: std::array::from_fn(from), y }),
                3 => isa.dispatch(Body::<3> { lanes: lanes(group), keeps, x: std::array::from_fn(from), y }),
                _ => isa.dispatch(Body::<MOST> { lanes: lanes(group), keeps, x: std::array::from_fn(from), y }),
            }
        }
    });
}

/// Moves that are made at a time, in registers.
const MOST: usize = 4;

fn lanes<const K: usize>(moves: &[Move]) -> [&[u32; MAX_LANES]; K] {
    std::array::from_fn(|i| &moves[i].lanes)
}

/// True where moves write every channel of their vector; lanes past the last channel may hold anything.
fn covers(p: &ChannelCopy, moves: &[Move]) -> bool {
    let channels = p.lanes.min(p.channels[1] - moves[0].to * p.lanes);
    (0..channels).all(|lane| moves.iter().any(|m| m.lanes[lane] != KEPT))
}

/// `K` moves into one vector of channels.
struct Body<'a, const K: usize> {
    lanes: [&'a [u32; MAX_LANES]; K],
    /// What no move writes stays as it is.
    keeps: bool,
    x: [&'a [f32]; K],
    y: &'a mut [f32],
}

impl<const K: usize> SimdOp for Body<'_, K> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Body { lanes, keeps, x, y } = self;
        if K == 1 && !keeps && lanes[0][..I::LANES].iter().zip(0..).all(|(&lane, i)| lane == i) {
            return y.copy_from_slice(x[0]);
        }
        let masks = lanes.map(|lanes| {
            let moved = lanes.map(|lane| if lane == KEPT { 0.0 } else { 1.0 });
            isa.lt(isa.zero(), isa.load(&moved))
        });
        let orders = lanes.map(|lanes| isa.order(lanes.map(|lane| if lane == KEPT { 0 } else { lane })));
        assert!(x.iter().all(|x| x.len() == y.len()));
        for at in (0..y.len()).step_by(I::LANES) {
            let mut v = if keeps { isa.load(&y[at..]) } else { isa.zero() };
            for k in 0..K {
                v = isa.select(masks[k], isa.permute(isa.load(&x[k][at..]), orders[k]), v);
            }
            isa.store(&mut y[at..], v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{blocked, each_tier, numbers, planar};

    fn check(what: &str, n: usize, pixels: usize, channels: [usize; 2], from: impl Fn(usize) -> Option<usize>) {
        let x = numbers(n * channels[0] * pixels, 4);
        let old = numbers(n * channels[1] * pixels, 5);
        let value = |i: usize| {
            let (image, c, pixel) = (i / pixels / channels[1], i / pixels % channels[1], i % pixels);
            from(c).map_or(old[i], |c| x[(image * channels[0] + c) * pixels + pixel])
        };
        let want: Vec<f32> = (0..old.len()).map(value).collect();
        each_tier(0, |tier, ctx| {
            let (kernel, v) = (choose_channels(tier), tier.lanes());
            let copy = ChannelCopy::new(tier, [n, pixels], channels, &from);
            let mut y = blocked(&old, [n, channels[1], pixels], v);
            (kernel.run)(&copy, &blocked(&x, [n, channels[0], pixels], v), &mut y, ctx);
            assert_eq!(planar(&y, [n, channels[1], pixels], v), want, "{what} {channels:?} {}", kernel.id.name);
        });
    }

    #[test]
    fn channels_go_where_the_map_says() {
        for (n, pixels) in [(1, 1), (2, 49), (1, 300)] {
            for c in [1, 3, 16, 44, 122] {
                check("into the middle", n, pixels, [c, c + 30], |i| i.checked_sub(11).filter(|&i| i < c));
                check("out of the middle", n, pixels, [c + 30, c], |i| Some(i + 7));
                check("whole", n, pixels, [c, c], Some);
            }
            for (groups, c) in [(2, 244), (3, 60), (4, 8)] {
                check("shuffle", n, pixels, [c, c], |i| Some(i % groups * (c / groups) + i / groups));
            }
            check("nothing", n, pixels, [5, 9], |_| None);
        }
    }
}
