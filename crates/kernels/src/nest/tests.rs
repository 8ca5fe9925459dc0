//! Which orders are legal, and that the interpreter visits what a nest says.

use super::*;
use crate::conv::ConvStage;
use crate::gemm::GemmStage;

/// The text of an order, or why it is none.
fn told<S: Stage>(text: &str) -> String {
    text.parse::<Order<S>>().map_or_else(|error| error.to_string(), |order| order.to_string())
}

#[test]
fn orders_are_legal_or_say_why_not() {
    let cases = [
        (told::<GemmStage>("n,k,m,n,m"), "n,k,m,n,m"),
        (told::<GemmStage>("n,k,pack-b,m,pack-a,n,m"), "n,k,m,n,m"),
        (told::<GemmStage>("m,k,n,m,pack-b,n"), "m,k,pack-a,n,m,pack-b,n"),
        (told::<GemmStage>("n,m,n,m,k"), "nothing is inside of 'pack-a': the innermost stage is a loop over outputs"),
        (told::<GemmStage>("n,pack-b,k,m,n,m"), "'pack-b' has to be inside of 'k', which fixes what is packed"),
        (told::<GemmStage>("n,k,m,m"), "the number of 'n' is 1, not 2"),
        (told::<GemmStage>("n,k,m,n,oc"), "there is no 'oc' in an order of n,k,m,n,m"),
        (told::<ConvStage>("oc,ic,row,pixel"), "oc,ic,row,pixel"),
        (told::<ConvStage>("ic,pack-x,oc,row,pixel"), "ic,pack-x,oc,row,pixel"),
        (told::<ConvStage>("pack-x,pixel,row,oc,ic"), "pixel,row,oc,ic"),
        (told::<ConvStage>("oc,oc,ic,row,pixel"), "the number of 'oc' is 2, not 1"),
        (told::<ConvStage>("oc,ic,row"), "the number of 'pixel' is 0, not 1"),
        (
            told::<ConvStage>("pixel,pack-x,row,oc,ic"),
            "'pack-x' has to be outside of 'pixel', whose rounds share what is packed",
        ),
        (told::<ConvStage>(""), "there is no '' in an order of oc,ic,row,pixel"),
    ];
    let wrong: Vec<_> = cases.iter().filter(|(got, want)| got != want).collect();
    assert!(wrong.is_empty(), "(got, want): {wrong:#?}");
}

/// Writes down what it is asked for.
#[derive(Default)]
struct Notes(Vec<(&'static str, Cell)>);

impl Body<GemmStage> for Notes {
    fn pack(&mut self, operand: GemmStage, cell: &Cell) {
        self.0.push((operand.name(), cell.clone()));
    }

    fn tiles(&mut self, cell: &Cell) {
        self.0.push(("tiles", cell.clone()));
    }
}

#[test]
fn the_interpreter_visits_every_tile_once_in_the_order_of_the_loops() {
    let order: Order<GemmStage> = "n,k,m,n,m".parse().unwrap();
    let step = |stage: GemmStage, nth: usize| match (stage, nth) {
        (GemmStage::N, 0) => 2,
        (GemmStage::K, _) => 8,
        (GemmStage::M, 0) => 9,
        _ => 1,
    };
    let nest = Nest::new([4, 3, 10, 1], &[(GemmStage::M, 2)], &[GemmStage::PackB], &order, step);
    // A block of rows has one round and is left out; the line of tiles is not the interpreter's.
    let told: Vec<_> = nest.levels().iter().map(|level| (level.stage.name(), level.step, level.of)).collect();
    assert_eq!(told, [("m", 2, 4), ("n", 2, 3), ("k", 8, 10), ("pack-b", 0, 0), ("n", 1, 2), ("m", 1, 2)]);
    assert_eq!((nest.shared(), nest.tasks()), (1, 2));
    assert_eq!(nest.packed(GemmStage::PackB), Some([2, 2, 8, 1]));
    let mut notes = Notes::default();
    nest.run(nest.task(1), &mut notes);
    let cell = |n: Range<usize>, k: Range<usize>| [2..4, n, k, 0..1];
    let want = [
        ("pack-b", cell(0..2, 0..8)),
        ("tiles", cell(0..1, 0..8)),
        ("tiles", cell(1..2, 0..8)),
        ("pack-b", cell(0..2, 8..10)),
        ("tiles", cell(0..1, 8..10)),
        ("tiles", cell(1..2, 8..10)),
        ("pack-b", cell(2..3, 0..8)),
        ("tiles", cell(2..3, 0..8)),
        ("pack-b", cell(2..3, 8..10)),
        ("tiles", cell(2..3, 8..10)),
    ];
    assert_eq!(notes.0, want);
}
