//! The register tile: P pixels by NV vectors of output channels, accumulated over input channels and kernel taps.

use crate::conv::epilogue::Finish;
use crate::gemm::product::LINE;
use crate::parallel::Shards;
use crate::{Avx2, Avx512, Conv2d, Isa, Scalar, SimdOp};

/// Where the kernel taps of an output pixel stand in the input, relative to its first one, in elements.
///
/// A strided row is stored one phase after the other (all columns 0, s, 2s, .. of stride s, then 1, s + 1, ..), so
/// that neighbouring output pixels read neighbouring columns whatever the stride.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Taps {
    rows: usize,
    cols: usize,
    /// From one tap to the one below.
    row_pitch: usize,
    /// From one tap to the one at its right, before the phase wraps.
    col_step: usize,
    phases: usize,
    /// Phases from one tap to the one at its right.
    phase_step: usize,
    /// To be taken back where the phase wraps.
    wrap: usize,
    /// The largest offset of any tap.
    span: usize,
}

/// How rows of input are laid out for [`Taps`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RowLayout {
    /// Elements from one row to the next.
    pub(super) pitch: usize,
    /// Phases that a row is stored in: the horizontal stride, or 1 where the columns stand in order.
    pub(super) phases: usize,
    /// Elements of one phase.
    pub(super) phase_pitch: usize,
    /// Elements of one column: the lanes of a blocked layout, or 1.
    pub(super) lanes: usize,
}

impl RowLayout {
    /// Rows that are copied, for pixels of `lanes` elements.
    pub(super) fn copied(p: &Conv2d, lanes: usize) -> Self {
        // One column, one phase: the columns in between are not read at all.
        let phases = if p.kw == 1 { 1 } else { p.stride[1] };
        let phase_pitch = ((p.ow() - 1) * phases + p.reach()[1]).div_ceil(phases) * lanes;
        RowLayout { pitch: phases * phase_pitch, phases, phase_pitch, lanes }
    }
}

impl Taps {
    /// A kernel of one tap.
    pub(in crate::conv) const ONE: Taps =
        Taps { rows: 1, cols: 1, row_pitch: 0, col_step: 0, phases: 1, phase_step: 0, wrap: 0, span: 0 };

    /// The taps of a kernel of `size` with `dilation`, in rows of a layout.
    pub(super) fn new(size: [usize; 2], dilation: [usize; 2], row: &RowLayout) -> Self {
        let mut taps = Taps {
            rows: size[0],
            cols: size[1],
            row_pitch: dilation[0] * row.pitch,
            col_step: dilation[1] % row.phases * row.phase_pitch + dilation[1] / row.phases * row.lanes,
            phases: row.phases,
            phase_step: dilation[1] % row.phases,
            wrap: row.phases * row.phase_pitch - row.lanes,
            span: 0,
        };
        let (mut at, mut phase) = (0, 0);
        let mut widest = 0;
        for _ in 0..taps.cols {
            widest = widest.max(at);
            taps.advance(&mut at, &mut phase);
        }
        taps.span = (taps.rows - 1) * taps.row_pitch + widest;
        taps
    }

    /// Kernel taps in all.
    pub(super) fn count(&self) -> usize {
        self.rows * self.cols
    }

    /// Goes one tap to the right.
    #[inline(always)]
    fn advance(&self, at: &mut usize, phase: &mut usize) {
        *at += self.col_step;
        *phase += self.phase_step;
        if *phase >= self.phases {
            *phase -= self.phases;
            *at -= self.wrap;
        }
    }
}

/// One tile's work: which pixels and channels, and whether sums begin and end here.
pub(in crate::conv) struct Tile<'a> {
    /// Input of the image or strip.
    pub(in crate::conv) x: &'a [f32],
    /// Where the first tap of the first pixel stands in the first channel.
    pub(in crate::conv) x_at: usize,
    /// From one vector of input channels (one channel, where the input is planar) to the next.
    pub(in crate::conv) x_pitch: usize,
    pub(in crate::conv) taps: &'a Taps,
    /// Input channels to accumulate.
    pub(in crate::conv) channels: usize,
    /// Their weights: vectors of input channels, kernel rows, kernel columns, lanes, NV vectors of output channels.
    pub(in crate::conv) w: &'a [f32],
    /// Weights that a later tile reads, to be asked for meanwhile.
    pub(in crate::conv) ahead: &'a [f32],
    pub(in crate::conv) y: &'a Shards<'a, f32>,
    /// Where the first pixel stands in the first vector of output channels.
    pub(in crate::conv) y_at: usize,
    /// From one vector of output channels to the next.
    pub(in crate::conv) y_pitch: usize,
    /// The first output channel.
    pub(in crate::conv) channel: usize,
    /// Sums begin at zero; else the output holds what earlier input channels gave.
    pub(in crate::conv) first: bool,
    /// Sums are complete and get this epilogue.
    pub(in crate::conv) finish: Option<&'a Finish<'a>>,
}

