//! Classifies photos: `cargo run --release -p tilewise --example classify [PHOTO...]`; the embedded photos without any.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;

use tilewise::{Classifier, Model, Options, Tensor, embedded};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut classifier = Classifier::embedded(Options::default())?;
    for path in &paths {
        show(&mut classifier, path, &std::fs::read(path)?)?;
    }
    if paths.is_empty() {
        for (name, photo) in embedded::PHOTOS {
            show(&mut classifier, name, photo)?;
        }
    }
    raw_tensors()
}

/// From the bytes of a photo's file to its five likeliest classes.
fn show(classifier: &mut Classifier, name: &str, photo: &[u8]) -> Result<(), tilewise::Error> {
    println!("{name}");
    for ranked in classifier.classify(photo, 5)? {
        println!("  {:6.2} %  {} ({})", 100.0 * ranked.score, ranked.label, ranked.class);
    }
    Ok(())
}

/// The same network on tensors: what any model is run with, whatever it computes.
fn raw_tensors() -> Result<(), Box<dyn Error>> {
    let model = Model::embedded()?;
    // Lengths that the model leaves open: the first is the batch, here 1.
    let shapes = model.shapes(&[], 1)?;
    let mut inputs: Vec<(&str, Tensor)> = Vec::new();
    for ((name, ty), shape) in model.inputs().zip(&shapes) {
        inputs.push((name, Tensor::zeros(ty.dtype, shape)?));
    }
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    for (name, output) in model.session(Options::default()).run(&inputs)? {
        println!("output {name}: {}{:?}", output.dtype(), output.shape());
    }
    Ok(())
}
