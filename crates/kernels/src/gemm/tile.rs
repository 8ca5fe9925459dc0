//! Register tiles: one generic function, and the shapes it is compiled in.

use super::finish::{Bias, Finish};
use super::product::LINE;
use crate::{Avx2, Avx512, Isa, MAX_LANES, Scalar, Shards, SimdOp};

/// What a register tile is given: `C[height, cols] (+)= A[height, k] B[k, cols]`.
pub(crate) struct TileArgs<'a> {
    /// A panel of A: `k` columns of as many values as the tile is high; rows where they stand, for a tile that reads
    /// A in place.
    pub a: &'a [f32],
    /// Distance between rows of A where it is read in place.
    pub a_pitch: usize,
    /// A panel of B: `k` rows of whole vectors.
    pub b: &'a [f32],
    /// What of the next panel of B is asked for meanwhile.
    pub ahead: &'a [f32],
    /// Depth of the panels.
    pub k: usize,
    /// Where C stands.
    pub c: &'a Shards<'a, f32>,
    /// C's first element of the tile.
    pub at: usize,
    /// Distance between rows of C.
    pub pitch: usize,
    /// C's first row and column of the tile.
    pub place: [usize; 2],
    /// Columns that C has here: all vectors are full but the last.
    pub cols: usize,
    /// True where C holds the sum over the depth before this one; else the sum begins at zero.
    pub resume: bool,
    /// What makes the sums outputs, where they are complete; only for whole vectors.
    pub finish: Option<&'a Finish<'a>>,
}

/// A tile function of one height and width.
pub(crate) type TileFn<I> = fn(I, &TileArgs<'_>);

/// Tile functions by the vectors across and then by the height, each from 1 on.
pub(crate) type Shapes<I> = &'static [&'static [TileFn<I>]];

/// The shape of a register tile, as a type.
pub(crate) trait Tile: 'static {
    /// The instruction set it is compiled for.
    type I: Isa;
    /// Rows of the highest tile.
    const MR: usize;
    /// Columns of the widest.
    const NR: usize;
    /// The tile functions up to `MR` and `NR`: an edge of C costs what it has rows and vectors of columns.
    const PACKED: Shapes<Self::I>;
    /// The same for an A that is read in place.
    const IN_PLACE: Shapes<Self::I>;
}

/// The token of a row's instruction set.
///
/// # Panics
/// On a machine without it: the caller chose a row of a tier that is not [`crate::Tier::available`].
pub(crate) fn token<T: Tile>() -> T::I {
    match T::I::get() {
        Some(isa) => isa,
        None => panic!("this machine has no {}", <T::I as Isa>::TIER),
    }
}

/// Columns of a panel of B that holds `cols` columns of the matrix: whole vectors.
pub(crate) fn panel_width<T: Tile>(cols: usize) -> usize {
    cols.next_multiple_of(<T::I as Isa>::LANES)
}

struct Sum<'a, const IN_PLACE: bool, const MR: usize, const NV: usize>(&'a TileArgs<'a>);

impl<const IN_PLACE: bool, const MR: usize, const NV: usize> SimdOp for Sum<'_, IN_PLACE, MR, NV> {
    type Output = ();

    /// Every element is one chain of multiply-adds over k that begins at zero or where C stands, so its bits depend
    /// neither on the tile nor on the blocks.
    ///
    /// Loops over the sums are short: one with a larger body stays a loop, whose index keeps the sums in memory.
    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let t = self.0;
        let nr = NV * I::LANES;
        assert!(t.cols <= nr && t.cols + I::LANES > nr, "only the last vector is in part");
        let mut acc = [[isa.zero(); NV]; MR];
        if t.resume {
            load_rows(isa, t, &mut acc);
        } else {
            for i in 0..MR {
                let c = row_of(t, i);
                for v in 0..NV {
                    isa.prefetch(c, v * I::LANES);
                }
            }
        }
        accumulate::<I, IN_PLACE, MR, NV>(isa, t, &mut acc);
        if let Some(finish) = t.finish {
            assert!(t.cols == nr, "only whole vectors are finished here");
            apply(isa, t, finish, &mut acc);
        }
        store_rows(isa, t, &acc);
    }
}

