//! The order in which sliding windows are visited.

use smallvec::SmallVec;

use crate::backend::cpu::kernels::taps::{Axis, AxisTaps};
use crate::primitive::WindowDims;
use crate::shape::Shape;

/// Windows over an array, visited in rows.
///
/// Trailing axes along which the windows do not extend (the channels of images in NHWC layout) make
/// up the runs of neighbouring elements that the inner loops are over. The axis before them makes up a
/// row together with them; the axes before that are the outer ones.
pub(super) struct Sliding {
    outer: Vec<Outer>,
    last: AxisTaps,
    run: usize,
    batch: usize,
    window_size: usize,
}

struct Outer {
    taps: AxisTaps,
    /// The distance of neighbours along the axis in the input.
    stride: usize,
}

/// The elements of an outer axis that a row of windows meets, as places in the input.
struct Steps {
    first: usize,
    step: usize,
    count: usize,
}

impl Sliding {
    /// The windows over an array of this shape that give a result of that shape.
    pub fn new(window: &WindowDims, input: &Shape, output: &Shape) -> Self {
        let axes: Vec<Axis> =
            (0..window.rank()).map(|axis| Axis::of(window, axis, input[axis], output[axis])).collect();
        let identities = axes.iter().rev().take_while(|axis| axis.is_identity()).count();
        let (outer, channels) = axes.split_at(axes.len() - identities);
        let run = channels.iter().map(|axis| axis.output).product();
        let one = Axis { input: 1, window: 1, output: 1, stride: 1, low: 0, base_dilation: 1, window_dilation: 1 };
        let (last, outer) = match outer.split_last() {
            // Few long rows: their parts are rows of their own, so that threads can share them out.
            Some((_, before)) if run >= 64 && before.iter().map(|axis| axis.output).product::<usize>() < 16 => {
                (&one, outer)
            }
            Some(split) => split,
            None => (&one, outer),
        };
        let strides = input.strides();
        let outer_taps = outer.iter().enumerate().map(|(i, axis)| Outer { taps: axis.taps(), stride: strides[i] });
        Sliding {
            outer: outer_taps.collect(),
            last: last.taps(),
            run,
            batch: outer.iter().take_while(|axis| axis.is_identity()).map(|axis| axis.output).product(),
            window_size: window.size.iter().product(),
        }
    }

    /// How many leading parts of the result have windows that do not overlap with each other's.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The number of elements in a window.
    pub fn window_size(&self) -> usize {
        self.window_size
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.outer.iter().map(|axis| axis.taps.taps.len()).product()
    }

    /// The number of results in a row, which are neighbours.
    pub fn row_length(&self) -> usize {
        self.last.taps.len() * self.run
    }

    /// Calls `f` for every element of every window of a row that is not padding, with the result's
    /// place in the row, the element's place in the input, and for how many neighbours of both this
    /// holds. Each result's elements come in their order in the window.
    #[inline(always)]
    pub fn for_each_run(&self, row: usize, mut f: impl FnMut(usize, usize, usize)) {
        let mut outer: SmallVec<[Steps; 6]> = SmallVec::new();
        let mut rest = row;
        for axis in self.outer.iter().rev() {
            let tap = axis.taps.taps[rest % axis.taps.taps.len()];
            rest /= axis.taps.taps.len();
            if tap.count == 0 {
                return;
            }
            outer.push(Steps {
                first: tap.i * axis.stride,
                step: axis.taps.input_step * axis.stride,
                count: tap.count,
            });
        }
        outer.reverse();
        let mut base: usize = outer.iter().map(|steps| steps.first).sum();
        let mut counters: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
        loop {
            for (place, tap) in self.last.taps.iter().enumerate() {
                for t in 0..tap.count {
                    let i = tap.i + t * self.last.input_step;
                    f(place * self.run, base + i * self.run, self.run);
                }
            }
            // The next combination of the outer axes' elements, as an odometer counts.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let steps = &outer[axis];
                counters[axis] += 1;
                base += steps.step;
                if counters[axis] < steps.count {
                    break;
                }
                base -= steps.step * steps.count;
                counters[axis] = 0;
            }
        }
    }
}
