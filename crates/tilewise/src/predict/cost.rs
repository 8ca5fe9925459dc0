//! Time and energy of layers on a machine that is described, not measured.

use super::layer::{Layer, Products};
use super::machine::{Compute, Dataflow, Machine, Systolic};

/// What decides the time of a layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bound {
    /// Multiply-adds at the rate that the machine reaches on such layers.
    Compute,
    /// The machine multiplies, but less than half of it is at work: the layer does not fill its array or tiles.
    Shape,
    /// Bringing the weights.
    Weights,
    /// Bringing and storing activations.
    Activations,
    /// What a layer takes beside its work.
    Dispatch,
}

impl Bound {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Shape => "shape",
            Bound::Weights => "weights",
            Bound::Activations => "activations",
            Bound::Dispatch => "dispatch",
        }
    }
}

/// What a layer is expected to cost.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Name of the layer.
    pub layer: String,
    /// Name of the operator.
    pub op: &'static str,
    /// Multiply-adds.
    pub macs: f64,
    /// Bytes read and written, each operand once.
    pub bytes: f64,
    /// The matrix products that it is, if any.
    pub products: Option<Products>,
    /// No machine with this peak and these memories is faster, in seconds.
    pub floor: f64,
    /// What is expected, in seconds.
    pub expected: f64,
    /// What decides it.
    pub bound: Bound,
    /// Energy of multiply-adds and of moving operands, in joules.
    pub joules: f64,
    /// Steps of a systolic array; 0 on other machines.
    pub steps: f64,
}

/// Predicts each layer. Weights stand in the first level that holds those of the whole network, as they are all read
/// before any is read again; a layer's activations in the first that holds its own.
pub fn predict(layers: &[Layer], machine: &Machine) -> Vec<Prediction> {
    let all = layers.iter().map(|layer| layer.weights).sum::<f64>() * machine.element();
    let last = machine.levels.len() - 1;
    let home = if machine.weights_stay { machine.home(all) } else { last };
    layers.iter().map(|layer| one(layer, machine, home)).collect()
}

fn one(layer: &Layer, machine: &Machine, weights_home: usize) -> Prediction {
    let weights = layer.weights * machine.element();
    let activations = (layer.inputs + layer.outputs) * machine.element();
    let activations_home = machine.home(activations);
    let rate = |level: usize| machine.levels[level].gb_per_s * 1e9;
    let (from_weights, from_activations) = (weights / rate(weights_home), activations / rate(activations_home));
    // One memory serves one after the other; two serve at once.
    let traffic = if weights_home == activations_home {
        from_weights + from_activations
    } else {
        from_weights.max(from_activations)
    };
    let ideal = 2.0 * layer.macs / machine.peak();
    let (compute, steps) = compute(layer, machine);
    let dispatch = machine.dispatch_us * 1e-6;
    let work = compute.max(traffic);
    let bound = match () {
        () if dispatch > work => Bound::Dispatch,
        () if compute >= traffic && ideal < compute / 2.0 => Bound::Shape,
        () if compute >= traffic => Bound::Compute,
        () if from_weights >= from_activations => Bound::Weights,
        () => Bound::Activations,
    };
    // A byte passes every level up to the one it stands in.
    let path = |level: usize| machine.levels[..=level].iter().map(|level| level.pj_per_byte).sum::<f64>();
    let per_mac = machine.pj_per_mac.get(&machine.precision).copied().unwrap_or(0.0);
    let picojoules = layer.macs * per_mac + weights * path(weights_home) + activations * path(activations_home);
    Prediction {
        layer: layer.name.clone(),
        op: layer.op,
        macs: layer.macs,
        bytes: weights + activations,
        products: layer.products,
        floor: ideal.max(traffic),
        expected: work + dispatch,
        bound,
        joules: picojoules * 1e-12,
        steps,
    }
}

/// Seconds of the multiply-adds, and the steps of a systolic array.
fn compute(layer: &Layer, machine: &Machine) -> (f64, f64) {
    let ideal = 2.0 * layer.macs / machine.peak();
    let Some(products) = layer.products else { return (ideal, 0.0) };
    match &machine.compute {
        Compute::Cpu { efficiency } => {
            let share = if layer.is_depthwise() { efficiency.depthwise } else { efficiency.dense };
            (ideal / share, 0.0)
        }
        Compute::Systolic(array) => {
            let steps = systolic_steps(array, &products);
            (steps / (array.clock_ghz * 1e9), steps)
        }
        &Compute::Gpu { units, tile, efficiency } => {
            let per_unit = machine.peak() * efficiency / units as f64;
            (waves(&products, units, tile) * 2.0 * (tile[0] * tile[1] * products.k) as f64 / per_unit, 0.0)
        }
    }
}

/// Steps of a systolic array after SCALE-Sim (Samajdar et al., 2018): each of `ceil(S_R / R) ceil(S_C / C)` tiles takes
/// `2 R + C + T - 2`, where `T` values march through an array of `R x C` and fill and drain are not hidden.
///
/// Output stationary: `S_R = m`, `S_C = n`, `T = k`. Weight stationary: `S_R = k`, `S_C = n`, `T = m`.
pub fn systolic_steps(array: &Systolic, p: &Products) -> f64 {
    let (down, across, through) = match array.dataflow {
        Dataflow::OutputStationary => (p.m, p.n, p.k),
        Dataflow::WeightStationary => (p.k, p.n, p.m),
    };
    let tiles = p.count * down.div_ceil(array.rows) * across.div_ceil(array.columns);
    tiles as f64 * (2 * array.rows + array.columns + through - 2) as f64
}

