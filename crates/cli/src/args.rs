//! Flags that verbs share.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tilewise::graph::Graph;
use tilewise::{Misfit, Model, Options, Session, Tier, store_folder, zoo};

/// Which model.
#[derive(Args, Clone)]
pub(crate) struct ModelArgs {
    /// An ONNX file, or a network of the zoo such as zoo:resnet-50 or zoo:mobilenet-v1?width=0.5&size=160; without
    /// it, the embedded image classifier
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Trained tensors of a network of the zoo: a .safetensors file with the names of torchvision or timm
    #[arg(long, value_name = "FILE", requires = "model")]
    pub(crate) weights: Option<PathBuf>,
    /// Seed of random inputs, and of the weights of a network of the zoo
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) seed: u64,
}

impl ModelArgs {
    /// Loads the model, and notes what became of it where that is asked for.
    pub(crate) fn load(&self, output: &OutputArgs) -> Result<Model> {
        let start = Instant::now();
        let model = self.load_typed().with_context(|| format!("cannot load the model {}", self.name()))?;
        if output.verbose {
            let count = |graph: &Graph| graph.nodes().count();
            let (before, after) = (count(model.source()), count(model.optimized()));
            let ms = start.elapsed().as_secs_f64() * 1e3;
            eprintln!("{}: {before} nodes, {after} after the passes, in {ms:.1} ms", self.name());
        }
        Ok(model)
    }

    /// Loads the model, with the library's own error.
    pub(crate) fn load_typed(&self) -> Result<Model, tilewise::Error> {
        if let Some(name) = self.zoo() {
            let (graph, left_over) = self.build(name)?;
            for tensor in left_over {
                eprintln!("not used: tensor {tensor}");
            }
            return Model::from_graph(graph);
        }
        if let Some(path) = &self.weights {
            let why = "only a network of the zoo takes weights from a file of their own, as in -m zoo:resnet-50";
            return Err(tilewise::Error::Usage(format!("--weights {}: {why}", path.display())));
        }
        self.model.as_ref().map_or_else(Model::embedded, Model::load)
    }

    /// The network of the zoo as a graph, and the tensors of `--weights` that it has no use for.
    pub(crate) fn build(&self, name: &str) -> Result<(Graph, Vec<String>), tilewise::Error> {
        let weights = match &self.weights {
            None => zoo::Weights::Seeded(self.seed),
            Some(path) => zoo::Weights::Named(zoo::read_tensors(path)?),
        };
        zoo::build(name, &weights)
    }

    /// The name in the zoo, where the model is from there.
    fn zoo(&self) -> Option<&str> {
        self.model.as_deref()?.strip_prefix("zoo:")
    }

    /// What tables call the model.
    pub(crate) fn name(&self) -> &str {
        self.model.as_deref().unwrap_or("efficientnet-lite0 (embedded)")
    }

    /// The file, where the model is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.model.as_deref().filter(|_| self.zoo().is_none()).map(Path::new)
    }
}

/// How a model runs.
#[derive(Args, Clone)]
pub(crate) struct RunArgs {
    /// Threads [default: the smallest of affinity mask, cgroup quota and physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// The most capable instruction set to use: scalar, avx2 or avx512
    #[arg(long, value_name = "NAME")]
    pub(crate) isa: Option<Tier>,
    /// Shape of an input, such as input:1x3x224x224; may be given for each input
    #[arg(long, value_name = "NAME:DIMS", value_parser = parse_shape)]
    pub(crate) shape: Vec<(String, Vec<usize>)>,
    /// Images a run, where the model leaves that free [default: 1; `run` on many photos: one a thread]
    #[arg(long, value_name = "N", value_parser = parse_batch)]
    pub(crate) batch: Option<usize>,
    /// How layers run: a file that `tune -o` or `explain --text -o` wrote, or none for the kernels' own choosers
    /// [default: what `tune` measured on this machine]
    #[arg(long, value_name = "FILE")]
    pub(crate) schedule: Option<PathBuf>,
}

impl RunArgs {
    /// The session's options. What a schedule file says that does not fit is noted.
    pub(crate) fn options(&self, output: &OutputArgs) -> Result<Options> {
        let on_misfit = |misfit: &Misfit| eprintln!("{misfit}; it runs as without a schedule");
        let mut options = Options {
            threads: self.threads.map(usize::from),
            isa: self.isa,
            on_misfit: (!output.quiet).then_some(on_misfit),
            ..Options::default()
        };
        match &self.schedule {
            None => options.store = store_folder(),
            Some(path) if path.as_os_str() == "none" => (),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                options.schedule = text.parse().with_context(|| format!("{} is no schedule", path.display()))?;
            }
        }
        Ok(options)
    }

    /// A session of the model with these options.
    pub(crate) fn session(&self, model: &Model, output: &OutputArgs) -> Result<Session> {
        Ok(model.session(self.options(output)?))
    }

    /// The shapes of the model's inputs under these flags.
    pub(crate) fn shapes(&self, model: &Model) -> Result<Vec<Vec<usize>>> {
        Ok(model.shapes(&self.shape, self.batch())?)
    }

    /// Images a run.
    pub(crate) fn batch(&self) -> usize {
        self.batch.unwrap_or(1)
    }
}

/// Where results go.
#[derive(Args, Clone)]
pub(crate) struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// No progress and no notes on standard error
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More notes on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl OutputArgs {
    /// A progress bar of so many steps, on a terminal that is not to be quiet.
    pub(crate) fn bar(&self, steps: usize, template: &str) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template);
        ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

fn parse_batch(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=4096).contains(n)).ok_or_else(|| "expected a number from 1 to 4096".to_owned())
}

/// A time in seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| (0.0..=86_400.0).contains(s));
    seconds.ok_or_else(|| "expected seconds from 0 to 86400".to_owned())
}

/// `NAME:1x3x224x224`; the name may itself hold colons.
fn parse_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, lengths) = text.rsplit_once(':').ok_or("expected NAME:1x3x224x224")?;
    let lengths: Result<Vec<usize>, _> = lengths.split('x').filter(|part| !part.is_empty()).map(str::parse).collect();
    Ok((name.to_owned(), lengths.map_err(|_| format!("'{text}' has lengths that are no numbers"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_names_and_lengths() {
        assert_eq!(parse_shape("x:1x3x224x224"), Ok(("x".into(), vec![1, 3, 224, 224])));
        assert_eq!(parse_shape("serving:0:5"), Ok(("serving:0".into(), vec![5])));
        assert_eq!(parse_shape("scalar:"), Ok(("scalar".into(), vec![])));
        assert!(parse_shape("1x3").is_err() && parse_shape("x:1xa").is_err());
    }
}
