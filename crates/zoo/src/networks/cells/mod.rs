//! Networks whose cells were found by search: NASNet-A, PNASNet-5, and AmoebaNet-A, -B and -C.

mod assembly;
mod cell;
mod genotypes;
mod operation;

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::net::Net;
use crate::{Network, Published, Variant};
use assembly::{Assembly, assemble};
use cell::Genotype;

const fn row(
    name: &'static str,
    size: usize,
    published: Published,
    build: fn(&mut Net<'_>, ValueId, &Variant) -> ValueId,
) -> Network {
    Network { name, input: [3, size, size], classes: IMAGENET, knobs: SIZE_AND_CLASSES, published, build }
}

const fn published(macs: f64, params: f64, source: &'static str, note: Option<&'static str>) -> Published {
    Published { macs: Some(macs), params: Some(params), source, note }
}

const ZOPH: &str = "Zoph, Vasudevan, Shlens, Le 2018, tables 2 and 3";
const REAL: &str = "Real, Aggarwal, Huang, Le 2019";
const LIU: &str = "Liu et al. 2018, tables 4 and 5";

/// Images of the mobile setting, and of the large one.
const MOBILE: usize = 224;
const LARGE: usize = 331;

/// A mobile network.
const fn mobile(genotype: Genotype, repeats: usize, filters: usize) -> Assembly {
    Assembly { genotype, repeats, filters, stem: 32, skips_reduction: false }
}

/// A large network.
const fn large(genotype: Genotype, repeats: usize, filters: usize) -> Assembly {
    Assembly { genotype, repeats, filters, stem: 96, skips_reduction: true }
}

pub(super) static NASNET_A_MOBILE: Network =
    row("nasnet-a-mobile", MOBILE, published(564e6, 5.3e6, ZOPH, None), |net, x, v| {
        assemble(net, x, v, &mobile(genotypes::NASNET_A, 4, 44))
    });
pub(super) static NASNET_A_LARGE: Network =
    row("nasnet-a-large", LARGE, published(23.8e9, 88.9e6, ZOPH, None), |net, x, v| {
        assemble(net, x, v, &large(genotypes::NASNET_A, 6, 168))
    });
pub(super) static PNASNET_5_MOBILE: Network =
    row("pnasnet-5-mobile", MOBILE, published(588e6, 5.1e6, LIU, None), |net, x, v| {
        assemble(net, x, v, &mobile(genotypes::PNASNET_5, 3, 54))
    });
pub(super) static PNASNET_5_LARGE: Network =
    row("pnasnet-5-large", LARGE, published(25.0e9, 86.1e6, LIU, None), |net, x, v| {
        assemble(net, x, v, &large(genotypes::PNASNET_5, 4, 216))
    });
pub(super) static AMOEBANET_A: Network =
    row("amoebanet-a", MOBILE, published(555e6, 5.1e6, REAL, None), |net, x, v| {
        assemble(net, x, v, &mobile(genotypes::AMOEBANET_A, 4, 50))
    });
pub(super) static AMOEBANET_B: Network =
    row("amoebanet-b", MOBILE, published(555e6, 5.3e6, REAL, None), |net, x, v| {
        assemble(net, x, v, &mobile(genotypes::AMOEBANET_B, 3, 62))
    });
pub(super) static AMOEBANET_C: Network =
    row("amoebanet-c", MOBILE, published(570e6, 6.4e6, REAL, C_NOTE), |net, x, v| {
        assemble(net, x, v, &mobile(genotypes::AMOEBANET_C, 4, 50))
    });

/// Of AmoebaNet-C.
const C_NOTE: Option<&str> =
    Some("the parameters hold; the multiply-adds cannot be reproduced from the released cell, which has 677 M");

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Weights;

    #[test]
    fn every_size_from_three_on_can_be_built() {
        for network in [&NASNET_A_MOBILE, &PNASNET_5_MOBILE, &AMOEBANET_A, &AMOEBANET_B, &AMOEBANET_C] {
            for size in 3..36 {
                let variant = Variant { size: [size, size + size % 3], ..network.default_variant() };
                let built = network.build(&variant, &Weights::Named(BTreeMap::new()));
                assert!(built.is_ok(), "{}: {}", network.name, built.err().unwrap());
            }
        }
    }

    #[test]
    fn parameters_have_the_names_of_the_released_weights() {
        let cases: [(&Network, &[&str]); 2] = [
            (
                &NASNET_A_LARGE,
                &[
                    "conv0.conv.weight",
                    "conv0.bn.running_var",
                    "cell_stem_0.comb_iter_0_left.separable_1.depthwise_conv2d.weight",
                    "cell_stem_1.path_1.conv.weight",
                    "cell_0.final_path_bn.weight",
                    "cell_1.conv_prev_1x1.conv.weight",
                    "cell_17.comb_iter_4_left.bn_sep_2.bias",
                    "reduction_cell_1.comb_iter_2_right.separable_2.pointwise_conv2d.weight",
                    "last_linear.weight",
                ],
            ),
            (
                &PNASNET_5_LARGE,
                &[
                    "conv_0.conv.weight",
                    "cell_stem_0.comb_iter_0_right.conv.weight",
                    "cell_stem_1.conv_prev_1x1.path_2.conv.weight",
                    "cell_4.comb_iter_4_right.bn.weight",
                    "cell_5.conv_prev_1x1.final_path_bn.running_mean",
                    "cell_11.conv_1x1.bn.bias",
                    "last_linear.bias",
                ],
            ),
        ];
        for (network, names) in cases {
            let variant = Variant { size: [64, 64], ..network.default_variant() };
            let (_, mismatch) = network.build(&variant, &Weights::Named(BTreeMap::new())).unwrap();
            for &name in names {
                assert!(mismatch.missing.iter().any(|missing| missing == name), "{}: {name}", network.name);
            }
        }
    }
}
