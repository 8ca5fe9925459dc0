//! The squares of a problem: squares of outputs that cover the images of a batch, one row of squares after the other, and
//! where the values of a block of them stand.

use crate::Conv2d;

/// How squares of some rows and columns of outputs cover a problem's images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    size: [usize; 2],
    /// Rows and columns of squares of one image.
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
        let (rows, columns) = (p.oh().div_ceil(size[0]), p.ow().div_ceil(size[1]));
        Grid { size, rows, columns, squares: p.n * rows * columns }
    }

    /// The places of the squares from `first` on, without end.
    #[inline(always)]
    pub(super) fn places(self, first: usize) -> Places {
        let (row, column) = (first / self.columns, first % self.columns);
        let [height, width] = self.size;
        let next = Place { n: row / self.rows, y: row % self.rows * height, x: column * width };
        Places { grid: self, next }
    }
}

/// Walks over squares: a division for each square would take as long as a part of its transform.
pub(super) struct Places {
    grid: Grid,
    next: Place,
}

impl Iterator for Places {
    type Item = Place;

    #[inline(always)]
    fn next(&mut self) -> Option<Place> {
        let (grid, place) = (&self.grid, self.next);
        let [height, width] = grid.size;
        self.next.x += width;
        if self.next.x == grid.columns * width {
            self.next.x = 0;
            self.next.y += height;
        }
        if self.next.y == grid.rows * height {
            self.next.y = 0;
            self.next.n += 1;
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
