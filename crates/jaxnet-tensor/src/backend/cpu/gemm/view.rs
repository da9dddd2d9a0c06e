//! Matrix operands: a slice, a shape and strides, checked against each other once so that the
//! kernels can use pointers.

use std::marker::PhantomData;

/// A read-only matrix with arbitrary strides, or a batch of such matrices that all have one shape.
///
/// A transpose is a matrix with its strides swapped, a broadcast one with a stride of zero; neither
/// copies anything. The batch has two axes because that is what attention needs (batch and head, of
/// which either can lie between the rows in memory); matrices are numbered with the second axis
/// running fastest.
pub(crate) struct MatRef<'a, T> {
    pub(super) ptr: *const T,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: isize,
    pub(super) col_stride: isize,
    pub(super) batch: [usize; 2],
    batch_strides: [isize; 2],
    _data: PhantomData<&'a [T]>,
}

impl<T> Clone for MatRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MatRef<'_, T> {}

// SAFETY: a view is a shared borrow of a slice in all but its representation.
unsafe impl<T: Sync> Send for MatRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MatRef<'_, T> {}

impl<'a, T> MatRef<'a, T> {
    /// Views `data`, whose element `offset + i * row_stride + j * col_stride` is the matrix's
    /// element `(i, j)`.
    ///
    /// # Panics
    ///
    /// If any element lies outside `data`.
    pub(crate) fn new(
        data: &'a [T],
        offset: usize,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [isize; 2],
    ) -> Self {
        Self::batched(data, offset, [1, 1], [0, 0], [rows, cols], [row_stride, col_stride])
    }

    /// Views a contiguous row-major matrix.
    #[cfg(test)]
    pub(crate) fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::new(data, 0, [rows, cols], [cols as isize, 1])
    }

    /// Views `batch[0] * batch[1]` matrices, whose first elements lie `batch_strides` apart.
    ///
    /// # Panics
    ///
    /// If any element lies outside `data`.
    pub(crate) fn batched(
        data: &'a [T],
        offset: usize,
        batch: [usize; 2],
        batch_strides: [isize; 2],
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [isize; 2],
    ) -> Self {
        check_extent(
            data.len(),
            offset,
            [(batch[0], batch_strides[0]), (batch[1], batch_strides[1]), (rows, row_stride), (cols, col_stride)],
        );
        Self {
            ptr: data.as_ptr().wrapping_add(offset),
            rows,
            cols,
            // An axis of length one is contiguous whatever its stride says; stating that here keeps
            // such operands on the fast paths.
            row_stride: if rows <= 1 { 1 } else { row_stride },
            col_stride: if cols <= 1 { 1 } else { col_stride },
            batch,
            batch_strides,
            _data: PhantomData,
        }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// The number of matrices.
    pub(super) fn count(&self) -> usize {
        self.batch[0] * self.batch[1]
    }

    /// The address of element `(i, j)` of matrix `index`, in bounds if the indices are.
    pub(super) fn at(&self, index: usize, i: usize, j: usize) -> *const T {
        let (b0, b1) = if self.batch[0] == 1 { (0, index) } else { (index / self.batch[1], index % self.batch[1]) };
        self.ptr.wrapping_offset(
            b0 as isize * self.batch_strides[0]
                + b1 as isize * self.batch_strides[1]
                + i as isize * self.row_stride
                + j as isize * self.col_stride,
        )
    }

    /// Views a batch whose matrices continue one another row by row as one tall matrix.
    pub(super) fn stacked(self) -> Option<Self> {
        let continues = |outer: isize, inner: isize, n: usize| outer == inner * n as isize;
        let [b0, b1] = self.batch;
        let fits = self.rows > 1
            && (b1 == 1 || continues(self.batch_strides[1], self.row_stride, self.rows))
            && (b0 == 1 || continues(self.batch_strides[0], self.row_stride, self.rows * b1));
        fits.then(|| Self { rows: self.rows * self.count(), batch: [1, 1], ..self })
    }

    /// Whether all matrices of the batch are one and the same.
    pub(super) fn is_shared(&self) -> bool {
        (0..2).all(|i| self.batch[i] == 1 || self.batch_strides[i] == 0)
    }

    /// The first matrix alone.
    pub(super) fn first(self) -> Self {
        Self { batch: [1, 1], ..self }
    }
}

