//! Where the values of operands are drawn from.

use jaxnet_tensor::{Aval, DType, Tensor};

/// From which values an operand's elements are drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Numbers in a range.
    Range(f64, f64),
    /// Numbers of either sign (where the dtype has one) whose absolute value is in a range.
    Nonzero(f64, f64),
    /// An integer plus something from 0.1 to 0.4: away from integers and from halves.
    Fraction,
    /// Numbers in (-1, 1) that are apart from each other and, up to `of` operands with one number of
    /// `cells`, from those of other parts: where small changes alter no order.
    Distinct { part: usize, of: usize, cells: usize },
    /// Integers in a range, both ends included, in any numeric dtype.
    Integers(i64, i64),
    /// Matrices in the last two axes that are far from singular, whose eigenvalues, if they are symmetric, and singular
    /// values are apart: of either sign or positive definite, with rows in any order or not.
    Matrices { definite: bool, shuffled: bool },
    /// Any bits at all for integers and booleans; for floats as `Range(-2.0, 2.0)`.
    Bits,
}

/// The domain for operands that may be anything: such that derivatives are of moderate size.
pub fn any(dtype: DType) -> Domain {
    match dtype {
        DType::Bool => Domain::Bits,
        _ if dtype.is_integer() => Domain::Integers(-9, 9),
        _ => Domain::Range(-2.0, 2.0),
    }
}

/// `domain` for floats, any value for other dtypes.
pub fn for_floats(dtype: DType, domain: Domain) -> Domain {
    if dtype.is_float() { domain } else { any(dtype) }
}

/// Arbitrary numbers, the same for the same seed (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub fn coin(&mut self) -> bool {
        self.bits() & 1 == 1
    }
}

/// Elements as what they are converted from: every dtype's are exactly among one of these.
enum Elements {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl Domain {
    /// A tensor of such elements.
    pub fn draw(&self, aval: &Aval, numbers: &mut Numbers) -> Tensor {
        let size = aval.size();
        let elements = match self {
            Domain::Distinct { part, of, cells } => Elements::Floats(distinct(*part, *of, *cells, size, numbers)),
            Domain::Matrices { definite, shuffled } => {
                Elements::Floats(matrices(*definite, *shuffled, &aval.shape, numbers))
            }
            _ if aval.dtype == DType::Bool => Elements::Integers((0..size).map(|_| numbers.coin() as i64).collect()),
            _ if aval.dtype.is_integer() => {
                Elements::Integers((0..size).map(|_| self.integer(aval.dtype, numbers)).collect())
            }
            _ => Elements::Floats((0..size).map(|_| self.float(numbers)).collect()),
        };
        tensor(elements, aval)
    }

    /// A tensor in which about half of the elements are what operations treat in a special way: NaN,
    /// infinities, zeros of both signs, the least and the greatest numbers, numbers of any magnitude.
    pub fn draw_special(&self, aval: &Aval, numbers: &mut Numbers) -> Tensor {
        let size = aval.size();
        let elements = if aval.dtype == DType::Bool {
            Elements::Integers((0..size).map(|_| numbers.coin() as i64).collect())
        } else if aval.dtype.is_integer() {
            let (least, greatest) = bounds(aval.dtype);
            let mut one = || match numbers.below(8) {
                0 => least,
                1 => greatest,
                2 => 0,
                3 => 1,
                4 => -1,
                5 => numbers.bits() as i64,
                _ => self.integer(aval.dtype, numbers),
            };
            Elements::Integers((0..size).map(|_| one()).collect())
        } else {
            let (greatest, least_normal, least) = extremes(aval.dtype);
            let mut magnitude = || match numbers.below(13) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 | 12 => 0.0,
                3 => 1.0,
                4 => greatest,
                5 => [least_normal, least, 0.5, 0.75 * least_normal][numbers.below(4)],
                6 | 7 => (numbers.unit() * 40.0 - 20.0).exp2(),
                _ => self.float(numbers),
            };
            let elements: Vec<f64> = (0..size).map(|_| magnitude()).collect();
            Elements::Floats(elements.into_iter().map(|x| if numbers.coin() { x } else { -x }).collect())
        };
        tensor(elements, aval)
    }

