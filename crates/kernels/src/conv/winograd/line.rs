//! Lines of outputs, for kernels of one row or one column: their n inputs to n values, their n products to m outputs.

use std::marker::PhantomData;

use super::filter::{self, Axis};
use super::minimal::Minimal;
use crate::Isa;
use crate::conv::transformed::{Filter, Products, Square, Target, Transform, Values};

/// m neighbours in a row, for a kernel of one row.
pub(super) struct Across<T, const M: usize, const N: usize>(PhantomData<T>);

/// m neighbours in a column, for a kernel of one column.
pub(super) struct Down<T, const M: usize, const N: usize>(PhantomData<T>);

impl<T: Minimal<M, N>, const M: usize, const N: usize> Transform for Across<T, M, N> {
    const INPUTS: [usize; 2] = [1, N];
    const POSITIONS: usize = N;
    const ROOM: usize = 0;
    type Factors = [Axis; 2];

    fn accepts(kernel: [usize; 2]) -> bool {
        kernel == [1, N + 1 - M]
    }

    fn operations(_outputs: [usize; 2]) -> [usize; 2] {
        T::OPERATIONS
    }

    fn factors([_, taps]: [usize; 2]) -> Self::Factors {
        [Axis::one(), Axis::new::<T, M, N>(taps)]
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, filter: Filter<'_>) {
        filter::transform::<I>(factors, filter);
    }

    #[inline(always)]
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, _room: &mut [f32]) {
        store_values(isa, &T::input(isa, load_inputs(isa, square, I::LANES)), values);
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, _room: &mut [f32]) {
        target.store(isa, [0, 0], &mut T::output(isa, load_products(isa, products)));
    }
}

impl<T: Minimal<M, N>, const M: usize, const N: usize> Transform for Down<T, M, N> {
    const INPUTS: [usize; 2] = [N, 1];
    const POSITIONS: usize = N;
    const ROOM: usize = 0;
    type Factors = [Axis; 2];

    fn accepts(kernel: [usize; 2]) -> bool {
        kernel == [N + 1 - M, 1]
    }

    fn operations(_outputs: [usize; 2]) -> [usize; 2] {
        T::OPERATIONS
    }

    fn factors([taps, _]: [usize; 2]) -> Self::Factors {
        [Axis::new::<T, M, N>(taps), Axis::one()]
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, filter: Filter<'_>) {
        filter::transform::<I>(factors, filter);
    }

    #[inline(always)]
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, _room: &mut [f32]) {
        store_values(isa, &T::input(isa, load_inputs(isa, square, square.pitch)), values);
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, _room: &mut [f32]) {
        let outputs = T::output(isa, load_products(isa, products));
        for (i, &value) in outputs.iter().enumerate().take(target.rows) {
            target.store(isa, [i, 0], &mut [value]);
        }
    }
}

/// The inputs of a line, `step` apart.
#[inline(always)]
fn load_inputs<I: Isa, const N: usize>(isa: I, square: &Square<'_>, step: usize) -> [I::F; N] {
    assert!(square.at + (N - 1) * step + I::LANES <= square.data.len(), "the line's input is there");
    let mut inputs = [isa.zero(); N];
    for (k, input) in inputs.iter_mut().enumerate() {
        // SAFETY: k is at most N - 1, so the index is within the length just asserted.
        *input = unsafe { isa.load_at(square.data, square.at + k * step) };
    }
    inputs
}

/// Stores the values of a line.
#[inline(always)]
fn store_values<I: Isa, const N: usize>(isa: I, line: &[I::F; N], values: &mut Values<'_>) {
    assert!(values.at + (N - 1) * values.step + I::LANES <= values.data.len(), "the panel has room");
    for (k, &value) in line.iter().enumerate() {
        // SAFETY: k is at most N - 1, so the index is within the length just asserted.
        unsafe { isa.store_at(values.data, values.at + k * values.step, value) };
    }
}

/// The products of a line.
#[inline(always)]
fn load_products<I: Isa, const N: usize>(isa: I, products: &Products<'_>) -> [I::F; N] {
    assert!(products.at + (N - 1) * products.step + I::LANES <= products.data.len(), "the panel is complete");
    let mut line = [isa.zero(); N];
    for (k, product) in line.iter_mut().enumerate() {
        // SAFETY: k is at most N - 1, so the index is within the length just asserted.
        *product = unsafe { isa.load_at(products.data, products.at + k * products.step) };
    }
    line
}