/// A writable row-major matrix whose rows may lie apart, or a batch of such matrices.
pub(crate) struct MatMut<'a, T> {
    pub(super) ptr: *mut T,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) batch: usize,
    batch_stride: usize,
    _data: PhantomData<&'a mut [T]>,
}

// SAFETY: a view is an exclusive borrow of a slice in all but its representation.
unsafe impl<T: Send> Send for MatMut<'_, T> {}
// SAFETY: threads that share a view can only get at raw pointers; the driver gives each of them
// other rows or columns.
unsafe impl<T: Send> Sync for MatMut<'_, T> {}

impl<'a, T> MatMut<'a, T> {
    /// Views `data`, whose element `offset + i * row_stride + j` is the matrix's element `(i, j)`.
    ///
    /// # Panics
    ///
    /// If any element lies outside `data` or rows overlap.
    pub(crate) fn new(data: &'a mut [T], offset: usize, [rows, cols]: [usize; 2], row_stride: usize) -> Self {
        Self::batched(data, offset, 1, 0, [rows, cols], row_stride)
    }

    /// Views a contiguous row-major matrix.
    #[cfg(test)]
    pub(crate) fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::new(data, 0, [rows, cols], cols)
    }

    /// Views `batch` matrices whose first elements lie `batch_stride` apart.
    ///
    /// # Panics
    ///
    /// If any element lies outside `data` or belongs to two rows. The matrices may follow one
    /// another or alternate row by row.
    pub(crate) fn batched(
        data: &'a mut [T],
        offset: usize,
        batch: usize,
        batch_stride: usize,
        [rows, cols]: [usize; 2],
        row_stride: usize,
    ) -> Self {
        let signed = |x: usize| isize::try_from(x).expect("gemm: stride too large");
        check_extent(
            data.len(),
            offset,
            [(batch, signed(batch_stride)), (rows, signed(row_stride)), (cols, 1), (1, 0)],
        );
        // Distinct if each axis steps over everything that the finer ones cover.
        let covers = |stride: usize, n: usize, finer: usize| n <= 1 || stride >= finer;
        let span = |stride: usize, n: usize, finer: usize| {
            if n <= 1 { finer } else { stride * (n - 1) + finer }
        };
        let sequential = covers(row_stride, rows, cols) && covers(batch_stride, batch, span(row_stride, rows, cols));
        let alternating =
            covers(batch_stride, batch, cols) && covers(row_stride, rows, span(batch_stride, batch, cols));
        assert!(batch * rows * cols == 0 || sequential || alternating, "gemm: rows of the output overlap");
        Self {
            ptr: data.as_mut_ptr().wrapping_add(offset),
            rows,
            cols,
            row_stride,
            batch,
            batch_stride,
            _data: PhantomData,
        }
    }

    /// The address of element `(i, j)` of matrix `index`, in bounds if the indices are.
    pub(super) fn at(&self, index: usize, i: usize, j: usize) -> *mut T {
        self.ptr.wrapping_add(index * self.batch_stride + i * self.row_stride + j)
    }

    /// Whether the matrices continue one another row by row, as one tall matrix.
    pub(super) fn is_stacked(&self) -> bool {
        self.rows > 1 && self.batch_stride == self.rows * self.row_stride
    }

    /// All matrices as one tall one; only if [`is_stacked`](Self::is_stacked).
    pub(super) fn stacked(self) -> Self {
        debug_assert!(self.is_stacked());
        Self { rows: self.rows * self.batch, batch: 1, ..self }
    }
}

/// Panics unless every index `offset + sum(i * stride)` with `i < n` per axis is below `len`.
fn check_extent(len: usize, offset: usize, axes: [(usize, isize); 4]) {
    if axes.iter().any(|&(n, _)| n == 0) {
        return;
    }
    let overflow = "gemm: strides out of range";
    let (mut low, mut high) = (isize::try_from(offset).expect(overflow), 0_isize);
    for (n, stride) in axes {
        let reach = isize::try_from(n - 1).ok().and_then(|n| n.checked_mul(stride)).expect(overflow);
        let bound = if reach < 0 { &mut low } else { &mut high };
        *bound = bound.checked_add(reach).expect(overflow);
    }
    let high = high.checked_add_unsigned(offset).expect(overflow);
    assert!(low >= 0 && high.cast_unsigned() < len, "gemm: elements {low}..={high} of a slice of {len}");
}
