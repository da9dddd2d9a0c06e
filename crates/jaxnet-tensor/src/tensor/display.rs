//! Tensors as text, the text that numpy prints.

#[cfg(test)]
mod tests;

use std::fmt;

use super::Tensor;
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::shape::Shape;

/// From more elements than this on only the corners are printed.
const THRESHOLD: usize = 1000;
/// How many elements at each end of an axis a corner has.
const EDGE: usize = 3;
/// How many columns a line has.
const COLUMNS: usize = 75;
/// How many digits there are at most after the point.
const PRECISION: usize = 8;

/// As numpy prints arrays: as many digits as tell the elements of the dtype apart, but at most 8 after
/// the point, in columns, in lines of at most 75 characters; of more than 1000 elements the corners.
/// Scalars have all their digits, or take a width and a precision as Rust's numbers do. Traced tensors
/// show as they do for [`Debug`](fmt::Debug).
///
/// ```
/// use jaxnet_tensor::{Tensor, tensor};
/// assert_eq!(format!("{:.2}", Tensor::from(1.0) / 3.0), "0.33");
/// assert_eq!(tensor![[1.0, -0.5], [10.0, 0.25]].to_string(), "[[ 1.   -0.5 ]\n [10.    0.25]]");
/// ```
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_traced() {
            return fmt::Debug::fmt(self, f);
        }
        match Elements::read(self) {
            // As a number of Rust, where a precision is asked for.
            Ok(Elements::Float(_, x)) if self.rank() == 0 && f.precision().is_some() => fmt::Display::fmt(&x[0], f),
            Ok(elements) if self.rank() == 0 => f.pad(&text(&elements, self.shape())),
            Ok(elements) => f.write_str(&text(&elements, self.shape())),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// The elements in a type that holds any of their kind.
enum Elements {
    Bool(Vec<bool>),
    Integer(Vec<i64>),
    Float(DType, Vec<f64>),
}

impl Elements {
    fn read(x: &Tensor) -> Result<Self> {
        Ok(match x.dtype() {
            DType::Bool => Elements::Bool(x.try_to_vec()?),
            dtype if dtype.is_float() => Elements::Float(dtype, x.to_f64_vec()?),
            dtype => Elements::Integer(
                crate::with_dtype!(dtype, T => x.try_to_vec::<T>()?.into_iter().map(T::to_i64).collect()),
            ),
        })
    }
}

fn text(elements: &Elements, shape: &Shape) -> String {
    if shape.rank() == 0 {
        return match elements {
            Elements::Bool(x) => x[0].to_string(),
            Elements::Integer(x) => x[0].to_string(),
            Elements::Float(dtype, x) => scalar(x[0], *dtype),
        };
    }
    if shape.size() == 0 {
        return "[]".to_string();
    }
    let summarize = shape.size() > THRESHOLD;
    let shown = shown(shape, summarize);
    let print = |word: &dyn Fn(usize) -> String| {
        let layout = Layout { shape, strides: &shape.strides(), summarize, word };
        layout.brackets(0, 0, " ", COLUMNS)
    };
    match elements {
        Elements::Bool(x) => print(&|i| format!("{:>5}", x[i])),
        Elements::Integer(x) => {
            let width = shown.iter().map(|&i| x[i].to_string().len()).max().unwrap_or(0);
            print(&|i| format!("{:>width$}", x[i]))
        }
        Elements::Float(dtype, x) => {
            let shown: Vec<f64> = shown.iter().map(|&i| x[i]).collect();
            let format = FloatFormat::new(&shown, *dtype);
            print(&|i| format.word(x[i]))
        }
    }
}

/// Which indices of an axis of this size are printed.
fn shown_along(size: usize, summarize: bool) -> impl Iterator<Item = usize> {
    let cut = summarize && size > 2 * EDGE;
    (0..size).filter(move |&i| !cut || i < EDGE || i >= size - EDGE)
}

/// The places in row-major order of the elements that are printed.
fn shown(shape: &Shape, summarize: bool) -> Vec<usize> {
    shape.iter().fold(vec![0], |places, &size| {
        places.iter().flat_map(|&place| shown_along(size, summarize).map(move |i| place * size + i)).collect()
    })
}

struct Layout<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    summarize: bool,
    /// The text of the element at a place in row-major order.
    word: &'a dyn Fn(usize) -> String,
}