    fn integer(&self, dtype: DType, numbers: &mut Numbers) -> i64 {
        let (low, high) = match *self {
            Domain::Bits => return numbers.bits() as i64,
            Domain::Integers(low, high) => (low, high),
            Domain::Range(low, high) => (low.ceil() as i64, high.floor() as i64),
            Domain::Nonzero(..) => (1, 9),
            Domain::Fraction | Domain::Distinct { .. } | Domain::Matrices { .. } => (-9, 9),
        };
        // Unsigned ones have no numbers below 0.
        let low = if dtype.is_signed_integer() { low } else { low.max(0) };
        low + numbers.below((high - low + 1) as usize) as i64
    }

    fn float(&self, numbers: &mut Numbers) -> f64 {
        match *self {
            Domain::Range(low, high) => low + (high - low) * numbers.unit(),
            Domain::Nonzero(low, high) => {
                let x = low + (high - low) * numbers.unit();
                if numbers.coin() { x } else { -x }
            }
            Domain::Fraction => numbers.below(7) as f64 - 3.0 + 0.1 + 0.3 * numbers.unit(),
            Domain::Integers(low, high) => low as f64 + numbers.below((high - low + 1) as usize) as f64,
            Domain::Bits | Domain::Distinct { .. } | Domain::Matrices { .. } => 4.0 * numbers.unit() - 2.0,
        }
    }
}

fn distinct(part: usize, of: usize, cells: usize, size: usize, numbers: &mut Numbers) -> Vec<f64> {
    assert!(size <= cells, "{size} elements do not fit {cells} cells");
    let mut cells: Vec<usize> = (0..cells).collect();
    for i in (1..cells.len()).rev() {
        cells.swap(i, numbers.below(i + 1));
    }
    let all = (of * cells.len()) as f64;
    cells[..size].iter().map(|&cell| ((of * cell + part) as f64 + 0.75) / all * 2.0 - 1.0).collect()
}

/// Diagonals of 1, 1.8, 2.6 … with a little of everything else.
fn matrices(definite: bool, shuffled: bool, shape: &[usize], numbers: &mut Numbers) -> Vec<f64> {
    let [batch @ .., m, n] = shape else { panic!("matrices have two axes") };
    let mut elements = Vec::new();
    for _ in 0..batch.iter().product() {
        let mut rows: Vec<Vec<f64>> = (0..*m)
            .map(|i| {
                let mut row: Vec<f64> = (0..*n).map(|_| 0.3 * numbers.unit() - 0.15).collect();
                if let Some(diagonal) = row.get_mut(i) {
                    let sign = if !definite && i % 2 == 1 { -1.0 } else { 1.0 };
                    *diagonal += sign * (1.0 + 0.8 * i as f64);
                }
                row
            })
            .collect();
        for i in (1..*m).rev().filter(|_| shuffled) {
            rows.swap(i, numbers.below(i + 1));
        }
        elements.extend(rows.into_iter().flatten());
    }
    elements
}

fn tensor(elements: Elements, aval: &Aval) -> Tensor {
    let tensor = match elements {
        Elements::Floats(elements) => Tensor::from_slice(&elements, &aval.shape),
        Elements::Integers(elements) => Tensor::from_slice(&elements, &aval.shape),
    };
    tensor.expect("as many elements as the shape has").astype(aval.dtype)
}

fn bounds(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::U8 => (0, i64::from(u8::MAX)),
        DType::U32 => (0, i64::from(u32::MAX)),
        DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// The greatest number, the least normal one and the least one.
fn extremes(dtype: DType) -> (f64, f64, f64) {
    match dtype {
        DType::F16 => (65504.0, 2_f64.powi(-14), 2_f64.powi(-24)),
        DType::BF16 => (2_f64.powi(128) - 2_f64.powi(120), 2_f64.powi(-126), 2_f64.powi(-133)),
        DType::F32 => (f64::from(f32::MAX), 2_f64.powi(-126), 2_f64.powi(-149)),
        _ => (f64::MAX, f64::MIN_POSITIVE, 5e-324),
    }
}