/// The sums that C holds.
#[inline(always)]
fn load_rows<I: Isa, const MR: usize, const NV: usize>(isa: I, t: &TileArgs<'_>, acc: &mut [[I::F; NV]; MR]) {
    if t.cols == NV * I::LANES {
        for (i, row) in acc.iter_mut().enumerate() {
            let c = row_of(t, i);
            for (v, sum) in row.iter_mut().enumerate() {
                // SAFETY: v < NV, the vectors of a row of C.
                *sum = unsafe { isa.load_at(c, v * I::LANES) };
            }
        }
        return;
    }
    // Vectors in part go by way of a copy: with masks the loop over the sums would be too long to be unrolled.
    let mut last = [[0.0; MAX_LANES]; MR];
    for (i, last) in last.iter_mut().enumerate() {
        isa.store(last, isa.load_part(&row_of(t, i)[(NV - 1) * I::LANES..]));
    }
    for (i, row) in acc.iter_mut().enumerate() {
        let c = row_of(t, i);
        for (v, sum) in row[..NV - 1].iter_mut().enumerate() {
            // SAFETY: v < NV - 1, the whole vectors of a row of C.
            *sum = unsafe { isa.load_at(c, v * I::LANES) };
        }
        row[NV - 1] = isa.load(&last[i]);
    }
}

/// Stores the sums; see [`load_rows`].
#[inline(always)]
fn store_rows<I: Isa, const MR: usize, const NV: usize>(isa: I, t: &TileArgs<'_>, acc: &[[I::F; NV]; MR]) {
    if t.cols == NV * I::LANES {
        for (i, row) in acc.iter().enumerate() {
            let c = row_of(t, i);
            for (v, &sum) in row.iter().enumerate() {
                // SAFETY: v < NV, the vectors of a row of C.
                unsafe { isa.store_at(c, v * I::LANES, sum) };
            }
        }
        return;
    }
    let mut last = [[0.0; MAX_LANES]; MR];
    for (i, row) in acc.iter().enumerate() {
        let c = row_of(t, i);
        for (v, &sum) in row[..NV - 1].iter().enumerate() {
            // SAFETY: v < NV - 1, the whole vectors of a row of C.
            unsafe { isa.store_at(c, v * I::LANES, sum) };
        }
        isa.store(&mut last[i], row[NV - 1]);
    }
    for (i, last) in last.iter().enumerate() {
        isa.store_part(&mut row_of(t, i)[(NV - 1) * I::LANES..], isa.load(last));
    }
}

#[inline(always)]
fn accumulate<I: Isa, const IN_PLACE: bool, const MR: usize, const NV: usize>(
    isa: I,
    t: &TileArgs<'_>,
    acc: &mut [[I::F; NV]; MR],
) {
    let nr = NV * I::LANES;
    let b = &t.b[..t.k * nr];
    let [row, step] = if IN_PLACE { [t.a_pitch, 1] } else { [1, MR] };
    assert!(t.k == 0 || (MR - 1) * row + (t.k - 1) * step < t.a.len(), "A is complete");
    let lines = t.ahead.len().div_ceil(LINE * t.k.max(1));
    let mut ahead = 0;
    for p in 0..t.k {
        for _ in 0..lines {
            isa.prefetch_far(t.ahead, ahead);
            ahead += LINE;
        }
        let mut right = [isa.zero(); NV];
        for (v, right) in right.iter_mut().enumerate() {
            // SAFETY: p < k and v < NV, and `b` holds k rows of NV vectors.
            *right = unsafe { isa.load_at(b, p * nr + v * I::LANES) };
        }
        for (i, sums) in acc.iter_mut().enumerate() {
            // SAFETY: i < MR and p < k, and the last element of these was asserted to be there.
            let left = unsafe { isa.splat_at(t.a, i * row + p * step) };
            for (sum, &right) in sums.iter_mut().zip(&right) {
                *sum = isa.fma(left, right, *sum);
            }
        }
    }
}

