//! Register tiles: one generic function, and the shapes it is compiled in.

use crate::{Avx2, Avx512, Isa, Scalar, Shards, SimdOp};

/// What a register tile is given: `C[height, NR] (+)= A[height, k] B[k, NR]`.
pub(crate) struct TileArgs<'a> {
    /// A panel of A: `k` columns of as many values as the tile is high.
    pub a: &'a [f32],
    /// A panel of B: `k` rows of `NR` values.
    pub b: &'a [f32],
    /// Depth of the panels.
    pub k: usize,
    /// Where C stands.
    pub c: &'a Shards<'a, f32>,
    /// C's first element of the tile.
    pub at: usize,
    /// Distance between rows of C.
    pub pitch: usize,
    /// True where C holds the sum over the depth before this one; else the sum begins at zero.
    pub resume: bool,
}

/// A tile function of one height.
pub(crate) type TileFn<I> = fn(I, &TileArgs<'_>);

/// The shape of a register tile, as a type.
pub(crate) trait Tile: 'static {
    /// The instruction set it is compiled for.
    type I: Isa;
    /// Rows of the highest tile.
    const MR: usize;
    /// Columns.
    const NR: usize;
    /// The tile functions of heights 1 to `MR`: an edge of C costs what it has rows.
    const HEIGHTS: &'static [TileFn<Self::I>];
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

struct Sum<'a, const MR: usize, const NV: usize>(&'a TileArgs<'a>);

impl<const MR: usize, const NV: usize> SimdOp for Sum<'_, MR, NV> {
    type Output = ();

    /// Every element is one chain of multiply-adds over k that begins at zero or where C stands, so its bits depend
    /// neither on the tile nor on the blocks.
    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let t = self.0;
        let nr = NV * I::LANES;
        let (a, b) = (&t.a[..t.k * MR], &t.b[..t.k * nr]);
        let mut acc = [[isa.zero(); NV]; MR];
        if t.resume {
            for (i, row) in acc.iter_mut().enumerate() {
                let c = row_of(t, i, nr);
                for (v, sum) in row.iter_mut().enumerate() {
                    // SAFETY: v < NV, and a row of C holds NV vectors.
                    *sum = unsafe { isa.load_at(c, v * I::LANES) };
                }
            }
        }
        for p in 0..t.k {
            let mut right = [isa.zero(); NV];
            for (v, right) in right.iter_mut().enumerate() {
                // SAFETY: p < k and v < NV, and `b` holds k rows of NV vectors.
                *right = unsafe { isa.load_at(b, p * nr + v * I::LANES) };
            }
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: p < k and i < MR, and `a` holds k columns of MR values.
                let left = unsafe { isa.splat_at(a, p * MR + i) };
                for (sum, &right) in row.iter_mut().zip(&right) {
                    *sum = isa.fma(left, right, *sum);
                }
            }
        }
        for (i, row) in acc.iter().enumerate() {
            let c = row_of(t, i, nr);
            for (v, &sum) in row.iter().enumerate() {
                // SAFETY: v < NV, and a row of C holds NV vectors.
                unsafe { isa.store_at(c, v * I::LANES, sum) };
            }
        }
    }
}

#[inline(always)]
fn row_of<'a>(t: &TileArgs<'a>, i: usize, nr: usize) -> &'a mut [f32] {
    let at = t.at + i * t.pitch;
    // SAFETY: no two tasks own the same part of C, and within a tile one row is alive at a time.
    unsafe { t.c.range(at..at + nr) }
}

fn sum<I: Isa, const MR: usize, const NV: usize>(isa: I, args: &TileArgs<'_>) {
    isa.dispatch(Sum::<MR, NV>(args));
}

macro_rules! tiles {
    ($($(#[$doc:meta])* $name:ident: $isa:ident, [$($height:literal)*] x $vectors:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Tile for $name {
            type I = $isa;
            const MR: usize = Self::HEIGHTS.len();
            const NR: usize = $vectors * <$isa as Isa>::LANES;
            const HEIGHTS: &'static [TileFn<$isa>] = &[$(sum::<$isa, $height, $vectors>),*];
        }
    )*};
}

// Accumulators, a row of B and one broadcast value fit the registers: 32 with AVX-512, 16 with AVX2 and SSE.
tiles! {
    /// 28 + 2 + 1 registers.
    Avx512Tile14x32: Avx512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14] x 2;
    /// 24 + 3 + 1 registers.
    Avx512Tile8x48: Avx512, [1 2 3 4 5 6 7 8] x 3;
    /// 24 + 4 + 1 registers.
    Avx512Tile6x64: Avx512, [1 2 3 4 5 6] x 4;
    /// A single row: eight chains hide the latency of two pipes.
    Avx512Tile1x128: Avx512, [1] x 8;
    /// 12 + 2 + 1 registers.
    Avx2Tile6x16: Avx2, [1 2 3 4 5 6] x 2;
    /// A single row.
    Avx2Tile1x64: Avx2, [1] x 8;
    /// 8 + 2 + 1 registers of SSE.
    ScalarTile4x8: Scalar, [1 2 3 4] x 2;
}
