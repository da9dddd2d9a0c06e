//! The header of `.npy` files: a magic word, a version, a length, and a Python dictionary as text.

use std::io::Read;

use super::fail;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit for headers that it trusts.
const MAX_HEADER: usize = 1 << 20;
/// NumPy's own limit.
const MAX_RANK: usize = 64;

/// What a header says.
pub(super) struct Header {
    pub dtype: DType,
    pub big_endian: bool,
    pub fortran_order: bool,
    pub shape: Shape,
}

impl Header {
    pub fn read(reader: &mut impl Read) -> Result<Header> {
        let mut start = [0; 8];
        exactly(reader, &mut start)?;
        if start[..6] != *MAGIC {
            return fail(
                "does not start as `.npy` files do; pickles are something else, `.npz` files are for `load_npz`",
            );
        }
        let length = match start[6] {
            1 => {
                let mut length = [0; 2];
                exactly(reader, &mut length)?;
                u16::from_le_bytes(length) as usize
            }
            2 | 3 => {
                let mut length = [0; 4];
                exactly(reader, &mut length)?;
                u32::from_le_bytes(length) as usize
            }
            version => return fail(format!("is of version {version}.{}; versions 1 to 3 are known", start[7])),
        };
        if length > MAX_HEADER {
            return fail(format!("has a header of {length} bytes, which no array of numbers needs"));
        }
        let mut text = vec![0; length];
        exactly(reader, &mut text)?;
        // Latin-1 before version 3, UTF-8 since: the same for all that is allowed here.
        let Ok(text) = std::str::from_utf8(&text) else { return fail("has a header that is not text") };
        Parser { rest: text }.header().or_else(|why| fail(format!("has a header that is not readable: {why}")))
    }

    pub fn aval(&self) -> Aval {
        Aval::new(self.dtype, &self.shape)
    }

    /// How many bytes the elements take.
    pub fn bytes(&self) -> Result<usize> {
        let bytes = self.shape.checked_size().and_then(|size| size.checked_mul(self.dtype.size()));
        match bytes {
            Some(bytes) if isize::try_from(bytes).is_ok() => Ok(bytes),
            _ => fail(format!("has shape {}, which is more than memory can hold", self.shape)),
        }
    }
}

fn exactly(reader: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::format(super::FORMAT, "ends within its header"),
        _ => Error::format(super::FORMAT, format!("cannot be read: {error}")),
    })
}

/// The header of a tensor, padded as NumPy does so that the elements are aligned.
pub(super) fn write(aval: &Aval) -> Vec<u8> {
    let descr = match aval.dtype {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::U32 => "<u4",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::BF16 => "<V2",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
    };
    // A tuple of one has a comma, too.
    let sizes: Vec<String> = aval.shape.iter().map(usize::to_string).collect();
    let sizes = if sizes.len() == 1 { format!("{},", sizes[0]) } else { sizes.join(", ") };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let start = MAGIC.len() + 4;
    let length = (start + text.len() + 1).next_multiple_of(64) - start;
    text.extend(std::iter::repeat_n(' ', length - text.len() - 1));
    text.push('\n');
    // Of more axes than fit 64 KiB there can be no tensor in practice; version 2 would hold them.
    let mut bytes = MAGIC.to_vec();
    match u16::try_from(text.len()) {
        Ok(length) => {
            bytes.extend([1, 0]);
            bytes.extend(length.to_le_bytes());
        }
        Err(_) => {
            bytes.extend([2, 0]);
            bytes.extend((text.len() as u32).to_le_bytes());
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// Reads the few Python literals that headers consist of.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn header(mut self) -> Result<Header, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.take("}") {
            let key = self.string()?;
            self.expect(":")?;
            let again = match key {
                "descr" => descr.replace(self.dtype()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                other => return Err(format!("'{}' is no key of headers", short(other))),
            };
            if again {
                return Err(format!("it has '{key}' more than once"));
            }
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        if !self.rest.trim_matches(['\0', ' ', '\n', '\t', '\r']).is_empty() {
            return Err(format!("'{}' follows after its end", short(self.rest.trim())));
        }
        match (descr, fortran_order, shape) {
            (Some((dtype, big_endian)), Some(fortran_order), Some(shape)) => {
                Ok(Header { dtype, big_endian, fortran_order, shape })
            }
            _ => Err("it needs the keys 'descr', 'fortran_order' and 'shape'".into()),
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("expected '{token}' where it goes on with '{}'", short(self.rest.trim_start())))
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.take("'") { '\'' } else { self.expect("\"").map(|()| '"')? };
        let (text, rest) = self.rest.split_once(quote).ok_or("a string does not end")?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false).map_err(|_| "'fortran_order' must be True or False".into())
    }

    fn tuple(&mut self) -> Result<Shape, String> {
        self.expect("(")?;
        let mut sizes = Vec::new();
        while !self.take(")") {
            self.rest = self.rest.trim_start();
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at(digits);
            // Python 2 wrote long integers with an L.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            let size = number.parse::<usize>().map_err(|_| match number {
                "" => format!("'{}' in the shape is no size", short(self.rest)),
                _ => format!("the size {} is more than memory can hold", short(number)),
            })?;
            sizes.push(size);
            if sizes.len() > MAX_RANK {
                return Err(format!("there are more than {MAX_RANK} axes"));
            }
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(sizes.into())
    }

    /// The dtype, and whether its bytes are in big-endian order.
    fn dtype(&mut self) -> Result<(DType, bool), String> {
        if self.rest.trim_start().starts_with('[') {
            return Err("records, arrays with named fields, are no tensors; save each field by itself".into());
        }
        let descr = self.string()?;
        let (order, name) = match descr.chars().next() {
            Some(c @ ('<' | '>' | '=' | '|')) => (c, &descr[1..]),
            _ => ('=', descr),
        };
        let dtype = match name {
            "b1" | "?" => DType::Bool,
            "u1" => DType::U8,
            "u4" => DType::U32,
            "i4" => DType::I32,
            "i8" => DType::I64,
            "f2" => DType::F16,
            "f4" => DType::F32,
            "f8" => DType::F64,
            // As `ml_dtypes` writes it.
            "V2" | "bfloat16" => DType::BF16,
            other => {
                let what = if other.starts_with('O') { " (pickled Python objects)" } else { "" };
                return Err(format!(
                    "the dtype '{}'{what} is none that tensors have; convert with `.astype` in NumPy to one of bool, \
                     uint8, uint32, int32, int64, float16, float32, float64",
                    short(descr)
                ));
            }
        };
        let native_big = cfg!(target_endian = "big");
        Ok((dtype, dtype.size() > 1 && (order == '>' || (order == '=' && native_big))))
    }
}

/// The start of a text that may be very long.
fn short(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
