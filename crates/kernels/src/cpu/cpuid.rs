//! What the `cpuid` instruction tells: vendor, family, model, stepping and caches.

use std::arch::x86_64::{__cpuid_count, CpuidResult};
use std::fmt;

use super::Cache;

/// Who made the core and which one it is.
pub(super) struct Identity {
    vendor: String,
    family: u32,
    model: u32,
    stepping: u32,
    /// Whether it has matrix tiles.
    tiles: bool,
}

/// `AuthenticAMD family 25 model 17 stepping 1`
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { vendor, family, model, stepping, tiles: _ } = self;
        write!(f, "{vendor} family {family} model {model} stepping {stepping}")
    }
}

/// Intel server cores with AVX-512, which have a second 512-bit pipe: Skylake-SP to Cooper Lake, Ice Lake-SP and -D.
/// Those after them are known by their tiles, see [`Identity::fma512`].
const INTEL_SERVERS: [u32; 3] = [0x55, 0x6a, 0x6c];

impl Identity {
    /// 512-bit multiply-adds a cycle: Zen 4 (family 19h) sends the two halves of one through its two 256-bit pipes,
    /// Zen 5 (1Ah) and Intel's servers have two full pipes, Intel's clients one. From Sapphire Rapids on the servers
    /// alone have matrix tiles (AMX), which tell them even where a hypervisor gives another model. An unknown core is
    /// taken to have one; being wrong costs a less suitable tile, never a result.
    pub(super) fn fma512(&self) -> usize {
        1 + usize::from(self.has_mesh() || self.vendor == "AuthenticAMD" && self.family >= 0x1a)
    }

    /// True for Intel's servers, whose last level is spread over a mesh.
    pub(super) fn has_mesh(&self) -> bool {
        self.vendor == "GenuineIntel" && (self.tiles || self.family == 6 && INTEL_SERVERS.contains(&self.model))
    }
}

fn leaf(leaf: u32, sub: u32) -> CpuidResult {
    __cpuid_count(leaf, sub)
}

fn has_leaf(number: u32) -> bool {
    // The first leaf of each range names the last one of it.
    leaf(number & 0x8000_0000, 0).eax >= number
}

fn vendor(r: CpuidResult) -> String {
    let bytes: Vec<u8> = [r.ebx, r.edx, r.ecx].into_iter().flat_map(u32::to_le_bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// This machine's vendor, family, model and stepping.
pub(super) fn identity() -> Identity {
    let tiles = has_leaf(7) && leaf(7, 0).edx >> AMX_TILE & 1 == 1;
    Identity { tiles, ..decode(vendor(leaf(0, 0)), leaf(1, 0).eax) }
}

/// Bit of `edx` of leaf 7.
const AMX_TILE: u32 = 24;

/// Family and model have an extended part that counts only above the old ranges (family 15; families 6 and 15).
fn decode(vendor: String, signature: u32) -> Identity {
    let bits = |shift: u32, count: u32| (signature >> shift) & ((1 << count) - 1);
    let base = bits(8, 4);
    let family = if base == 15 { base + bits(20, 8) } else { base };
    let model = bits(4, 4) | if base == 6 || base == 15 { bits(16, 4) << 4 } else { 0 };
    Identity { vendor, family, model, stepping: bits(0, 4), tiles: false }
}

/// The data or unified caches of levels one to three, as far as they are told.
pub(super) fn caches() -> [Option<Cache>; 3] {
    let number = match vendor(leaf(0, 0)).as_str() {
        "AuthenticAMD" | "HygonGenuine" => 0x8000_001d,
        _ => 4,
    };
    let mut found = [None; 3];
    if has_leaf(number) {
        for (level, cache) in (0..16).map(|sub| leaf(number, sub)).map_while(described) {
            if let (Some(slot), Some(cache)) = (found.get_mut(level.wrapping_sub(1)), cache) {
                *slot = Some(cache);
            }
        }
    }
    found
}

/// Level and geometry of the cache that a sub-leaf describes (both vendors use one format); `None` after the last,
/// and no geometry for an instruction cache.
fn described(r: CpuidResult) -> Option<(usize, Option<Cache>)> {
    let field = |register: u32, shift: u32, count: u32| ((register >> shift) & ((1 << count) - 1)) as usize;
    let kind = field(r.eax, 0, 5);
    let (line, partitions, ways) = (field(r.ebx, 0, 12) + 1, field(r.ebx, 12, 10) + 1, field(r.ebx, 22, 10) + 1);
    let cache = Cache { size: line * partitions * ways * (r.ecx as usize + 1), ways, line };
    match kind {
        0 => None,
        1 | 3 => Some((field(r.eax, 5, 3), Some(cache))),
        _ => Some((field(r.eax, 5, 3), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_decode_to_family_model_and_stepping() {
        let zen4 = decode("AuthenticAMD".to_owned(), 0x00a1_0f11);
        assert_eq!(zen4.to_string(), "AuthenticAMD family 25 model 17 stepping 1");
        assert_eq!(zen4.fma512(), 1);
        assert_eq!(decode("AuthenticAMD".to_owned(), 0x00b0_0f21).fma512(), 2);
        let skylake_sp = decode("GenuineIntel".to_owned(), 0x0005_0654);
        assert_eq!((skylake_sp.family, skylake_sp.model, skylake_sp.fma512()), (6, 0x55, 2));
        let rocket_lake = decode("GenuineIntel".to_owned(), 0x000a_0671);
        assert_eq!((rocket_lake.model, rocket_lake.fma512()), (0xa7, 1));
        assert_eq!(Identity { tiles: true, ..rocket_lake }.fma512(), 2);
    }

    #[test]
    fn cache_leaves_decode_to_their_geometry() {
        // 48 KiB, 12 ways, 64 sets of 64 bytes: the first-level data cache of Zen 5.
        let l1 = CpuidResult { eax: 0x0000_0121, ebx: 11 << 22 | 63, ecx: 63, edx: 0 };
        assert_eq!(described(l1), Some((1, Some(Cache::kib(48, 12)))));
        assert_eq!(described(CpuidResult { eax: 0x0000_0122, ..l1 }), Some((1, None)));
        assert_eq!(described(CpuidResult { eax: 0, ..l1 }), None);
    }
}
