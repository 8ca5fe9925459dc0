//! The zoo's networks: their counts, and that they run as the reference says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tilewise::graph::{Graph, Interpreter};
use tilewise::zoo::{self, NETWORKS, Network, Weights};
use tilewise::{Model, Options, Tensor, Tier};

/// Multiply-adds and parameters, and the height and width at which the reference is quick.
const ROWS: &[(&str, u64, u64, usize)] = &[
    ("lenet-300-100", 266_200, 266_610, 28),
    ("lenet-5", 2_293_000, 431_080, 28),
    ("alexnet", 724_406_816, 60_965_224, 67),
    ("alexnet-owt", 714_188_480, 61_100_840, 63),
    ("vgg-16", 15_470_264_320, 138_357_544, 32),
    ("googlenet", 1_582_671_872, 6_998_552, 64),
    ("inception-v3", 5_713_216_096, 23_834_568, 96),
    ("inception-v4", 12_253_974_624, 42_679_816, 96),
    ("inception-resnet-v1", 6_206_361_696, 22_756_328, 96),
    ("inception-resnet-v2", 13_155_794_016, 55_843_464, 96),
    ("resnet-18", 1_814_073_344, 11_689_512, 40),
    ("resnet-34", 3_663_761_408, 21_797_672, 40),
    ("resnet-50", 4_089_184_256, 25_557_032, 40),
    ("resnet-50-v1", 3_857_973_248, 25_557_032, 40),
    ("fcn-8s", 181_529_034_048, 134_489_759, 1),
    ("fcn-resnet50", 142_725_772_800, 32_957_013, 33),
    ("squeezenet-1.0", 818_924_576, 1_248_424, 50),
    ("squeezenet-1.1", 349_151_936, 1_235_496, 50),
    ("mobilenet-v1", 568_740_352, 4_231_976, 50),
    ("mobilenet-v2", 300_774_272, 3_504_872, 50),
    ("mobilenet-v3-large", 216_589_760, 5_483_032, 50),
    ("shufflenet-v1", 524_045_184, 5_450_776, 50),
    ("shufflenet-v2", 583_253_464, 7_393_996, 50),
    ("nasnet-a-mobile", 563_638_816, 5_289_978, 40),
    ("nasnet-a-large", 23_783_414_658, 88_753_150, 40),
    ("amoebanet-a", 554_687_204, 5_086_930, 40),
    ("amoebanet-b", 555_060_408, 5_258_700, 40),
    ("amoebanet-c", 676_936_592, 6_353_815, 40),
    ("pnasnet-5-mobile", 587_293_200, 5_064_487, 40),
    ("pnasnet-5-large", 24_937_395_792, 86_057_668, 40),
    ("densenet-121", 2_834_161_664, 7_978_856, 40),
    ("efficientnet-lite0", 385_187_552, 4_652_008, 50),
    ("efficientnet-lite1", 600_185_232, 5_416_680, 50),
    ("efficientnet-lite2", 859_736_272, 6_092_072, 50),
    ("vit-tiny", 1_253_683_200, 5_717_416, 48),
];

/// Multiply-adds that the reference does in a second or so.
const QUICK: u64 = 150_000_000;

fn row(network: &Network) -> (u64, u64, usize) {
    let found = ROWS.iter().find(|row| row.0 == network.name).unwrap_or_else(|| panic!("no row of {}", network.name));
    (found.1, found.2, found.3)
}

