//! Photos in, ranked labels out: a classifier model with its preprocessing and its class names.

use std::path::Path;

use tilewise_formats::image::{Channels, Photo, Preprocess, decode};
use tilewise_graph::{Dim, ValueType};
use tilewise_kernels::Ctx;
use tilewise_kernels::movement::{ImageProblem, choose_image};
use tilewise_tensor::{DType, Tensor, View};

use crate::{Error, Model, Options, Session, embedded, options};

/// How the model takes its images.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pixels {
    /// f32 `[n, 3, h, w]`, normalised.
    Planes,
    /// f32 `[n, h, w, 3]`, normalised.
    Interleaved,
    /// u8 `[n, h, w, 3]`, as they are.
    Bytes,
}

/// A photo cut to the model's size: 8-bit RGB, ready to be normalised into the network.
pub struct Prepared(Photo);

/// One class of a photo's ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The class, from 0, counted without a background class.
    pub class: usize,
    /// Its name, or its number where no names are known.
    pub label: String,
    /// Its probability.
    pub score: f32,
}

/// Classifies photos.
///
/// ```
/// use tilewise::{Classifier, Options, embedded};
///
/// let mut classifier = Classifier::embedded(Options::default())?;
/// let (_, photo) = embedded::PHOTOS[1];
/// let ranked = classifier.classify(photo, 1)?;
/// assert_eq!(ranked[0].label, "espresso");
/// # Ok::<(), tilewise::Error>(())
/// ```
pub struct Classifier {
    session: Session,
    preprocess: Preprocess,
    labels: Vec<String>,
    pixels: Pixels,
    size: [usize; 2],
}

impl Classifier {
    /// The embedded classifier with the ImageNet class names.
    ///
    /// # Errors
    /// [`Error::Plan`] where memory is short.
    pub fn embedded(options: Options) -> Result<Self, Error> {
        Self::new(Model::embedded()?, Preprocess::named("lite")?, options)
    }

    /// A classifier of a model whose one input is an image batch and whose first output has one score a class. The
    /// crop follows the model's own size where it has one. 1000 classes, and 1001 with a background class first, are
    /// named as ImageNet's.
    ///
    /// # Errors
    /// [`Error::NoClassifier`].
    pub fn new(model: Model, preprocess: Preprocess, options: Options) -> Result<Self, Error> {
        let unfit = || {
            let list = |values: Vec<(&str, &ValueType)>| {
                values.iter().map(|(name, ty)| format!("{name}: {ty}")).collect::<Vec<_>>().join(", ")
            };
            Error::NoClassifier { inputs: list(model.inputs().collect()), outputs: list(model.outputs().collect()) }
        };
        let (Some((_, input)), 1) = (model.inputs().next(), model.inputs().len()) else { return Err(unfit()) };
        let dims: Vec<Dim> = input.shape.clone().ok_or_else(unfit)?;
        let three = |axis: usize| dims[axis].known().is_none_or(|n| n == 3);
        let (pixels, spatial) = match (input.dtype, dims.len()) {
            (DType::F32, 4) if three(1) && !(dims[3] == Dim::Known(3)) => (Pixels::Planes, [2, 3]),
            (DType::F32, 4) if three(3) => (Pixels::Interleaved, [1, 2]),
            (DType::U8, 4) if three(3) => (Pixels::Bytes, [1, 2]),
            _ => return Err(unfit()),
        };
        let (h, w) = preprocess.crop;
        let size = [dims[spatial[0]].known().unwrap_or(h), dims[spatial[1]].known().unwrap_or(w)];
        let preprocess = preprocess.for_input(size[0], size[1]);
        let labels = embedded::IMAGENET_CLASSES.lines().map(str::to_owned).collect();
        let session = model.session(options);
        Ok(Classifier { session, preprocess, labels, pixels, size })
    }

    /// Names the classes otherwise, one name a class; a background class may go without.
    ///
    /// # Errors
    /// [`Error::Usage`] where the model says how many classes it has, and there are not as many names.
    pub fn with_labels(mut self, labels: Vec<String>) -> Result<Self, Error> {
        let (_, scores) = self.session.model().outputs().next().unzip();
        let classes = scores.and_then(|ty| ty.shape.as_ref()?.last()?.known());
        if let Some(classes) = classes.filter(|&classes| classes != labels.len() && background(classes, &labels) == 0) {
            return Err(Error::Usage(format!("{} names for a model of {classes} classes", labels.len())));
        }
        self.labels = labels;
        Ok(self)
    }

