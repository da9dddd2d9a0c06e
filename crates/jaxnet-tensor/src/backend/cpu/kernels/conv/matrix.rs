//! Convolution as matrix products of patches of the input with the kernel.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::patches::Patches;
use crate::backend::cpu::gemm::{GemmElement, MatMut, MatRef, PackedB, gemm, gemm_packed};
use crate::backend::cpu::kernels::numeric::Number;

/// Elements of a block of patches: with its share of the kernel it stays in the second-level cache.
const BLOCK: usize = 1 << 16;
/// The same where blocks are written row by row.
const ROWS_BLOCK: usize = 1 << 20;
/// The fewest rows of a block: the kernel is read once for each.
const BLOCK_ROWS: usize = 48;
/// The fewest terms of a block: the result is read and written once for each.
const BLOCK_TERMS: usize = 64;
/// Sums of so many terms may be split up, if the terms of each are many times the rows of the result
/// (as in derivatives by the kernel).
const LONG_SUM: usize = 1 << 12;
const LONG_SUM_RATIO: usize = 8;
/// Into how many parts such sums are split: a fixed number, so that results do not depend on the
/// number of threads.
const PARTS: usize = 8;

pub(super) fn convolve<T: Number<Sum = T> + GemmElement>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    let features = geometry.groups * geometry.outputs;
    let (rows, terms) = (output.len() / features, geometry.kernel() * geometry.inputs);
    let patches = Patches::new(geometry);
    let kernel = Kernel::new(geometry, &patches, rhs);
    // With the features last in memory, the result is a matrix with a row for each place. Otherwise it
    // is, for each place of the axes before the features, one with a column for each place of those after.
    let flipped = geometry.out.inner != 1 && features > 1;
    let mut product = Product { geometry, patches, lhs, kernel, packed: Vec::new(), flipped, block_rows: 0 };
    if terms >= LONG_SUM && rows * LONG_SUM_RATIO <= terms && (!flipped || rows == geometry.out.inner) {
        product.block_rows = rows.min(BLOCK / BLOCK_TERMS);
        return product.compute_in_parts(output);
    }
    let threads = rayon::current_num_threads();
    let fitting = (BLOCK / terms).max(BLOCK_ROWS);
    let chunk = if flipped { geometry.out.inner } else { fitting.min(rows.div_ceil(4 * threads)).max(BLOCK_ROWS) };
    product.block_rows = chunk.min(fitting);
    let chunks = rows.div_ceil(chunk);
    if !flipped && chunks > 1 && product.block_terms() >= terms {
        product.packed =
            (0..geometry.groups).map(|group| PackedB::new(product.kernel.matrix(group, 0..terms))).collect();
    }
    let compute = |(i, output): (usize, &mut [T])| {
        let first = i * chunk;
        product.compute(first..first + output.len() / features, 0..terms, output);
    };
    if chunks < threads {
        // The matrix products themselves are shared out.
        output.chunks_mut(chunk * features).enumerate().for_each(compute);
    } else {
        output.par_chunks_mut(chunk * features).enumerate().for_each(compute);
    }
}

/// For each group, the kernel as a matrix with a row for each term and a column for each output feature.
struct Kernel<'a, T: Clone> {
    elements: Cow<'a, [T]>,
    outputs: usize,
    group: usize,
    term: usize,
    output: usize,
}

impl<'a, T: Number + GemmElement> Kernel<'a, T> {
    /// The terms are in the order of the columns of patches.
    fn new(geometry: &Geometry, patches: &Patches<'_>, rhs: &'a [T]) -> Self {
        let outputs = geometry.outputs;
        // As it is in memory, if the terms are at equal distances.
        let mut axes = patches.columns.iter().rev().filter(|axis| axis.size != 1);
        let (term, mut span) = axes.next().map_or((1, 1), |axis| (axis.rhs, axis.rhs * axis.size));
        let uniform = axes.all(|axis| {
            let continues = axis.rhs == span;
            span *= axis.size;
            continues
        });
        if uniform {
            let elements = Cow::Borrowed(rhs);
            return Kernel { elements, outputs, group: geometry.rhs.group, term, output: geometry.rhs.outer };
        }
        let mut terms = vec![0];
        for axis in &patches.columns {
            terms = terms.iter().flat_map(|&term| (0..axis.size).map(move |i| term + i * axis.rhs)).collect();
        }
        let mut elements = Vec::with_capacity(rhs.len());
        for group in 0..geometry.groups {
            for term in &terms {
                let first = group * geometry.rhs.group + term;
                elements.extend((0..outputs).map(|output| rhs[first + output * geometry.rhs.outer]));
            }
        }
        Kernel { elements: Cow::Owned(elements), outputs, group: terms.len() * outputs, term: outputs, output: 1 }
    }