#[test]
fn counts_are_exact() {
    let mut wrong = Vec::new();
    for network in NETWORKS {
        let count = zoo::count(network, &network.default_variant()).unwrap();
        let (macs, params, _) = row(network);
        if (count.macs, count.params) != (macs, params) {
            wrong.push(format!("{}: {} multiply-adds, {} parameters", network.name, count.macs, count.params));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(ROWS.len(), NETWORKS.len());
    let (network, half) = zoo::find("mobilenet-v1?width=0.5&size=160").unwrap();
    let count = zoo::count(network, &half).unwrap();
    assert_eq!((count.macs, count.params), (76_524_800, 1_331_592));
}

#[test]
fn published_figures_hold_but_where_a_note_says_why_not() {
    let mut wrong = Vec::new();
    for network in NETWORKS {
        let count = zoo::count(network, &network.default_variant()).unwrap();
        let published = network.published;
        for (actual, stated) in [(count.macs, published.macs), (count.params, published.params)] {
            // Figures are published in two or three digits.
            let off = stated.is_some_and(|stated| (actual as f64 / stated - 1.0).abs() > 0.04);
            if off && published.note.is_none() {
                wrong.push(format!("{}: {actual}, published {stated:?}", network.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn quick_networks_run_as_the_reference_says() {
    check(|macs| macs <= QUICK);
}

/// `cargo xtask zoo` runs this one.
#[test]
#[ignore = "takes minutes"]
fn slow_networks_run_as_the_reference_says() {
    check(|macs| macs > QUICK);
}

/// Runs networks with seeded weights by the reference, and on every instruction set with one and two threads.
fn check(wanted: impl Fn(u64) -> bool) {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for network in NETWORKS {
        let size = row(network).2;
        let name = format!("{}?size={size}", network.name);
        let (_, variant) = zoo::find(&name).unwrap();
        if !wanted(zoo::count(network, &variant).unwrap().macs) {
            continue;
        }
        seen += 1;
        let (graph, _) = zoo::build(&name, &Weights::Seeded(5)).unwrap();
        let input = image(&[2, network.input[0], size, size]);
        let (expected, range) = reference(&graph, &input);
        if let Some((value, rms)) = range {
            wrong.push(format!("{name}: the values of {value} are about {rms:.1e}"));
        }
        let model = Model::from_graph(graph).unwrap();
        for (tier, threads) in Tier::ALL.iter().flat_map(|&tier| [(tier, 1), (tier, 2)]) {
            let options = Options { isa: Some(tier), threads: Some(threads), ..Options::default() };
            let mut session = model.session(options);
            let outputs = session.run(&[("input", &input)]).unwrap();
            let off = apart(&outputs[0].1, &expected);
            if off > 1e-4 {
                wrong.push(format!("{name} on {tier} with {threads} threads: {off:.1e} of the range apart"));
            }
        }
    }
    assert!(seen > 0 && wrong.is_empty(), "{wrong:#?}");
}

/// Numbers spread as those of a normalized photo.
fn image(shape: &[usize]) -> Tensor {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1u32 << 24)
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| ((next() - 0.5) * 12f64.sqrt()) as f32).collect();
    Tensor::from_slice(shape, &values).unwrap()
}

/// The output of the reference, and the first value on the way whose root mean square is not within 1e-3..1e3.
fn reference(graph: &Graph, input: &Tensor) -> (Tensor, Option<(String, f64)>) {
    let mut graph = graph.clone();
    graph.bind(&[("input", input.shape())]).unwrap();
    let mut outside = None;
    let outputs = Interpreter::new(&graph).unwrap().run(std::slice::from_ref(input), |id, tensor| {
        let Ok(values) = tensor.values::<f32>() else { return };
        let rms = (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt();
        if !(1e-3..1e3).contains(&rms) && outside.is_none() {
            outside = Some((graph.value(id).name.to_string(), rms));
        }
    });
    (outputs.unwrap().remove(0), outside)
}

/// The largest difference, over the range of the expected values.
fn apart(actual: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(actual.shape(), expected.shape());
    let (actual, expected) = (actual.values::<f32>().unwrap(), expected.values::<f32>().unwrap());
    let range = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let gap = actual.iter().zip(expected.iter()).fold(0f64, |most, (a, e)| {
        let gap = f64::from((a - e).abs());
        if gap.is_nan() { f64::INFINITY } else { most.max(gap) }
    });
    gap / f64::from(range)
}
