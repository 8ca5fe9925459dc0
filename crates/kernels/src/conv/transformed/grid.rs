//! The squares of a problem: squares of outputs that cover the images of a batch, one row of squares after the other, and
//! where the values of a block of them stand.

use crate::Conv2d;

/// How squares of some rows and columns of outputs cover a problem's images.
///
/// Under dilation a square's outputs are as far apart as the taps, since those read inputs that are: the outputs that begin
/// a row and a column apart make up a phase of the image, and each phase is covered by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    size: [usize; 2],
    /// From one output of a square to the next, along each axis; as many phases are there.
    pub(super) step: [usize; 2],
    /// Rows and columns of squares of one phase.
    rows: usize,
    columns: usize,
    /// Squares of all images.
    pub(super) squares: usize,
}

/// One square: its image and its first output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) n: usize,
    pub(super) y: usize,
    pub(super) x: usize,
}

impl Grid {
    pub(super) fn new(p: &Conv2d, size: [usize; 2]) -> Self {
        // One tap is as near to itself under any dilation.
        let step = [if p.kh == 1 { 1 } else { p.dilation[0] }, if p.kw == 1 { 1 } else { p.dilation[1] }];
        // The first phase is the largest.
        let squares = |outputs: usize, axis: usize| outputs.div_ceil(step[axis]).div_ceil(size[axis]);
        let (rows, columns) = (squares(p.oh(), 0), squares(p.ow(), 1));
        Grid { size, step, rows, columns, squares: p.n * step[0] * step[1] * rows * columns }
    }

    /// True where the outputs of a square are neighbours.
    pub(super) fn is_dense(self) -> bool {
        self.step == [1, 1]
    }

    /// The places of the squares from `first` on, without end.
    #[inline(always)]
    pub(super) fn places(self, first: usize) -> Places {
        let (row, column) = (first / self.columns, first % self.columns);
        let (phase, row) = (row / self.rows, row % self.rows);
        let phases = [phase / self.step[1] % self.step[0], phase % self.step[1]];
        let [y, x] = [0, 1].map(|axis| [row, column][axis] * self.size[axis] * self.step[axis] + phases[axis]);
        Places { grid: self, phases, next: Place { n: phase / (self.step[0] * self.step[1]), y, x } }
    }
}

/// Walks over squares: a division for each square would take as long as a part of its transform.
pub(super) struct Places {
    grid: Grid,
    phases: [usize; 2],
    next: Place,
}

impl Iterator for Places {
    type Item = Place;

    #[inline(always)]
    fn next(&mut self) -> Option<Place> {
        let Grid { size, step, rows, columns, .. } = self.grid;
        let place = self.next;
        self.next.x += size[1] * step[1];
        if self.next.x >= columns * size[1] * step[1] {
            self.next.x = self.phases[1];
            self.next.y += size[0] * step[0];
        }
        if self.next.y >= rows * size[0] * step[0] {
            self.phases[1] += 1;
            if self.phases[1] == step[1] {
                self.phases = [self.phases[0] + 1, 0];
            }
            if self.phases[0] == step[0] {
                self.phases[0] = 0;
                self.next.n += 1;
            }
            [self.next.y, self.next.x] = self.phases;
        }
        Some(place)
    }
}

/// Where the values of a block of squares stand: `[channel vector][position][square][lane]`.
///
/// The transforms write and read all positions of a square at once, one vector after the other: the pages of a vector
/// stay near while its squares pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// Squares of the block.
    pub(super) squares: usize,
    /// From one position to the next, in elements.
    pub(super) pitch: usize,
    /// From one vector to the next, in elements.
    pub(super) vector: usize,
}

impl Panel {
    /// A panel of `squares` squares of so many positions.
    ///
    /// An odd number of lanes between neighbours keeps them from falling into the same set of the cache.
    pub(super) fn new(squares: usize, positions: usize, lanes: usize) -> Self {
        Panel { squares, pitch: (squares | 1) * lanes, vector: (((squares | 1) * positions) | 1) * lanes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::tests::conv;

    #[test]
    fn every_output_is_in_one_square_wherever_the_walk_begins() {
        for (dilation, kernel) in [([1, 1], [3, 3]), ([2, 3], [3, 3]), ([3, 2], [1, 3])] {
            let p = Conv2d { n: 2, dilation, ..conv(4, [19, 23], 4, kernel) };
            let size = [if kernel[0] == 1 { 1 } else { 4 }, 4];
            let grid = Grid::new(&p, size);
            let all: Vec<Place> = grid.places(0).take(grid.squares).collect();
            let mut seen = vec![0; p.n * p.oh() * p.ow()];
            for place in &all {
                let outputs = (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (i, j)));
                for (i, j) in outputs {
                    let (y, x) = (place.y + i * grid.step[0], place.x + j * grid.step[1]);
                    if y < p.oh() && x < p.ow() {
                        seen[(place.n * p.oh() + y) * p.ow() + x] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{dilation:?}: {seen:?}");
            assert!((0..all.len()).all(|first| grid.places(first).next() == Some(all[first])), "{dilation:?}");
        }
    }
}