    /// The rows of a group's matrix for these terms.
    fn matrix(&self, group: usize, terms: Range<usize>) -> MatRef<'_, T> {
        let first = group * self.group + terms.start * self.term;
        MatRef::new(&self.elements, first, [terms.len(), self.outputs], [self.term as isize, self.output as isize])
    }
}

/// What the blocks of a convolution are computed from.
struct Product<'a, T: GemmElement> {
    geometry: &'a Geometry,
    patches: Patches<'a>,
    lhs: &'a [T],
    kernel: Kernel<'a, T>,
    /// The kernel prepared for products with many blocks, where there are many.
    packed: Vec<PackedB<T>>,
    flipped: bool,
    block_rows: usize,
}

impl<T: Number<Sum = T> + GemmElement> Product<'_, T> {
    /// How many terms a block has.
    fn block_terms(&self) -> usize {
        let unit = self.patches.unit();
        // Rows are cheapest to write whole.
        let block = if self.patches.by_columns { BLOCK } else { ROWS_BLOCK };
        ((block / self.block_rows).max(BLOCK_TERMS) / unit).max(1) * unit
    }

    /// The sums over these terms for these rows, which `output` is the part of the result for.
    fn compute(&self, rows: Range<usize>, terms: Range<usize>, output: &mut [T]) {
        let block_terms = self.block_terms().min(terms.len()).max(1);
        let mut block = Vec::new();
        for group in 0..self.geometry.groups {
            for first in rows.clone().step_by(self.block_rows) {
                let part = first..rows.end.min(first + self.block_rows);
                for term in terms.clone().step_by(block_terms) {
                    let columns = term..terms.end.min(term + block_terms);
                    let accumulate = term > terms.start;
                    self.multiply(group, &rows, part.clone(), columns, accumulate, &mut block, output);
                }
            }
        }
    }

    /// One block of patches times its part of the kernel; `block` is for the patches.
    #[expect(clippy::too_many_arguments, reason = "a step of the loops above")]
    fn multiply(
        &self,
        group: usize,
        rows: &Range<usize>,
        part: Range<usize>,
        columns: Range<usize>,
        accumulate: bool,
        block: &mut Vec<T>,
        output: &mut [T],
    ) {
        let (height, width) = (part.len(), columns.len());
        let at = part.start - rows.start;
        let patches = match self.patches.in_place(group, &part) {
            Some((first, strides)) => {
                MatRef::new(self.lhs, first + columns.start * strides[1], [height, width], strides.map(|s| s as isize))
            }
            None => {
                block.resize(height * width, T::ZERO);
                self.patches.write(self.lhs, group, part, columns.clone(), block);
                let strides = if self.patches.by_columns { [1, height] } else { [width, 1] };
                MatRef::new(block, 0, [height, width], strides.map(|s| s as isize))
            }
        };
        let outputs = self.geometry.outputs;
        let features = self.geometry.groups * outputs;
        if self.flipped {
            let to = MatMut::new(output, group * outputs * rows.len() + at, [outputs, height], rows.len());
            gemm(self.kernel.matrix(group, columns).t(), patches.t(), to, accumulate, None);
            return;
        }
        let to = MatMut::new(output, at * features + group * outputs, [height, outputs], features);
        match self.packed.get(group) {
            Some(kernel) => gemm_packed(patches, kernel, to, accumulate, None),
            None => gemm(patches, self.kernel.matrix(group, columns), to, accumulate, None),
        }
    }

    /// The whole result, its sums split into parts that are added up in the end.
    fn compute_in_parts(&self, output: &mut [T]) {
        let features = self.geometry.groups * self.geometry.outputs;
        let (rows, terms) = (output.len() / features, self.geometry.kernel() * self.geometry.inputs);
        let unit = self.patches.unit();
        let part = (terms / unit).div_ceil(PARTS) * unit;
        let sums: Vec<Vec<T>> = (0..PARTS)
            .into_par_iter()
            .map(|i| {
                let mut sums = vec![T::ZERO; output.len()];
                self.compute(0..rows, (i * part).min(terms)..((i + 1) * part).min(terms), &mut sums);
                sums
            })
            .collect();
        output.fill(T::ZERO);
        for sums in &sums {
            for (to, &sum) in output.iter_mut().zip(sums) {
                *to = to.add(sum);
            }
        }
    }
}