impl Layout<'_> {
    /// The elements from `start` on along the axes from `axis` on, in brackets. Lines after the first
    /// begin with `indent`; none is to be longer than `width`, closing brackets included.
    fn brackets(&self, axis: usize, start: usize, indent: &str, width: usize) -> String {
        let (size, stride) = (self.shape[axis], self.strides[axis]);
        let dots_before = (self.summarize && size > 2 * EDGE).then(|| size - EDGE);
        let mut text = String::from("[");
        if axis + 1 == self.shape.len() {
            let mut line = indent.to_string();
            let mut written = String::new();
            let mut extend = |word: &str| {
                // A line with nothing on it is not broken: that would not help.
                if line.len() + word.len() > width - 1 && line.len() > indent.len() {
                    written.push_str(line.trim_end());
                    written.push('\n');
                    line = indent.to_string();
                }
                line.push_str(word);
                line.push(' ');
            };
            for i in shown_along(size, self.summarize) {
                if Some(i) == dots_before {
                    extend("...");
                }
                extend(&(self.word)(start + i * stride));
            }
            // The separator after the last element.
            line.pop();
            written.push_str(&line);
            text.push_str(&written[indent.len()..]);
        } else {
            let separator = "\n".repeat(self.shape.len() - axis - 1);
            let inner = format!("{indent} ");
            for i in shown_along(size, self.summarize) {
                if i > 0 {
                    text.push_str(&separator);
                    text.push_str(indent);
                }
                if Some(i) == dots_before {
                    text.push_str("...");
                    text.push_str(&separator);
                    text.push_str(indent);
                }
                text.push_str(&self.brackets(axis + 1, start + i * stride, &inner, width - 1));
            }
        }
        text.push(']');
        text
    }
}

/// How the numbers of one array are written: with points below each other.
struct FloatFormat {
    dtype: DType,
    scientific: bool,
    /// How many characters there are before the point.
    left: usize,
    /// How many there are after it; in scientific notation without the exponent.
    right: usize,
    /// How many digits exponents have, in scientific notation.
    exponent: usize,
}

impl FloatFormat {
    fn new(elements: &[f64], dtype: DType) -> Self {
        let finite: Vec<f64> = elements.iter().copied().filter(|x| x.is_finite()).collect();
        let mut format =
            FloatFormat { dtype, scientific: is_scientific(&finite, dtype), left: 0, right: 0, exponent: 0 };
        for &x in &finite {
            let sign = usize::from(x.is_sign_negative());
            if format.scientific {
                let (_, fraction, exponent) = scientific(x.abs(), dtype);
                format.left = format.left.max(1 + sign);
                format.right = format.right.max(fraction.len());
                format.exponent = format.exponent.max(exponent_digits(exponent).len());
            } else {
                let (whole, fraction) = positional(x.abs(), dtype, Some(PRECISION));
                format.left = format.left.max(whole.len() + sign);
                format.right = format.right.max(fraction.len());
            }
        }
        for x in elements.iter().filter(|x| !x.is_finite()) {
            let rest = format.width() - format.left;
            format.left = format.left.max(non_finite(*x).len().saturating_sub(rest));
        }
        format
    }

    fn width(&self) -> usize {
        self.left + 1 + self.right + if self.scientific { 2 + self.exponent } else { 0 }
    }

    fn word(&self, x: f64) -> String {
        let (left, right) = (self.left, self.right);
        if !x.is_finite() {
            return format!("{:>1$}", non_finite(x), self.width());
        }
        if self.scientific {
            // All have the same number of digits, even those that fewer would tell apart.
            let digits = format!("{x:.right$e}");
            let (mantissa, exponent) = digits.split_once('e').expect("scientific notation");
            let point = if right == 0 { "." } else { "" };
            let exponent: i32 = exponent.parse().expect("a number");
            let sign = if exponent < 0 { '-' } else { '+' };
            let width = left + 1 + right;
            let mantissa = format!("{mantissa}{point}");
            return format!("{mantissa:>width$}e{sign}{:0>1$}", exponent.abs(), self.exponent);
        }
        let sign = if x.is_sign_negative() { "-" } else { "" };
        let (whole, fraction) = positional(x.abs(), self.dtype, Some(PRECISION));
        format!("{:>left$}.{fraction:<right$}", format!("{sign}{whole}"))
    }
}

