//! Where draws come from: a list of choices, which proptest draws and shrinks.

use std::ops::RangeInclusive;

use jaxnet_tensor::{Dims, Shape};

/// Reads arbitrary decisions from a list of numbers.
///
/// Each decision takes one number, and a lesser number stands for a simpler decision, so that making
/// numbers smaller makes what is drawn simpler. After the end of the list all numbers are 0.
pub struct Source<'a> {
    choices: &'a [u32],
    next: usize,
    shapes: &'a [Shape],
}

impl<'a> Source<'a> {
    pub fn new(choices: &'a [u32]) -> Self {
        Source::with_shapes(choices, &[])
    }

    /// A source that prefers these shapes to others, so that operations fit what is there already.
    pub fn with_shapes(choices: &'a [u32], shapes: &'a [Shape]) -> Self {
        Source { choices, next: 0, shapes }
    }

    fn choice(&mut self) -> u32 {
        let choice = self.choices.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        choice
    }

    /// A number less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.choice()) * end as u64) >> 32) as usize
    }

    /// From `low` to `high`, both included; 0 is the simplest if it is among them, otherwise `low`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let drawn = self.below((high - low + 1) as usize) as i64;
        if low < 0 && high >= 0 {
            // 0, 1, …, high, -1, -2, …, low
            return if drawn <= high { drawn } else { high - drawn };
        }
        low + drawn
    }

    /// As [`between`](Self::between), for sizes.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.between(low as i64, high as i64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn coin(&mut self) -> bool {
        self.once_in(2)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The size of an axis: odd and even ones, sometimes 1, seldom 0.
    pub fn axis(&mut self) -> usize {
        self.pick(&[1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 7, 0])
    }

    /// A shape whose rank is in this range, of not too many elements.
    pub fn shape(&mut self, ranks: RangeInclusive<usize>) -> Shape {
        let fitting: Vec<&Shape> = self.shapes.iter().filter(|shape| ranks.contains(&shape.rank())).collect();
        if !fitting.is_empty() && !self.once_in(4) {
            return fitting[self.below(fitting.len())].clone();
        }
        let (low, high) = (*ranks.start(), *ranks.end());
        let rank = low + self.pick(&[0, 1, 1, 1, 2, 2, 2, 3]).min(high - low);
        let mut dims: Vec<usize> = (0..rank).map(|_| self.axis()).collect();
        while dims.iter().product::<usize>() > 72 {
            let largest = (0..rank).max_by_key(|&axis| dims[axis]).expect("more than one element");
            dims[largest] -= 1;
        }
        dims.into()
    }

    pub fn permutation(&mut self, rank: usize) -> Dims {
        let mut axes: Dims = (0..rank).collect();
        for i in 0..rank {
            let other = i + self.below(rank - i);
            axes.swap(i, other);
        }
        axes
    }

    /// Some of the numbers below `end`, in order.
    pub fn subset(&mut self, end: usize) -> Dims {
        (0..end).filter(|_| self.coin()).collect()
    }

    /// `count` of the numbers below `end`, in order.
    pub fn subset_of(&mut self, end: usize, count: usize) -> Dims {
        let mut chosen: Dims = self.permutation(end)[..count].into();
        chosen.sort_unstable();
        chosen
    }

    /// `count` sizes from `low` to `high`.
    pub fn sizes(&mut self, count: usize, low: usize, high: usize) -> Dims {
        (0..count).map(|_| self.size(low, high)).collect()
    }
}
