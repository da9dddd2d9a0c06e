//! Which elements of an axis a sliding window meets.

use crate::primitive::WindowDims;

/// The elements of one axis that a window touches at one of its places: element `w + t * window_step`
/// of the window lies on element `i + t * input_step` of the axis, for `t` from 0 to `count - 1`.
/// All others lie on padding, or on holes between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// The first element of the window that lies on an element of the axis.
    pub w: usize,
    /// That element of the axis.
    pub i: usize,
    /// How many do.
    pub count: usize,
}

/// The taps of every place of a window along an axis.
#[derive(Clone, Debug)]
pub(super) struct AxisTaps {
    /// One for each place.
    pub taps: Vec<Tap>,
    /// The distance of the window's elements that do not lie on holes.
    pub window_step: usize,
    /// The distance of the elements of the axis that they lie on.
    pub input_step: usize,
}

/// One axis of a window's geometry: element `w` of the window at place `o` is at
/// `o * stride + w * window_dilation - low` among elements that are `base_dilation` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The axis's size.
    pub input: usize,
    /// The window's size.
    pub window: usize,
    /// The number of its places.
    pub output: usize,
    pub stride: usize,
    pub low: i64,
    pub base_dilation: usize,
    pub window_dilation: usize,
}

impl Axis {
    /// Axis `axis` of a window.
    pub fn of(window: &WindowDims, axis: usize, input: usize, output: usize) -> Self {
        Axis {
            input,
            window: window.size[axis],
            output,
            stride: window.strides[axis],
            low: window.padding[axis].0,
            base_dilation: window.base_dilation[axis],
            window_dilation: window.window_dilation[axis],
        }
    }

    /// Whether each place's window is just the element at that place.
    pub fn is_identity(&self) -> bool {
        (self.window, self.stride, self.low, self.base_dilation) == (1, 1, 0, 1) && self.input == self.output
    }

    /// The same geometry with places and elements of the window exchanged: which places meet the axis
    /// with one element of the window.
    pub fn exchanged(&self) -> Self {
        Axis {
            window: self.output,
            output: self.window,
            stride: self.window_dilation,
            window_dilation: self.stride,
            ..*self
        }
    }

    /// The element of the axis that element `w` of the window lies on at a place.
    #[inline]
    pub fn element(&self, place: usize, w: usize) -> Option<usize> {
        let at = (place * self.stride + w * self.window_dilation) as i64 - self.low;
        let i = if self.base_dilation == 1 {
            at
        } else if at % self.base_dilation as i64 == 0 {
            at / self.base_dilation as i64
        } else {
            return None;
        };
        // Negative ones are large as unsigned numbers.
        ((i as usize) < self.input).then_some(i as usize)
    }

    /// The taps of each place.
    pub fn taps(&self) -> AxisTaps {
        let common = gcd(self.window_dilation, self.base_dilation);
        let (window_step, input_step) = (self.base_dilation / common, self.window_dilation / common);
        AxisTaps {
            taps: (0..self.output).map(|place| self.tap(place, window_step, input_step)).collect(),
            window_step,
            input_step,
        }
    }

    fn tap(&self, place: usize, window_step: usize, input_step: usize) -> Tap {
        let none = Tap { w: 0, i: 0, count: 0 };
        let dilation = self.base_dilation as i64;
        let at = |w: usize| place as i64 * self.stride as i64 + w as i64 * self.window_dilation as i64 - self.low;
        // Among so many neighbours, at most one lies on an element rather than a hole.
        let Some(w) = (0..window_step).find(|&w| at(w) % dilation == 0) else { return none };
        let i = at(w) / dilation;
        // Skip those that lie before the first element.
        let skipped = ((-i).max(0) as usize).div_ceil(input_step);
        let (w, i) = (w + skipped * window_step, (i + (skipped * input_step) as i64) as usize);
        if w >= self.window || i >= self.input {
            return none;
        }
        let count = (self.window - w).div_ceil(window_step).min((self.input - i).div_ceil(input_step));
        Tap { w, i, count }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::super::testing_window::Numbers;
    use super::*;

    #[test]
    fn taps_are_what_is_not_padding() {
        let mut numbers = Numbers::new(1);
        for _ in 0..5000 {
            let axis = Axis {
                input: numbers.within(0, 6) as usize,
                window: numbers.within(1, 5) as usize,
                output: numbers.within(0, 6) as usize,
                stride: numbers.within(1, 4) as usize,
                low: numbers.within(-3, 6),
                base_dilation: numbers.within(1, 6) as usize,
                window_dilation: numbers.within(1, 6) as usize,
            };
            let taps = axis.taps();
            let exchanged = axis.exchanged().taps();
            let pairs = |taps: &AxisTaps, place: usize| -> Vec<(usize, usize)> {
                let tap = taps.taps[place];
                (0..tap.count).map(|t| (tap.w + t * taps.window_step, tap.i + t * taps.input_step)).collect()
            };
            let mut of_element = vec![vec![]; axis.window];
            for place in 0..axis.output {
                let mut expected = vec![];
                for (w, of_element) in of_element.iter_mut().enumerate() {
                    let at = (place * axis.stride + w * axis.window_dilation) as i64 - axis.low;
                    let i = at.div_euclid(axis.base_dilation as i64);
                    let meets = at.rem_euclid(axis.base_dilation as i64) == 0 && (0..axis.input as i64).contains(&i);
                    assert_eq!(axis.element(place, w), meets.then_some(i as usize), "{axis:?} at {place}, {w}");
                    if meets {
                        expected.push((w, i as usize));
                        of_element.push((place, i as usize));
                    }
                }
                assert_eq!(pairs(&taps, place), expected, "{axis:?} at {place}");
            }
            for (w, expected) in of_element.into_iter().enumerate() {
                assert_eq!(pairs(&exchanged, w), expected, "{axis:?} element {w}");
            }
        }
    }
}
