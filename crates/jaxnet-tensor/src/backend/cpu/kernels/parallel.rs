//! Splitting work among threads.
//!
//! What runs in parallel is behind `dyn` here: rayon's machinery is compiled once, not for every dtype
//! of every kernel, where it came to more code than the kernels. A call through a pointer is nothing
//! beside the work that is worth a thread.

/// From how many elements on a kernel that does little per element splits its work: below, waking
/// threads costs more than they save.
pub(super) const PARALLEL: usize = 1 << 16;

/// Runs both, side by side where a thread is free.
pub(super) fn join(left: &mut (dyn FnMut() + Send), right: &mut (dyn FnMut() + Send)) {
    rayon::join(left, right);
}

/// Runs both, side by side if so asked.
pub(super) fn join_if(parallel: bool, left: &mut (dyn FnMut() + Send), right: &mut (dyn FnMut() + Send)) {
    if parallel {
        join(left, right);
    } else {
        left();
        right();
    }
}

/// Calls `fill(start, part)` for parts of this size (the last may be smaller), side by side if there
/// are several.
pub(super) fn in_parts<T: Send>(out: &mut [T], size: usize, fill: &(dyn Fn(usize, &mut [T]) + Sync)) {
    from(0, out, size, fill);
}

fn from<T: Send>(start: usize, out: &mut [T], size: usize, fill: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if out.len() <= size {
        return fill(start, out);
    }
    let half = (out.len().div_ceil(size) / 2) * size;
    let (left, right) = out.split_at_mut(half);
    join(&mut || from(start, left, size, fill), &mut || from(start + half, right, size, fill));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for (len, size) in [(0, 3), (1, 3), (3, 3), (10, 3), (100, 7), (64, 1)] {
            let mut out = vec![0; len];
            in_parts(&mut out, size, &|start, part| {
                assert!(start % size == 0 && (part.len() == size || start + part.len() == len));
                for (i, x) in part.iter_mut().enumerate() {
                    *x += start + i + 1;
                }
            });
            assert!(out.into_iter().eq(1..=len), "{len} by {size}");
        }
    }
}
