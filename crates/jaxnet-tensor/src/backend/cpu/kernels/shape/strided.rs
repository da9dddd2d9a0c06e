//! The copy that broadcasting, transposing, slicing and reversing are cases of: dense elements from
//! strided ones.

use smallvec::SmallVec;

use super::super::parallel::{PARALLEL, join};

/// An axis of the result: how many elements it has, and how far apart they are in the operand.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    size: usize,
    stride: isize,
}

type Axes = SmallVec<[Axis; 6]>;

/// Fills `dst`, a dense array of this shape, with the elements of `src` that start at `offset` and are
/// `strides` apart (0 to repeat, negative to go backwards).
///
/// # Panics
///
/// If that reaches outside of `src`, or `dst` does not have as many elements as the shape.
pub(in super::super) fn copy<W: Copy + Send + Sync>(
    src: &[W],
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    dst: &mut [W],
) {
    assert_eq!(dst.len(), shape.iter().product::<usize>());
    if dst.is_empty() {
        return;
    }
    let axes = collapse(shape, strides);
    let grain = if dst.len() < PARALLEL {
        dst.len()
    } else {
        // A few parts for each thread even out their speed; large parts make for fewer page changes.
        (dst.len() / (4 * rayon::current_num_threads())).max(PARALLEL / 2)
    };
    divide(src, offset as isize, &axes, dst, grain);
}

/// The fewest axes that give the same elements in the same order.
fn collapse(shape: &[usize], strides: &[isize]) -> Axes {
    let mut axes = Axes::new();
    for (&size, &stride) in shape.iter().zip(strides) {
        match axes.last_mut() {
            _ if size == 1 => {}
            Some(last) if last.stride == stride * size as isize => *last = Axis { size: last.size * size, stride },
            _ => axes.push(Axis { size, stride }),
        }
    }
    axes
}

/// Halves the work until a part is no larger than `grain`.
fn divide<W: Copy + Send + Sync>(src: &[W], offset: isize, axes: &[Axis], dst: &mut [W], grain: usize) {
    let [first, rest @ ..] = axes else { return block(src, offset, axes, dst) };
    if dst.len() <= grain {
        return block(src, offset, axes, dst);
    }
    if first.size == 1 {
        return divide(src, offset, rest, dst, grain);
    }
    // Whole tiles, where there are some.
    let half = (first.size / 2).next_multiple_of(TILE);
    let half = if half < first.size { half } else { first.size / 2 };
    let (left, right) = dst.split_at_mut(dst.len() / first.size * half);
    let part = |size| -> Axes { std::iter::once(Axis { size, ..*first }).chain(rest.iter().copied()).collect() };
    join(&mut || divide(src, offset, &part(half), left, grain), &mut || {
        divide(src, offset + half as isize * first.stride, &part(first.size - half), right, grain)
    });
}

/// One thread's part.
fn block<W: Copy>(src: &[W], offset: isize, axes: &[Axis], dst: &mut [W]) {
    match axes {
        [] => dst[0] = src[offset as usize],
        [axis] => run(src, offset, axis.stride, dst),
        [rows, inner] if inner.stride == 1 && rows.stride >= inner.size as isize => {
            copy_rows(&src[offset as usize..], rows.stride as usize, inner.size, dst);
        }
        [rows, between @ .., columns] if rows.stride == 1 && !matches!(columns.stride, 0 | 1) => {
            let row_step = dst.len() / rows.size;
            transpose_between(src, offset, *rows, between, *columns, dst, row_step);
        }
        [first, rest @ ..] => {
            let step = dst.len() / first.size;
            for (i, part) in dst.chunks_exact_mut(step).enumerate() {
                block(src, offset + i as isize * first.stride, rest, part);
            }
        }
    }
}

/// Elements at one distance.
fn run<W: Copy>(src: &[W], offset: isize, stride: isize, dst: &mut [W]) {
    let at = offset as usize;
    match stride {
        0 => dst.fill(src[at]),
        1 => dst.copy_from_slice(&src[at..at + dst.len()]),
        2.. => {
            let last = at + (dst.len() - 1) * stride as usize;
            for (to, from) in dst.iter_mut().zip(src[at..=last].iter().step_by(stride as usize)) {
                *to = *from;
            }
        }
        _ => {
            let last = at - (dst.len() - 1) * stride.unsigned_abs();
            for (to, from) in dst.iter_mut().zip(src[last..=at].iter().rev().step_by(stride.unsigned_abs())) {
                *to = *from;
            }
        }
    }
}