/// A compiled tile of some number of pixels and vectors.
///
/// # Safety
/// The task that calls it is the only one that reaches the tile's outputs.
pub(in crate::conv) type TileFn<I> = unsafe fn(I, &Tile<'_>);

/// The tiles of an instruction set.
pub(in crate::conv) trait Tiles: Isa {
    /// For each number of vectors from 1 on, the tiles of 1, 2, .. pixels, as many as stay in registers: P x NV sums,
    /// NV weights and one broadcast pixel. The input is blocked by lanes.
    const BLOCKED: &'static [&'static [TileFn<Self>]];
    /// The same for planar input.
    const PLANAR: &'static [&'static [TileFn<Self>]];
}

/// Tiles of some widths for one number of vectors.
macro_rules! widths {
    ($isa:ty, $planar:literal, $nv:literal: $($p:literal)*) => { &[$(tile::<$isa, $planar, $p, $nv>),*] };
}

impl Tiles for Avx512 {
    const BLOCKED: &'static [&'static [TileFn<Self>]] = &[
        widths!(Avx512, false, 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28),
        widths!(Avx512, false, 2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        widths!(Avx512, false, 3: 1 2 3 4 5 6 7 8 9),
        widths!(Avx512, false, 4: 1 2 3 4 5 6),
    ];
    const PLANAR: &'static [&'static [TileFn<Self>]] = &[
        widths!(Avx512, true, 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28),
        widths!(Avx512, true, 2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
    ];
}

impl Tiles for Avx2 {
    const BLOCKED: &'static [&'static [TileFn<Self>]] =
        &[widths!(Avx2, false, 1: 1 2 3 4 5 6 7 8 9 10 11 12), widths!(Avx2, false, 2: 1 2 3 4 5 6)];
    const PLANAR: &'static [&'static [TileFn<Self>]] =
        &[widths!(Avx2, true, 1: 1 2 3 4 5 6 7 8 9 10 11 12), widths!(Avx2, true, 2: 1 2 3 4 5 6)];
}

impl Tiles for Scalar {
    const BLOCKED: &'static [&'static [TileFn<Self>]] =
        &[widths!(Scalar, false, 1: 1 2 3 4 5 6 7 8), widths!(Scalar, false, 2: 1 2 3 4)];
    const PLANAR: &'static [&'static [TileFn<Self>]] =
        &[widths!(Scalar, true, 1: 1 2 3 4 5 6 7 8), widths!(Scalar, true, 2: 1 2 3 4)];
}

/// How far ahead weights are asked for, in f32: 32 vectors, 8 to 32 steps of some 28 cycles each. Memory answers within
/// 400. Small images read weights too seldom for the core's own prefetching: 73 % of the peak became 91 % where all
/// operands came from memory (7x7 pixels, 512 to 2048 channels, Zen 4).
const AHEAD: usize = 512;

/// One tile, compiled for the instruction set.
///
/// # Safety
/// The calling task is the only one that reaches the tile's outputs.
unsafe fn tile<I: Isa, const PLANAR: bool, const P: usize, const NV: usize>(isa: I, tile: &Tile<'_>) {
    isa.dispatch(Body::<'_, PLANAR, P, NV>(tile));
}

struct Body<'a, const PLANAR: bool, const P: usize, const NV: usize>(&'a Tile<'a>);

impl<const PLANAR: bool, const P: usize, const NV: usize> SimdOp for Body<'_, PLANAR, P, NV> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let t = self.0;
        // Vectors are written out: a loop around so large a body stays a loop, whose index keeps the sums in memory.
        const { assert!(NV <= 4) };
        let mut acc = [[isa.zero(); P]; NV];
        if !t.first {
            if NV > 0 {
                load_sums(isa, t, 0, &mut acc[0]);
            }
            if NV > 1 {
                load_sums(isa, t, 1, &mut acc[1]);
            }
            if NV > 2 {
                load_sums(isa, t, 2, &mut acc[2]);
            }
            if NV > 3 {
                load_sums(isa, t, 3, &mut acc[3]);
            }
        }
        for v in 0..NV {
            prefetch_sums::<I, P>(isa, t, v);
        }
        accumulate::<I, PLANAR, P, NV>(isa, t, &mut acc);
        if NV > 0 {
            store_sums(isa, t, 0, &mut acc[0]);
        }
        if NV > 1 {
            store_sums(isa, t, 1, &mut acc[1]);
        }
        if NV > 2 {
            store_sums(isa, t, 2, &mut acc[2]);
        }
        if NV > 3 {
            store_sums(isa, t, 3, &mut acc[3]);
        }
    }
}

