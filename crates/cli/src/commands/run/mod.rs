//! `run`: photos in, labels out.

mod feed;
mod write;

use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use tilewise::image::{Preprocess, Source};
use tilewise::{Classifier, Model, Options, Prepared, embedded};

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use feed::{Fed, Input};
use write::{Row, Writer};

#[derive(Args)]
pub(crate) struct Run {
    /// Photos: files, folders, globs or tar shards [default: the embedded photos]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// How many classes to show for each photo
    #[arg(long, value_name = "K", default_value_t = 5)]
    topk: usize,
    /// Names of the classes, one a line [default: ImageNet's]
    #[arg(long, value_name = "FILE")]
    labels: Option<String>,
    /// How photos become inputs: torchvision, timm-bicubic, tf, lite, caffe, or a preprocessor_config.json
    /// [default: the file of that name beside the model, else torchvision; lite for the embedded model]
    #[arg(long, value_name = "NAME or FILE")]
    preprocess: Option<String>,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    output: OutputArgs,
}

/// The forms of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned text
    Table,
    /// One JSON object a photo and line
    Json,
    /// Comma-separated values, a line for each photo and class
    Csv,
    /// Parquet, a row for each photo and class
    Parquet,
}

impl Run {
    pub(crate) fn run(&self) -> Result<bool> {
        let options = self.run.options(&self.output)?;
        let cores = options.cpu().cores;
        let mut classifier = self.classifier(options)?;
        let format = self.format.unwrap_or(if self.output.json { Format::Json } else { Format::Table });
        let mut writer = Writer::new(format, self.output.output.as_deref())?;
        let inputs = if self.inputs.is_empty() { embedded_photos() } else { feed::find(&self.inputs) };
        let bar = self.bar(inputs.len());
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
        let mut failed = 0usize;
        let batch = self.run.batch.unwrap_or_else(|| usual_batch(&inputs, cores));
        feed::feed(inputs, classifier.preparer(), threads, batch, |batch| {
            let rows = self.classify(&mut classifier, batch);
            bar.inc(rows.len() as u64);
            failed += rows.iter().filter(|row| row.error.is_some()).count();
            rows.into_iter().try_for_each(|row| writer.row(row))
        })?;
        bar.finish_and_clear();
        writer.finish()?;
        if failed > 0 && !self.output.quiet {
            eprintln!("{failed} photos could not be classified; their rows say why");
        }
        Ok(failed == 0)
    }

    fn classifier(&self, options: Options) -> Result<Classifier> {
        let model = self.model.load(&self.output)?;
        let preprocess = self.preprocess()?;
        let classifier = match (&preprocess, &self.model.model) {
            (None, None) => Classifier::embedded(options)?,
            (None, Some(_)) => Classifier::new(model, Preprocess::named("torchvision")?, options)?,
            (Some(preprocess), _) => Classifier::new(model, *preprocess, options)?,
        };
        Ok(match &self.labels {
            None => classifier,
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the labels {path}"))?;
                let names = text.lines().map(str::to_owned).collect();
                classifier.with_labels(names).with_context(|| format!("cannot use the labels {path}"))?
            }
        })
    }

    /// The preprocessing that is named, or that lies beside the model.
    fn preprocess(&self) -> Result<Option<Preprocess>> {
        let Some(name) = &self.preprocess else {
            return Ok(self.model.path().map(Model::preprocess_beside).transpose()?.flatten());
        };
        if !Path::new(name).is_file() {
            return Ok(Some(Preprocess::named(name)?));
        }
        let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
        Ok(Some(Preprocess::from_json(&text).with_context(|| format!("cannot use {name}"))?))
    }

    /// Ranks the photos of a batch that could be decoded; a run that fails is an error of each of them.
    fn classify(&self, classifier: &mut Classifier, batch: Vec<Fed>) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::with_capacity(batch.len());
        let (mut photos, mut places): (Vec<Prepared>, Vec<usize>) = (Vec::new(), Vec::new());
        for fed in batch {
            match fed.photo {
                Ok(photo) => {
                    photos.push(photo);
                    places.push(rows.len());
                    rows.push(Row { path: fed.path, top: Vec::new(), error: None });
                }
                Err(error) => rows.push(Row { path: fed.path, top: Vec::new(), error: Some(error.to_string()) }),
            }
        }
        if photos.is_empty() {
            return rows;
        }
        match classifier.rank(&photos, self.topk) {
            Ok(rankings) => places.iter().zip(rankings).for_each(|(&at, top)| rows[at].top = top),
            Err(error) => places.iter().for_each(|&at| rows[at].error = Some(error.to_string())),
        }
        rows
    }

    fn bar(&self, known: usize) -> ProgressBar {
        // Short work is done before a bar is read.
        if known < 8 {
            return ProgressBar::hidden();
        }
        self.output.bar(known, "{bar:30} {pos}/{len} photos, {per_sec}, {eta} left")
    }
}

/// Photos for each thread from which on they are many.
const MANY: usize = 8;

/// Photos a run where the user does not say: one for each thread where there are many, since each thread then has a photo to
/// itself. Few are not worth plans for batches of two sizes.
fn usual_batch(inputs: &[Input], threads: usize) -> usize {
    let shards = inputs.iter().any(|input| matches!(input, Input::Source(Source::Shard(_))));
    if shards || inputs.len() >= MANY * threads { threads } else { 1 }
}

fn embedded_photos() -> Vec<Input> {
    embedded::PHOTOS.iter().map(|&(name, bytes)| Input::Bytes(name.to_owned(), bytes)).collect()
}