/// Rows of `width` neighbours, `stride` apart.
fn copy_rows<W: Copy>(src: &[W], stride: usize, width: usize, dst: &mut [W]) {
    let rows = dst.len() / width;
    let src = &src[..(rows - 1) * stride + width];
    for (to, from) in dst.chunks_exact_mut(width).zip(src.chunks(stride)) {
        copy_run(to, &from[..width]);
    }
}

/// Copies neighbours, without a call to `memcpy` where there are a few only.
#[inline(always)]
pub(in super::super) fn copy_run<W: Copy>(to: &mut [W], from: &[W]) {
    #[inline(always)]
    fn few<W: Copy, const N: usize>(to: &mut [W], from: &[W]) {
        let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) else {
            unreachable!("runs of {N}")
        };
        *to = *from;
    }
    assert_eq!(to.len(), from.len());
    match to.len() {
        1 => few::<W, 1>(to, from),
        2 => few::<W, 2>(to, from),
        3 => few::<W, 3>(to, from),
        4 => few::<W, 4>(to, from),
        8 => few::<W, 8>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// The side of the squares that are transposed at once. Sixteen f32 are a cache line: each line that
/// is touched is used whole, once, even where rows are so far apart that they share cache sets.
const TILE: usize = 16;

/// Transposes for each index of the axes between the rows and the columns of the result.
fn transpose_between<W: Copy>(
    src: &[W],
    offset: isize,
    rows: Axis,
    between: &[Axis],
    columns: Axis,
    dst: &mut [W],
    row_step: usize,
) {
    let [first, rest @ ..] = between else {
        return transpose(src, offset, rows.size, columns, dst, row_step);
    };
    let step = rest.iter().map(|axis| axis.size).product::<usize>() * columns.size;
    for i in 0..first.size {
        let offset = offset + i as isize * first.stride;
        transpose_between(src, offset, rows, rest, columns, &mut dst[i * step..], row_step);
    }
}

/// `dst[row * row_step + column] = src[offset + row + column * columns.stride]`.
fn transpose<W: Copy>(src: &[W], offset: isize, rows: usize, columns: Axis, dst: &mut [W], row_step: usize) {
    let start = |row: usize, column: usize| (offset + row as isize + column as isize * columns.stride) as usize;
    // Few rows make for long strips. Otherwise blocks of tiles: every column of the operand and every
    // row of the result may be in a page of its own, and a block's pages are used for many tiles.
    let (block, tile) = if rows < TILE { (256, 256) } else { (16 * TILE, TILE) };
    for block_row in (0..rows).step_by(block) {
        for block_column in (0..columns.size).step_by(block) {
            for row in (block_row..rows.min(block_row + block)).step_by(TILE) {
                for column in (block_column..columns.size.min(block_column + block)).step_by(tile) {
                    let (height, width) = ((rows - row).min(TILE), (columns.size - column).min(tile));
                    let to = &mut dst[row * row_step + column..];
                    if height == TILE && width == TILE {
                        let lines: [&[W; TILE]; TILE] = std::array::from_fn(|i| {
                            src[start(row, column + i)..].first_chunk().expect("a line of the operand")
                        });
                        transpose_tile(lines, to, row_step);
                        continue;
                    }
                    for i in 0..height {
                        let to = &mut to[i * row_step..][..width];
                        run(src, start(row + i, column) as isize, columns.stride, to);
                    }
                }
            }
        }
    }
}

/// A square in the registers or the stack's cache lines: all of it is read before any is written.
#[inline(always)]
fn transpose_tile<W: Copy>(lines: [&[W; TILE]; TILE], to: &mut [W], row_step: usize) {
    let tile: [[W; TILE]; TILE] = lines.map(|line| *line);
    for i in 0..TILE {
        let row: &mut [W; TILE] = to[i * row_step..].first_chunk_mut().expect("a line of the result");
        *row = std::array::from_fn(|j| tile[j][i]);
    }
}