/// The sums of vector `v` that earlier input channels left in the output.
#[inline(always)]
fn load_sums<I: Isa, const P: usize>(isa: I, t: &Tile<'_>, v: usize, acc: &mut [I::F; P]) {
    let at = t.y_at + v * t.y_pitch;
    // SAFETY: only the calling task reaches the tile's outputs, and this is the only range alive in it.
    let y = unsafe { t.y.range(at..at + P * I::LANES) };
    for (p, sum) in acc.iter_mut().enumerate() {
        // SAFETY: the range holds P vectors and p < P.
        *sum = unsafe { isa.load_at(y, p * I::LANES) };
    }
}

/// Asks for the outputs of vector `v`, and for what finishes them, while the sums are being made.
#[inline(always)]
fn prefetch_sums<I: Isa, const P: usize>(isa: I, t: &Tile<'_>, v: usize) {
    let at = t.y_at + v * t.y_pitch;
    // SAFETY: only the calling task reaches the tile's outputs, and this is the only range alive in it.
    let y = unsafe { t.y.range(at..at + P * I::LANES) };
    for p in 0..P {
        isa.prefetch(y, p * I::LANES);
    }
    if let Some(finish) = t.finish {
        finish.prefetch::<I, P>(isa, at);
    }
}

/// Stores the sums of vector `v`, finished where they are complete.
#[inline(always)]
fn store_sums<I: Isa, const P: usize>(isa: I, t: &Tile<'_>, v: usize, acc: &mut [I::F; P]) {
    let at = t.y_at + v * t.y_pitch;
    if let Some(finish) = t.finish {
        finish.apply(isa, t.channel + v * I::LANES, at, acc);
    }
    // SAFETY: only the calling task reaches the tile's outputs, and this is the only range alive in it.
    let y = unsafe { t.y.range(at..at + P * I::LANES) };
    for (p, &sum) in acc.iter().enumerate() {
        // SAFETY: the range holds P vectors and p < P.
        unsafe { isa.store_at(y, p * I::LANES, sum) };
    }
}

#[inline(always)]
fn accumulate<I: Isa, const PLANAR: bool, const P: usize, const NV: usize>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [[I::F; P]; NV],
) {
    let lanes = if PLANAR { 1 } else { I::LANES };
    let taps = t.taps;
    let last = t.x_at + (t.channels.div_ceil(lanes) - 1) * t.x_pitch + taps.span;
    assert!(last + P * lanes <= t.x.len(), "the taps of all pixels stand in the input");
    assert!(t.channels * taps.count() * NV * I::LANES <= t.w.len(), "all weights are there");
    let (mut x_at, mut w_at, mut left) = (t.x_at, 0, t.channels);
    // Lines of the later weights for each tap of a vector of channels.
    let lines = t.ahead.len().div_ceil(LINE * t.channels.div_ceil(lanes) * taps.count());
    let mut ahead = 0;
    while left > 0 {
        let here = left.min(lanes);
        // The pixels of the tile at the right. A pointwise tile reads each only once: to ask for it first costs more
        // than it brings.
        if !PLANAR && taps.count() > 1 {
            for p in P..2 * P {
                isa.prefetch(t.x, x_at + p * lanes);
            }
        }
        for row in 0..taps.rows {
            let (mut at, mut phase) = (x_at + row * taps.row_pitch, 0);
            for _ in 0..taps.cols {
                for _ in 0..lines {
                    isa.prefetch_far(t.ahead, ahead);
                    ahead += LINE;
                }
                for lane in 0..here {
                    let mut w = [isa.zero(); NV];
                    for (v, w) in w.iter_mut().enumerate() {
                        // SAFETY: of the `channels * taps * NV` vectors asserted above this is one not yet used.
                        *w = unsafe { isa.load_at(t.w, w_at + v * I::LANES) };
                        isa.prefetch(t.w, w_at + v * I::LANES + AHEAD);
                    }
                    for p in 0..P {
                        // SAFETY: `at - x_at` is at most the span of the taps and `lane < lanes`, so the index is
                        // below `last + P * lanes`.
                        let x = unsafe { isa.splat_at(t.x, at + p * lanes + lane) };
                        for (acc, &w) in acc.iter_mut().zip(&w) {
                            acc[p] = isa.fma(x, w, acc[p]);
                        }
                    }
                    w_at += NV * I::LANES;
                }
                taps.advance(&mut at, &mut phase);
            }
        }
        x_at += t.x_pitch;
        left -= here;
    }
}