/// Rounds in which multiprocessors take up the tiles of the output: a last round takes as long as a full one.
pub fn waves(p: &Products, units: usize, [rows, columns]: [usize; 2]) -> f64 {
    let tiles = p.count * p.m.div_ceil(rows) * p.n.div_ceil(columns);
    tiles.div_ceil(units) as f64
}

/// In a sentence, why a machine is good or poor at a network.
pub fn why(machine: &Machine, predictions: &[Prediction], batch: usize) -> String {
    let total: f64 = predictions.iter().map(|p| p.expected).sum();
    let macs: f64 = predictions.iter().map(|p| p.macs).sum();
    let share = 100.0 * 2.0 * macs / machine.peak() / total;
    let of = |bound| predictions.iter().filter(|p| p.bound == bound).map(|p| p.expected).sum::<f64>() / total;
    let bounds = [Bound::Compute, Bound::Shape, Bound::Weights, Bound::Activations, Bound::Dispatch];
    let worst = bounds.into_iter().max_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap_or(Bound::Compute);
    let reason = match (worst, &machine.compute) {
        (Bound::Compute, _) => "most layers keep its multipliers busy".to_owned(),
        (Bound::Shape, Compute::Systolic(array)) => format!(
            "most products do not fill {} x {} multipliers, or are over before the array is filled and drained",
            array.rows, array.columns
        ),
        (Bound::Shape, Compute::Gpu { units, tile: [rows, columns], .. }) => format!(
            "most layers make too few tiles of {rows} x {columns} outputs for {units} multiprocessors, or do not fill them"
        ),
        (Bound::Shape, Compute::Cpu { .. }) => "its kernels reach less than half of the peak on most layers".to_owned(),
        (Bound::Weights, _) => {
            "it waits for weights, each of which is used once an image: a larger batch uses them again".to_owned()
        }
        (Bound::Activations, _) => {
            "it waits for activations: too few multiply-adds for each value that is read or written".to_owned()
        }
        (Bound::Dispatch, _) => format!("starting {} layers takes longer than computing them", predictions.len()),
    };
    let verdict = if share >= 50.0 {
        "good"
    } else if share >= 20.0 {
        "fair"
    } else {
        "poor"
    };
    format!(
        "{} is {verdict} here at batch {batch}: {share:.1} % of its peak; {reason} ({:.0} % of the time)",
        machine.name,
        100.0 * of(worst)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn products(m: usize, n: usize, k: usize) -> Products {
        Products { count: 1, m, n, k }
    }

    #[test]
    fn steps_of_a_systolic_array_are_those_of_the_formula() {
        let array = |dataflow| Systolic { rows: 256, columns: 128, dataflow, clock_ghz: 1.0 };
        let (output, weight) = (array(Dataflow::OutputStationary), array(Dataflow::WeightStationary));
        let cases = [
            (output, products(256, 128, 100), 738.0),
            (output, products(257, 129, 100), 4.0 * 738.0),
            (weight, products(100, 128, 256), 738.0),
            (weight, products(1, 129, 257), 4.0 * 639.0),
            (weight, Products { count: 3, ..products(100, 1, 9) }, 3.0 * 738.0),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(array, p, want)| systolic_steps(array, p) != *want).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_last_wave_costs_as_much_as_a_full_one() {
        let cases = [
            (products(128 * 132, 128, 1), 1.0),
            (products(128 * 132 + 1, 128, 1), 2.0),
            (products(1, 1, 1), 1.0),
            (Products { count: 133, ..products(1, 1, 1) }, 2.0),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(p, want)| waves(p, 132, [128, 128]) != *want).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Layers of equal fully connected weights.
    fn stack(count: usize, width: usize, batch: usize) -> Vec<Layer> {
        let (weights, activations) = ((width * width) as f64, (width * batch) as f64);
        let layer = Layer {
            macs: weights * batch as f64,
            products: Some(products(batch, width, width)),
            weights,
            inputs: activations,
            outputs: activations,
            ..Layer::default()
        };
        vec![layer; count]
    }

    #[test]
    fn a_tpu_is_bound_by_weights_where_its_paper_says_so() {
        let tpu = Machine::find("tpu-v1").unwrap();
        // MLP0 and MLP1 of the paper's table 1: layers, weights and batch; its measured 10^12 operations a second.
        for (layers, weights, batch, measured) in [(5, 20e6f64, 200, 12.3), (4, 5e6, 168, 9.7)] {
            let width = (weights / layers as f64).sqrt() as usize;
            let predicted = predict(&stack(layers, width, batch), &tpu);
            assert!(predicted.iter().all(|p| p.bound == Bound::Weights), "{predicted:#?}");
            let seconds: f64 = predicted.iter().map(|p| p.expected).sum();
            let rate = 2.0 * predicted.iter().map(|p| p.macs).sum::<f64>() / seconds / 1e12;
            assert!((1.0..1.25).contains(&(rate / measured)), "{rate} predicted, {measured} measured");
        }
    }

    #[test]
    fn energy_is_that_of_multiply_adds_and_of_the_way_of_every_byte() {
        let phone = Machine::find("phone").unwrap();
        let [one] = &predict(&stack(1, 100, 1), &phone)[..] else { panic!("one layer") };
        // 40 000 bytes of weights and 800 of activations stand in L1.
        let want = 10_000.0 * 4.6 + 40_800.0 * 2.5;
        assert!((one.joules * 1e12 / want - 1.0).abs() < 1e-9, "{}", one.joules);
        assert_eq!(one.bound, Bound::Dispatch);
        // 12.9 GB of weights come through all four levels.
        let [one] = &predict(&stack(1, 57_000, 1), &phone)[..] else { panic!("one layer") };
        assert!(one.bound == Bound::Weights && one.joules > 57_000f64.powi(2) * 4.0 * 181e-12, "{one:?}");
        assert!(why(&phone, std::slice::from_ref(one), 1).contains("weights"));
    }
}