    /// Decodes and cuts photos; may be used on other threads than the classifier.
    pub fn preparer(&self) -> impl Fn(&[u8]) -> Result<Prepared, Error> + Send + Sync + Clone + 'static {
        let preprocess = self.preprocess;
        move |bytes| Ok(Prepared(preprocess.apply(&decode(bytes)?)))
    }

    /// The largest batch that the model takes in one run; none: any.
    pub fn fixed_batch(&self) -> Option<usize> {
        let (_, input) = self.session.model().inputs().next()?;
        input.shape.as_ref()?.first()?.known()
    }

    /// Classifies one photo, encoded as a file, and returns the `topk` likeliest classes, likeliest first.
    ///
    /// # Errors
    /// [`Error::Image`] for a photo that cannot be decoded, and those of [`Session::run`].
    pub fn classify(&mut self, photo: &[u8], topk: usize) -> Result<Vec<Ranked>, Error> {
        let prepared = self.preparer()(photo)?;
        Ok(self.rank(&[prepared], topk)?.pop().unwrap_or_default())
    }

    /// Classifies a batch of prepared photos: one ranking each. A photo's scores do not depend on its place in the
    /// batch, nor on the others there.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn rank(&mut self, photos: &[Prepared], topk: usize) -> Result<Vec<Vec<Ranked>>, Error> {
        // A model of a fixed batch is run with copies of the last photo in the places that are left.
        let batch = self.fixed_batch().unwrap_or(photos.len()).max(1);
        let mut rankings = Vec::with_capacity(photos.len());
        for part in photos.chunks(batch) {
            let input = self.input(part, batch)?;
            let outputs = self.session.run_views(&[input.view()])?;
            let scores = scores(outputs.view(0), batch)?;
            rankings.extend(scores.iter().take(part.len()).map(|scores| self.best(scores, topk)));
        }
        Ok(rankings)
    }

    /// The network's input for a batch.
    fn input(&self, photos: &[Prepared], batch: usize) -> Result<Tensor, Error> {
        let [h, w] = self.size;
        let at = |i: usize| &photos[i.min(photos.len() - 1)].0.rgb;
        let bytes: Vec<u8> = (0..batch).flat_map(|i| at(i).iter().copied()).collect();
        if self.pixels == Pixels::Bytes {
            return Ok(Tensor::from_slice(&[batch, h, w, 3], &bytes).map_err(tilewise_engine::PlanError::from)?);
        }
        let mut values = vec![0f32; bytes.len()];
        let Preprocess { scale, shift, channels, .. } = self.preprocess;
        let swap = channels == Channels::Bgr;
        if self.pixels == Pixels::Planes {
            let problem = ImageProblem { n: batch, pixels: h * w, swap, scale, shift };
            let cpu = self.session.options().cpu();
            let pool = options::pool(cpu.cores);
            (choose_image(cpu.tier).run)(&problem, &bytes, &mut values, Ctx { pool: &pool, scratch: &mut [] });
        } else {
            for (to, from) in values.chunks_exact_mut(3).zip(bytes.chunks_exact(3)) {
                for c in 0..3 {
                    to[c] = f32::from(from[if swap { 2 - c } else { c }]) * scale[c] + shift[c];
                }
            }
        }
        let shape = if self.pixels == Pixels::Planes { [batch, 3, h, w] } else { [batch, h, w, 3] };
        Ok(Tensor::from_slice(&shape, &values).map_err(tilewise_engine::PlanError::from)?)
    }

    fn best(&self, scores: &[f32], topk: usize) -> Vec<Ranked> {
        let background = background(scores.len(), &self.labels);
        let mut order: Vec<usize> = (background..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let named = scores.len() - background == self.labels.len();
        let ranked = |i: usize| {
            let class = i - background;
            let label = if named { self.labels[class].clone() } else { class.to_string() };
            Ranked { class, label, score: scores[i] }
        };
        order.into_iter().take(topk).map(ranked).collect()
    }
}

/// How many classes stand before the named ones: TensorFlow's ImageNet models count the background as class 0.
fn background(classes: usize, labels: &[String]) -> usize {
    usize::from(classes == 1001 && labels.len() == 1000)
}

/// The first output as probabilities, one row an image.
fn scores(output: View<'_>, batch: usize) -> Result<Vec<Vec<f32>>, Error> {
    let values = crate::to_f32(&output.to_tensor());
    if batch == 0 || values.is_empty() || !values.len().is_multiple_of(batch) || output.shape().first() != Some(&batch)
    {
        let outputs = ValueType::known(output.dtype(), output.shape()).to_string();
        return Err(Error::NoClassifier { inputs: format!("{batch} images"), outputs });
    }
    Ok(values.chunks_exact(values.len() / batch).map(probabilities).collect())
}

/// Scores that are no probabilities yet go through softmax.
fn probabilities(scores: &[f32]) -> Vec<f32> {
    let sum: f32 = scores.iter().sum();
    if scores.iter().all(|s| (0.0..=1.0).contains(s)) && (sum - 1.0).abs() < 1e-2 {
        return scores.to_vec();
    }
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = scores.iter().map(|s| (s - most).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

impl Model {
    /// The preprocessing that a `preprocessor_config.json` beside the model's file asks for, where there is one.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Image`] for a file that is there and cannot be read or understood.
    pub fn preprocess_beside(path: &Path) -> Result<Option<Preprocess>, Error> {
        let path = path.with_file_name("preprocessor_config.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
        Ok(Some(Preprocess::from_json(&text)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_become_probabilities_once() {
        let logits = probabilities(&[1.0, 2.0, 3.0]);
        assert!((logits.iter().sum::<f32>() - 1.0).abs() < 1e-6 && logits[2] > 0.6);
        assert_eq!(probabilities(&[0.25, 0.75]), [0.25, 0.75]);
    }
}
