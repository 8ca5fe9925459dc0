//! Good loop blocks from the geometry of the caches alone, without any measurement.
//!
//! After Low, Igual, Smith and Quintana-Orti, "Analytical modeling is enough for high-performance BLIS" (ACM TOMS
//! 43:2, 2016). A set-associative cache is seen as `W` ways of `way` bytes; each operand that is to stay gets whole
//! ways, and one way is left to what streams by.

use super::GemmBlocks;
use crate::Cpu;
use crate::nest::Order;

const F32: usize = size_of::<f32>();

/// Blocks are not less deep than this, even where L1 then keeps only a part of the larger panel, as long as L2 gives
/// it with ease: entering a tile, and loading and storing its part of C, costs time a block. Measured on Zen 4, which
/// takes 10.7 bytes of B a cycle, 49x512x4608 with packed B, 6x64 tile: 82 GFLOP/s with 96, 95 with 256.
const SHALLOWEST: usize = 256;

/// Bytes of B a cycle that L2 gives with ease. Measured on Granite Rapids, whose 6x64 tile takes 21, 197x192x768 with
/// packed B from L3: 176 GFLOP/s with 256 of the depth, 195 with 96, which L1 keeps.
const EASE: usize = 12;

/// Blocks for a register tile of `mr x nr`, as large as the caches allow.
///
/// * L1 holds a panel of A (`mr x kc`) and a panel of B (`kc x nr`), one way left to C, unless that is too shallow. The ways in proportion to
///   `mr : nr` and the larger panel in whole ways: `big = floor((W1 - 1) / (1 + small / large))`, and
///   `kc = big * way1 / (large * 4)`. The paper's tile is column-major and its larger side `mr`; ours is its mirror.
/// * L2 holds the block of A (`mc x kc`) beside one panel of B, one way left:
///   `mc = (W2 - 1 - ceil(nr * kc * 4 / way2)) * way2 / (kc * 4)`.
/// * L3, which the cores share, holds a block of B (`kc x nc`) for each core beside its block of A, one way left:
///   `nc = (W3 - 1 - ceil(cores * mc * kc * 4 / way3)) * way3 / (cores * kc * 4)`.
pub(crate) fn blocks(cpu: &Cpu, mr: usize, nr: usize) -> GemmBlocks {
    let (large, small) = (mr.max(nr), mr.min(nr));
    let resident = ((cpu.l1d.ways - 1) * large / (large + small)).max(1);
    let kept = resident * cpu.l1d.way() / (large * F32);
    let bytes_a_cycle = F32 * cpu.tier.lanes() * cpu.fma_per_cycle / mr;
    let kc = if bytes_a_cycle > EASE { kept } else { kept.max(SHALLOWEST) };
    let depth = kc * F32;

    let panel_of_b = (nr * depth).div_ceil(cpu.l2.way());
    let ways = (cpu.l2.ways - 1).saturating_sub(panel_of_b).max(1);
    let mc = whole(ways * cpu.l2.way() / depth, mr);

    let blocks_of_a = (cpu.cores * mc * depth).div_ceil(cpu.l3.way());
    let ways = (cpu.l3.ways - 1).saturating_sub(blocks_of_a).max(1);
    let nc = whole(ways * cpu.l3.way() / (cpu.cores * depth), nr);
    GemmBlocks { mc, kc, nc, order: Order::default() }
}

/// The largest multiple of `unit` that is not above `x`, at least one unit.
fn whole(x: usize, unit: usize) -> usize {
    (x / unit).max(1) * unit
}

/// The blocks, cut into equal pieces of a problem: 256 deep by 224 becomes twice 128, not 224 and 32. Any blocks,
/// even zeros, become usable here.
pub(crate) fn fitted(blocks: &GemmBlocks, [m, n, k]: [usize; 3], [mr, nr]: [usize; 2]) -> GemmBlocks {
    let even = |size: usize, block: usize| size.div_ceil(size.div_ceil(block.max(1)).max(1)).max(1);
    GemmBlocks {
        mc: even(m.div_ceil(mr), blocks.mc / mr) * mr,
        kc: even(k, blocks.kc),
        nc: even(n.div_ceil(nr), blocks.nc / nr) * nr,
        order: blocks.order,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_from_the_caches() {
        // Zen 5, 14x32: floor(11 * 32 / 46) = 7 ways of 4096 bytes are 224 x 32 values, so the depth is the least;
        // 14 of 16 ways of 64 KiB are 896 x 256; 14 of 16 ways of 2 MiB for two cores are 14336 x 256 each.
        let zen5 = blocks(&Cpu::zen5(), 14, 32);
        assert_eq!(zen5, GemmBlocks { kc: 256, mc: 896, nc: 14336, ..GemmBlocks::default() });
        // Haswell, 6x16: 5 of 8 ways of 4096 bytes are 320 x 16; 6 of 8 ways of 32 KiB are 153 x 320; 13 of 16 ways
        // of 512 KiB for four cores are 1331 x 320.
        let haswell = blocks(&Cpu::haswell(), 6, 16);
        assert_eq!(haswell, GemmBlocks { kc: 320, mc: 150, nc: 1328, ..GemmBlocks::default() });
        // Zen 5, 14x16: floor(11 * 16 / 30) = 5 ways are 320 x 16.
        assert_eq!(blocks(&Cpu::zen5(), 14, 16).kc, 320);
    }

    #[test]
    fn fitted_blocks_are_even_and_never_zero() {
        let even = fitted(&GemmBlocks { mc: 28, kc: 224, nc: 64, ..GemmBlocks::default() }, [50, 100, 256], [14, 32]);
        assert_eq!(even, GemmBlocks { mc: 28, kc: 128, nc: 64, ..GemmBlocks::default() });
        assert_eq!(
            fitted(&GemmBlocks::default(), [3, 5, 0], [14, 32]),
            GemmBlocks { mc: 14, kc: 1, nc: 32, ..GemmBlocks::default() }
        );
    }
}
