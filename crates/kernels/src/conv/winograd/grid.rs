//! The squares of a problem: squares of outputs that cover the images of a batch, one row of squares after the other, and
//! where the values of a block of them stand.

use crate::Conv2d;

/// How squares of `size` outputs cover a problem's images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    size: usize,
    /// Rows and columns of squares of one image.
    rows: usize,
    columns: usize,
    /// Tiles of all images.
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
    pub(super) fn new(p: &Conv2d, size: usize) -> Self {
        let (rows, columns) = (p.oh().div_ceil(size), p.ow().div_ceil(size));
        Grid { size, rows, columns, squares: p.n * rows * columns }
    }

    /// The places of the squares from `first` on, without end.
    #[inline(always)]
    pub(super) fn places(self, first: usize) -> Places {
        let (row, column) = (first / self.columns, first % self.columns);
        let next = Place { n: row / self.rows, y: row % self.rows * self.size, x: column * self.size };
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
        self.next.x += grid.size;
        if self.next.x == grid.columns * grid.size {
            self.next.x = 0;
            self.next.y += grid.size;
        }
        if self.next.y == grid.rows * grid.size {
            self.next.y = 0;
            self.next.n += 1;
        }
        Some(place)
    }
}

/// Where the values of a block of squares stand: `[position][channel vector][square][lane]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// Tiles of the block.
    pub(super) squares: usize,
    /// From one of the n x n positions to the next, in elements.
    pub(super) pitch: usize,
}

impl Panel {
    /// A panel of `squares` squares and `vectors` channel vectors.
    ///
    /// The transforms write and read all positions of a square at once: an odd number of vectors between them keeps
    /// them from falling into the same set of the cache.
    pub(super) fn new(squares: usize, vectors: usize, lanes: usize) -> Self {
        Panel { squares, pitch: ((squares * vectors) | 1) * lanes }
    }
}
