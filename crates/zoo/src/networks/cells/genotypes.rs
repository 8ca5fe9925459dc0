//! The cells as published, in the released code's order of operations and states.

use super::cell::{Cell, Genotype, Prefixes};
use super::operation::Operation::{Average, Conv1x1, Conv1x7And7x1, Conv3x3, Dilated, Identity, Max, Separable};

/// Names of parameters that all families but PNASNet share.
const NASNET: Prefixes = Prefixes { stem: "conv0", reduction: None };

/// Zoph, Vasudevan, Shlens, Le 2018, figure 4.
pub(super) const NASNET_A: Genotype = Genotype {
    normal: &Cell {
        blocks: &[
            [(Separable(5), 0), (Separable(3), 1)],
            [(Separable(5), 1), (Separable(3), 1)],
            [(Average(3), 0), (Identity, 1)],
            [(Average(3), 1), (Average(3), 1)],
            [(Separable(3), 0), (Identity, 0)],
        ],
        outputs: &[1, 2, 3, 4, 5, 6],
    },
    reduction: Some(&Cell {
        blocks: &[
            [(Separable(5), 0), (Separable(7), 1)],
            [(Max(3), 0), (Separable(7), 1)],
            [(Average(3), 0), (Separable(5), 1)],
            [(Identity, 3), (Average(3), 2)],
            [(Separable(3), 2), (Max(3), 0)],
        ],
        outputs: &[3, 4, 5, 6],
    }),
    prefixes: NASNET,
};

/// Liu et al. 2018, figure 1.
pub(super) const PNASNET_5: Genotype = Genotype {
    normal: &Cell {
        blocks: &[
            [(Separable(5), 1), (Max(3), 1)],
            [(Separable(7), 0), (Max(3), 0)],
            [(Separable(5), 0), (Separable(3), 0)],
            [(Separable(3), 4), (Max(3), 0)],
            [(Separable(3), 1), (Identity, 0)],
        ],
        outputs: &[2, 3, 4, 5, 6],
    },
    reduction: None,
    prefixes: Prefixes { stem: "conv_0", reduction: Some("conv_prev_1x1") },
};

/// Real, Aggarwal, Huang, Le 2019, figure 5.
pub(super) const AMOEBANET_A: Genotype = Genotype {
    normal: &Cell {
        blocks: &[
            [(Average(3), 0), (Max(3), 0)],
            [(Separable(3), 1), (Identity, 1)],
            [(Identity, 0), (Average(3), 1)],
            [(Separable(3), 0), (Separable(5), 2)],
            [(Average(3), 5), (Separable(3), 0)],
        ],
        outputs: &[1, 3, 4, 6],
    },
    reduction: Some(&Cell {
        blocks: &[
            [(Separable(3), 1), (Average(3), 0)],
            [(Max(3), 0), (Separable(7), 2)],
            [(Max(3), 1), (Max(3), 0)],
            [(Separable(3), 4), (Conv1x7And7x1, 0)],
            [(Average(3), 1), (Separable(7), 0)],
        ],
        outputs: &[2, 3, 4, 5, 6],
    }),
    prefixes: NASNET,
};

/// Real, Aggarwal, Huang, Le 2019, supplement.
pub(super) const AMOEBANET_B: Genotype = Genotype {
    normal: &Cell {
        blocks: &[
            [(Conv1x1, 1), (Max(3), 1)],
            [(Identity, 1), (Separable(3), 0)],
            [(Conv1x1, 1), (Separable(3), 0)],
            [(Conv1x1, 2), (Identity, 2)],
            [(Average(3), 1), (Conv1x1, 5)],
        ],
        outputs: &[0, 3, 4, 6],
    },
    reduction: Some(&Cell {
        blocks: &[
            [(Max(2), 0), (Max(3), 0)],
            [(Identity, 2), (Conv3x3, 1)],
            [(Dilated(5), 2), (Max(3), 2)],
            [(Identity, 3), (Separable(3), 1)],
            [(Average(3), 4), (Conv1x1, 3)],
        ],
        outputs: &[5, 6],
    }),
    prefixes: NASNET,
};

/// Real, Aggarwal, Huang, Le 2019, supplement.
pub(super) const AMOEBANET_C: Genotype = Genotype {
    normal: &Cell {
        blocks: &[
            [(Average(3), 0), (Separable(3), 0)],
            [(Identity, 0), (Separable(3), 0)],
            [(Average(3), 2), (Separable(3), 1)],
            [(Identity, 0), (Separable(3), 1)],
            [(Average(3), 3), (Separable(3), 0)],
        ],
        outputs: &[1, 2, 4, 5, 6],
    },
    reduction: Some(&Cell {
        blocks: &[
            [(Max(3), 0), (Max(3), 0)],
            [(Separable(7), 2), (Separable(3), 0)],
            [(Separable(7), 0), (Max(3), 1)],
            [(Separable(5), 4), (Separable(5), 4)],
            [(Max(3), 1), (Separable(3), 1)],
        ],
        outputs: &[0, 2, 3, 4, 5, 6],
    }),
    prefixes: NASNET,
};
