//! `infer`: runs any model on raw tensors.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tilewise::graph::{Graph, evaluate};
use tilewise::{DType, Model, Tensor, npy};

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Infer {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// An input from a .npy file, or all inputs from a .npz file given as FILE alone
    #[arg(short, long, value_name = "NAME=FILE")]
    input: Vec<String>,
    /// What fills the inputs that are not given; their free lengths are 1 unless --shape says otherwise
    #[arg(long, value_name = "HOW")]
    fill: Option<Fill>,
    /// Run the naive reference interpreter instead of the optimized plan
    #[arg(long)]
    reference: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What an input is filled with.
#[derive(Clone, Copy, ValueEnum, PartialEq)]
pub(crate) enum Fill {
    Ones,
    Zeros,
    /// Uniform: numbers from -1 to 1, integers from 0 to 126
    Random,
}

impl Infer {
    pub(crate) fn run(&self) -> Result<bool> {
        let model = self.model.load(&self.output)?;
        let inputs = self.inputs(&model)?;
        let outputs = if self.reference { reference(&model, &inputs)? } else { self.optimized(&model, &inputs)? };
        let named: Vec<(&str, &Tensor)> = outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        if let Some(path) = &self.output.output {
            npy::write_npz(path, &named).context("cannot write the outputs")?;
            return Ok(true);
        }
        self.print(&named)?;
        Ok(true)
    }

    /// The model's inputs in order, from files or filled.
    fn inputs(&self, model: &Model) -> Result<Vec<Tensor>> {
        let given = self.given()?;
        let names: Vec<String> = model.inputs().map(|(name, _)| name.to_owned()).collect();
        if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(name)) {
            bail!("no input is named '{name}'; the model has {}", names.join(", "));
        }
        let missing: Vec<&str> =
            names.iter().map(String::as_str).filter(|n| !given.iter().any(|(g, _)| g == n)).collect();
        if missing.is_empty() {
            return names
                .iter()
                .map(|name| Ok(given.iter().find(|(g, _)| g == name).expect("none is missing").1.clone()))
                .collect();
        }
        let Some(fill) = self.fill else {
            bail!(
                "nothing is given for {}: use --input NAME=FILE.npy, or --fill zeros, ones or random",
                missing.join(", ")
            );
        };
        let mut shapes = self.run.shape.clone();
        shapes.extend(given.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())));
        let shapes = model.shapes(&shapes, self.run.batch())?;
        let mut tensors = filled(model, &shapes, fill, self.model.seed)?;
        for (tensor, name) in tensors.iter_mut().zip(&names) {
            if let Some((_, file)) = given.iter().find(|(other, _)| other == name) {
                *tensor = file.clone();
            }
        }
        Ok(tensors)
    }

    /// What the files hold, by the names of inputs.
    fn given(&self) -> Result<Vec<(String, Tensor)>> {
        let mut given: Vec<(String, Tensor)> = Vec::new();
        for text in &self.input {
            let Some((name, file)) = text.rsplit_once('=') else {
                given.extend(read(text)?);
                continue;
            };
            let mut arrays = read(file)?;
            let named = arrays.iter().position(|(other, _)| other == name);
            let Some(at) = named.or((arrays.len() == 1).then_some(0)) else {
                bail!("{file} holds {} arrays, and none is named '{name}'", arrays.len());
            };
            given.push((name.to_owned(), arrays.swap_remove(at).1));
        }
        let twice = (1..given.len()).find(|&at| given[..at].iter().any(|(name, _)| *name == given[at].0));
        if let Some(at) = twice {
            bail!("input '{}' is given twice", given[at].0);
        }
        Ok(given)
    }

    fn optimized(&self, model: &Model, inputs: &[Tensor]) -> Result<Vec<(String, Tensor)>> {
        let mut session = self.run.session(model, &self.output)?;
        let names: Vec<&str> = model.inputs().map(|(name, _)| name).collect();
        let named: Vec<(&str, &Tensor)> = names.into_iter().zip(inputs).collect();
        Ok(session.run(&named)?)
    }

    fn print(&self, outputs: &[(&str, &Tensor)]) -> Result<()> {
        if self.output.json {
            let rows = outputs.iter().map(|(name, tensor)| {
                let [low, high, mean] = range(tensor);
                json!({"name": name, "dtype": tensor.dtype().name(), "shape": tensor.shape(),
                       "min": low, "max": high, "mean": mean})
            });
            return output::json(None, &rows.collect::<Vec<_>>());
        }
        let heads = ["output", "type", "min", "max", "mean"];
        let mut table = Table::new(
            &heads.map(|head| (head, if head == "output" || head == "type" { Align::Left } else { Align::Right })),
        );
        for (name, tensor) in outputs {
            let ty = tilewise::graph::ValueType::known(tensor.dtype(), tensor.shape()).to_string();
            let figures = range(tensor).map(|x| format!("{x:.6}"));
            table.row([(*name).to_owned(), ty].into_iter().chain(figures).collect());
        }
        output::text(None, &table.render())
    }
}

fn read(file: &str) -> Result<Vec<(String, Tensor)>> {
    npy::read(Path::new(file)).context("cannot read an input")
}

fn reference(model: &Model, inputs: &[Tensor]) -> Result<Vec<(String, Tensor)>> {
    let graph: &Graph = model.source();
    let outputs = evaluate(graph, inputs)?;
    Ok(graph.outputs().iter().map(|(name, _)| name.to_string()).zip(outputs).collect())
}

/// Smallest, largest and mean element.
fn range(tensor: &Tensor) -> [f64; 3] {
    let values = tilewise::to_f32(tensor);
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len().max(1) as f64;
    [f64::from(low), f64::from(high), mean]
}

/// A tensor for each input of a model.
pub(crate) fn filled(model: &Model, shapes: &[Vec<usize>], fill: Fill, seed: u64) -> Result<Vec<Tensor>> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let tensor = |((_, ty), shape): ((&str, &tilewise::graph::ValueType), &Vec<usize>)| {
        fill_one(ty.dtype, shape, fill, &mut random)
    };
    model.inputs().zip(shapes).map(tensor).collect()
}

fn fill_one(dtype: DType, shape: &[usize], fill: Fill, random: &mut Random) -> Result<Tensor> {
    let zeros = Tensor::zeros(dtype, shape)?;
    if fill == Fill::Zeros {
        return Ok(zeros);
    }
    let values: Vec<f32> = (0..zeros.numel())
        .map(|_| match (fill, dtype.is_float()) {
            (Fill::Random, true) => random.unit() * 2.0 - 1.0,
            (Fill::Random, false) => (random.unit() * 127.0).floor(),
            (Fill::Ones | Fill::Zeros, _) => 1.0,
        })
        .collect();
    Ok(tilewise::from_f32(dtype, shape, &values)?)
}

/// xorshift64*: inputs that are the same on every machine.
struct Random(u64);

impl Random {
    /// A number from 0 up to, not with, 1.
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32 / (1u64 << 24) as f32
    }
}
