//! Names of networks with their variants: `mobilenet-v1?width=0.5&size=160`.

use crate::{NETWORKS, Network, ZooError};

/// What can be varied in a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Knob {
    /// `size=160`: height and width of the input.
    Size,
    /// `width=0.5`: the multiplier of all channels.
    Width,
    /// `classes=10`: the length of the output.
    Classes,
}

impl Knob {
    /// The name in a variant.
    pub fn name(self) -> &'static str {
        match self {
            Knob::Size => "size",
            Knob::Width => "width",
            Knob::Classes => "classes",
        }
    }
}

/// A choice for everything that can be varied.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Variant {
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Multiplier of all channels.
    pub width: f64,
    /// Length of the output.
    pub classes: usize,
}

/// Largest height and width; what lies above is a typing error.
const MAX_SIZE: usize = 8192;
const MAX_CLASSES: usize = 1_000_000;
const WIDTHS: std::ops::RangeInclusive<f64> = 0.01..=16.0;

/// The network and the variant that a name such as `mobilenet-v1?width=0.5&size=160` stands for.
///
/// # Errors
/// [`ZooError::Unknown`] and [`ZooError::Variant`].
pub fn find(name: &str) -> Result<(&'static Network, Variant), ZooError> {
    let (name, options) = name.split_once('?').unwrap_or((name, ""));
    let found = NETWORKS.iter().copied().find(|network| network.name == name);
    let network = found.ok_or_else(|| ZooError::Unknown { name: name.to_owned(), near: nearest(name) })?;
    let mut variant = network.default_variant();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        set(&mut variant, network, option)
            .map_err(|reason| ZooError::Variant { network: network.name.to_owned(), reason })?;
    }
    Ok((network, variant))
}

fn set(variant: &mut Variant, network: &Network, option: &str) -> Result<(), String> {
    let (key, value) = option.split_once('=').ok_or_else(|| format!("'{option}' is not KEY=VALUE"))?;
    let knob = network.knobs.iter().find(|knob| knob.name() == key).ok_or_else(|| {
        let all: Vec<&str> = network.knobs.iter().map(|knob| knob.name()).collect();
        format!("'{key}' cannot be varied; what can: {}", all.join(", "))
    })?;
    let number = |range: std::ops::RangeInclusive<usize>| {
        let found = value.parse().ok().filter(|n| range.contains(n));
        found.ok_or_else(|| format!("{key}={value} is no number from {} to {}", range.start(), range.end()))
    };
    match knob {
        Knob::Size => variant.size = [number(1..=MAX_SIZE)?; 2],
        Knob::Classes => variant.classes = number(1..=MAX_CLASSES)?,
        Knob::Width => {
            let found = value.parse().ok().filter(|width| WIDTHS.contains(width));
            variant.width = found
                .ok_or_else(|| format!("{key}={value} is no number from {} to {}", WIDTHS.start(), WIDTHS.end()))?;
        }
    }
    Ok(())
}

/// The network whose name shares the most pairs of neighbouring letters with a name, where that is more than half.
fn nearest(name: &str) -> Option<String> {
    let pairs = |text: &str| -> Vec<[u8; 2]> {
        let text = text.to_lowercase().replace('_', "-");
        text.as_bytes().windows(2).map(|pair| [pair[0], pair[1]]).collect()
    };
    let asked = pairs(name);
    let shared = |other: &str| {
        let other = pairs(other);
        let common = asked.iter().filter(|pair| other.contains(pair)).count();
        2.0 * common as f64 / (asked.len() + other.len()).max(1) as f64
    };
    let best = NETWORKS.iter().max_by(|a, b| shared(a.name).total_cmp(&shared(b.name)))?;
    (shared(best.name) > 0.5).then(|| best.name.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn error(name: &str) -> String {
        find(name).err().unwrap().to_string()
    }

    #[test]
    fn variants_are_read_from_the_name() {
        let (network, variant) = find("mobilenet-v1?width=0.5&size=160").unwrap();
        assert_eq!(network.name, "mobilenet-v1");
        assert_eq!(variant, Variant { size: [160, 160], width: 0.5, classes: 1000 });
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(error("resnet50").contains("did you mean 'resnet-50'"));
        assert!(error("zzz").contains("zoo list"));
        assert!(error("vgg-16?width=0.5").contains("what can: size, classes"));
        assert!(error("vgg-16?size=0").contains("size=0 is no number from 1 to 8192"));
        assert!(error("mobilenet-v1?width=-1").contains("no number from 0.01 to 16"));
        assert!(error("vgg-16?size").contains("not KEY=VALUE"));
    }
}