/// Makes complete sums of whole vectors outputs; functions that are no limits are left to a pass over the stored tile.
#[inline(always)]
fn apply<I: Isa, const MR: usize, const NV: usize>(
    isa: I,
    t: &TileArgs<'_>,
    finish: &Finish<'_>,
    acc: &mut [[I::F; NV]; MR],
) {
    let [first, col] = t.place;
    if finish.alpha != 1.0 {
        let alpha = isa.splat(finish.alpha);
        each(acc, |sum| isa.mul(sum, alpha));
    }
    match finish.bias {
        Bias::None => (),
        Bias::Row(bias) => {
            let bias = &bias[first..first + MR];
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: i < MR, the length of the slice.
                let bias = unsafe { isa.splat_at(bias, i) };
                for sum in row {
                    *sum = isa.add(*sum, bias);
                }
            }
        }
        Bias::Col(bias) => {
            let bias = &bias[col..col + NV * I::LANES];
            let bias: [I::F; NV] = std::array::from_fn(|v| isa.load(&bias[v * I::LANES..]));
            for row in acc.iter_mut() {
                for (sum, &bias) in row.iter_mut().zip(&bias) {
                    *sum = isa.add(*sum, bias);
                }
            }
        }
    }
    if let Some(residual) = finish.residual {
        let residual = &residual[t.at..][..(MR - 1) * t.pitch + NV * I::LANES];
        for (i, row) in acc.iter_mut().enumerate() {
            for (v, sum) in row.iter_mut().enumerate() {
                // SAFETY: i < MR and v < NV, and the slice ends behind the last vector of the last row.
                *sum = isa.add(*sum, unsafe { isa.load_at(residual, i * t.pitch + v * I::LANES) });
            }
        }
    }
    let (lo, hi) = finish.limits();
    if lo > f32::NEG_INFINITY {
        let lo = isa.splat(lo);
        each(acc, |sum| isa.max(lo, sum));
    }
    if hi < f32::INFINITY {
        let hi = isa.splat(hi);
        each(acc, |sum| isa.min(hi, sum));
    }
}

#[inline(always)]
fn each<F: Copy, const MR: usize, const NV: usize>(acc: &mut [[F; NV]; MR], f: impl Fn(F) -> F) {
    for row in acc.iter_mut() {
        for sum in row {
            *sum = f(*sum);
        }
    }
}

#[inline(always)]
fn row_of<'a>(t: &TileArgs<'a>, i: usize) -> &'a mut [f32] {
    let at = t.at + i * t.pitch;
    // SAFETY: no two tasks own the same part of C, and within a tile one row is alive at a time.
    unsafe { t.c.range(at..at + t.cols) }
}

fn sum<I: Isa, const IN_PLACE: bool, const MR: usize, const NV: usize>(isa: I, args: &TileArgs<'_>) {
    isa.dispatch(Sum::<IN_PLACE, MR, NV>(args));
}

macro_rules! tiles {
    ($($(#[$doc:meta])* $name:ident: $isa:ident, $heights:tt x [$($vectors:literal)*];)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Tile for $name {
            type I = $isa;
            const MR: usize = Self::PACKED[0].len();
            const NR: usize = Self::PACKED.len() * <$isa as Isa>::LANES;
            const PACKED: Shapes<$isa> = &[$(heights!($isa, false, $vectors, $heights)),*];
            const IN_PLACE: Shapes<$isa> = &[$(heights!($isa, true, $vectors, $heights)),*];
        }
    )*};
}

macro_rules! heights {
    ($isa:ident, $in_place:literal, $vectors:literal, [$($height:literal)*]) => {
        &[$(sum::<$isa, $in_place, $height, $vectors>),*]
    };
}

// Accumulators, a row of B and one broadcast value fit the registers: 32 with AVX-512, 16 with AVX2 and SSE.
tiles! {
    /// 28 + 2 + 1 registers.
    Avx512Tile14x32: Avx512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14] x [1 2];
    /// 24 + 3 + 1 registers.
    Avx512Tile8x48: Avx512, [1 2 3 4 5 6 7 8] x [1 2 3];
    /// 24 + 4 + 1 registers.
    Avx512Tile6x64: Avx512, [1 2 3 4 5 6] x [1 2 3 4];
    /// A single row: eight chains hide the latency of two pipes.
    Avx512Tile1x128: Avx512, [1] x [1 2 3 4 5 6 7 8];
    /// 12 + 2 + 1 registers.
    Avx2Tile6x16: Avx2, [1 2 3 4 5 6] x [1 2];
    /// A single row.
    Avx2Tile1x64: Avx2, [1] x [1 2 3 4 5 6 7 8];
    /// 8 + 2 + 1 registers of SSE.
    ScalarTile4x8: Scalar, [1 2 3 4] x [1 2];
}