fn non_finite(x: f64) -> &'static str {
    match x {
        _ if x.is_nan() => "nan",
        f64::INFINITY => "inf",
        _ => "-inf",
    }
}

/// From where on the digits before the point are more than the dtype is sure to hold.
fn certain(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e16,
        DType::F32 => 1e6,
        _ => 1e3,
    }
}

/// Whether numbers are so large, so small or so far apart that fixed columns would not show them well.
fn is_scientific(finite: &[f64], dtype: DType) -> bool {
    let sizes = || finite.iter().map(|x| x.abs()).filter(|&x| x != 0.0);
    let (Some(max), Some(min)) = (sizes().reduce(f64::max), sizes().reduce(f64::min)) else { return false };
    let large = certain(dtype).min(1e8);
    // In the precision of the dtype: 700 is 1000 times 0.7 in f32 too.
    crate::with_dtype!(dtype, T => {
        let round = |x: f64| T::from_f64(x).to_f64();
        max >= large || min < round(0.0001) || round(max / min) > 1000.0
    })
}

/// The least number of digits that tells a positive number from others of the dtype, as `d.ddde-d`.
fn shortest(x: f64, dtype: DType) -> String {
    let rounded = |digits: usize| format!("{x:.digits$e}");
    let tells = |text: &String| match dtype {
        DType::F64 => text.parse() == Ok(x),
        DType::F32 => text.parse() == Ok(x as f32),
        _ => text.parse::<f64>().is_ok_and(|y| crate::with_dtype!(dtype, T => T::from_f64(y).to_f64() == x)),
    };
    let text = match dtype {
        DType::F64 => format!("{x:e}"),
        DType::F32 => format!("{:e}", x as f32),
        // Five digits suffice for 11 bits.
        _ => return (0..5).map(rounded).find(tells).unwrap_or_else(|| rounded(5)),
    };
    // Of two shortest ones that are equally near the library and numpy choose differently: numpy the
    // even one, as does rounding to so many digits.
    let digits = text.find('e').map_or(0, |end| end.saturating_sub(2));
    Some(rounded(digits)).filter(tells).unwrap_or(text)
}

/// The digit before the point, those after it but for trailing zeros, and the exponent.
fn scientific(x: f64, dtype: DType) -> (String, String, i32) {
    let mut text = shortest(x, dtype);
    let digits = |text: &str| text.find('e').map_or(0, |end| end.saturating_sub(2));
    if digits(&text) > PRECISION {
        text = format!("{x:.PRECISION$e}");
    }
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (whole.into(), fraction.trim_end_matches('0').into(), exponent.parse().expect("a number"))
}

/// At least two digits, as in C.
fn exponent_digits(exponent: i32) -> String {
    format!("{:02}", exponent.abs())
}

/// The digits before and after the point of a number that is not negative, at most so many after it,
/// without trailing zeros.
fn positional(x: f64, dtype: DType, precision: Option<usize>) -> (String, String) {
    let text = shortest(x, dtype);
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation");
    let digits: String = mantissa.chars().filter(|&digit| digit != '.').collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let exponent: i32 = exponent.parse().expect("a number");
    let after = (digits.len() as i32 - 1 - exponent).max(0) as usize;
    if let Some(precision) = precision
        && after > precision
    {
        // Fewer digits than tell it apart: rounded from the number itself.
        let rounded = format!("{x:.precision$}");
        let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
        return (whole.into(), fraction.trim_end_matches('0').into());
    }
    if exponent < 0 {
        return ("0".into(), "0".repeat((-1 - exponent) as usize) + digits);
    }
    let point = exponent as usize + 1;
    if digits.len() <= point {
        return (format!("{digits:0<point$}"), String::new());
    }
    (digits[..point].into(), digits[point..].into())
}

/// A number by itself, with all its digits.
fn scalar(x: f64, dtype: DType) -> String {
    if !x.is_finite() {
        return non_finite(x).to_string();
    }
    let sign = if x.is_sign_negative() { "-" } else { "" };
    let size = x.abs();
    if size == 0.0 || (1e-4..certain(dtype)).contains(&size) {
        let (whole, fraction) = positional(size, dtype, None);
        let fraction = if fraction.is_empty() { "0" } else { &fraction };
        return format!("{sign}{whole}.{fraction}");
    }
    let text = shortest(size, dtype);
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation");
    let exponent: i32 = exponent.parse().expect("a number");
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{sign}{mantissa}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent_digits(exponent))
}
