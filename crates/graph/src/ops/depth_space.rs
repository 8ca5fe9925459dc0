//! DepthToSpace and SpaceToDepth: channels spread over blocks of pixels, and back.

use tilewise_tensor::{Tensor, strides};

use super::movement::{pick, position};
use super::support::{operand, result_shape};
use super::{Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// In which order channels become the pixels of a block.
    DepthMode {
        /// Pixel of the block first, then channel of the output.
        Dcr = "DCR",
        /// Channel of the output first, then pixel of the block: pixel shuffle.
        Crd = "CRD",
    }
}

operator! {
    /// Input `[n, c b b, h, w]`, output `[n, c, h b, w b]` with blocks of b x b pixels.
    DepthToSpace {
        /// Side of a block.
        blocksize: usize,
        /// Order of the channels.
        mode: DepthMode = DepthMode::Dcr,
    }
}

operator! {
    /// Input `[n, c, h b, w b]`, output `[n, b b c, h, w]`: the pixel of the block first, then the channel.
    SpaceToDepth {
        /// Side of a block.
        blocksize: usize,
    }
}

/// The four axes of an image, and the pixels of a block.
fn image<'a>(args: &Args<'a>, blocksize: usize) -> Result<(ValueType, Option<&'a [Dim]>, usize), OpError> {
    let x = args.at(0)?;
    let wrong = || OpError::invalid(format!("no blocks of {blocksize} x {blocksize} pixels in {}", x.ty));
    let pixels = blocksize.checked_mul(blocksize).filter(|&pixels| pixels > 0).ok_or_else(wrong)?;
    if x.rank().is_some_and(|rank| rank != 4) {
        return Err(wrong());
    }
    Ok((ValueType::new(x.dtype(), vec![Dim::Unknown; 4]), x.shape(), pixels))
}

fn divided(dim: &Dim, by: usize) -> Result<Dim, OpError> {
    if dim.known().is_some_and(|n| !n.is_multiple_of(by)) {
        return Err(OpError::invalid(format!("length {dim} is no multiple of {by}")));
    }
    Ok(if by == 1 { dim.clone() } else { dim.map(|n| n / by) })
}

fn multiplied(dim: &Dim, by: usize) -> Result<Dim, OpError> {
    let Some(n) = dim.known().filter(|_| by != 1) else {
        return Ok(if by == 1 { dim.clone() } else { Dim::Unknown });
    };
    n.checked_mul(by).map(Dim::Known).ok_or_else(|| OpError::invalid(format!("length {n} times {by}")))
}

impl Operator for DepthToSpace {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let b = self.blocksize;
        let (mut ty, shape, pixels) = image(args, b)?;
        if let Some([n, c, h, w]) = shape {
            ty.shape = Some(vec![n.clone(), divided(c, pixels)?, multiplied(h, b)?, multiplied(w, b)?]);
        }
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, b, c) = (operand(inputs, 0)?, self.blocksize, shape[1]);
        let from = strides(x.shape());
        let source = |index: &[usize]| {
            let pixel = index[2] % b * b + index[3] % b;
            let channel = match self.mode {
                DepthMode::Dcr => pixel * c + index[1],
                DepthMode::Crd => index[1] * b * b + pixel,
            };
            position(&[index[0], channel, index[2] / b, index[3] / b], &from)
        };
        Ok(vec![pick(x, &shape, source)?])
    }
}

impl Operator for SpaceToDepth {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let b = self.blocksize;
        let (mut ty, shape, pixels) = image(args, b)?;
        if let Some([n, c, h, w]) = shape {
            ty.shape = Some(vec![n.clone(), multiplied(c, pixels)?, divided(h, b)?, divided(w, b)?]);
        }
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, b) = (operand(inputs, 0)?, self.blocksize);
        let (from, c) = (strides(x.shape()), x.shape()[1]);
        let source = |index: &[usize]| {
            let (pixel, channel) = (index[1] / c, index[1] % c);
            position(&[index[0], channel, index[2] * b + pixel / b, index[3] * b + pixel % b], &from)
        };
        Ok(vec![pick(x, &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, iota, refused};

    #[test]
    fn blocks_and_channels() {
        let x = iota(&[1, 8, 1, 1]);
        let to_space = |blocksize, mode| DepthToSpace { blocksize, mode };
        let dcr = f(&[1, 2, 2, 2], &[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
        check(vec![
            case(to_space(2, DepthMode::Dcr), &[&x], &[dcr.clone()]),
            case(to_space(2, DepthMode::Crd), &[&x], &[iota(&[1, 2, 2, 2])]),
            case(SpaceToDepth { blocksize: 2 }, &[&dcr], &[x.clone()]),
            refused(to_space(3, DepthMode::Dcr), &[&x]),
            refused(to_space(0, DepthMode::Dcr), &[&x]),
            refused(to_space(usize::MAX, DepthMode::Dcr), &[&x]),
            refused(to_space(2, DepthMode::Dcr), &[&iota(&[8])]),
            refused(SpaceToDepth { blocksize: 2 }, &[&x]),
        ]);
    }
}
