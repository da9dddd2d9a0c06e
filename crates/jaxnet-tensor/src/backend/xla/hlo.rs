//! Modules of XLA's HLO language, as text.
//!
//! Text is what XLA takes in without a builder that must know every operation, and what one can read when
//! something goes wrong. Instructions are named after what they do and numbered within their computation;
//! layouts are left out, which means row-major.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::aval::{Aval, Literal, Scalar};
use crate::dtype::{DType, Element};
use crate::shape::Shape;

/// An array in a computation.
#[derive(Clone, Debug)]
pub(super) struct Value {
    name: Arc<str>,
    /// The element type.
    pub dtype: DType,
    /// The sizes of the axes.
    pub shape: Shape,
}

impl Value {
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }
}

/// Computations that belong together.
#[derive(Default)]
pub(super) struct Module {
    text: String,
    /// The names in use, and how often each was asked for.
    names: HashMap<String, usize>,
    /// Small computations that instructions share, by what makes them equal.
    shared: HashMap<String, Arc<str>>,
}

impl Module {
    /// The module's text, with its entry: `body` makes the entry's results from its parameters, and
    /// `aliases` names pairs of a result and a parameter whose memory it may take over.
    pub fn build<E>(
        name: &str,
        inputs: &[Aval],
        aliases: &[(usize, usize)],
        body: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Vec<Value>, E>,
    ) -> Result<String, E> {
        let mut module = Module::default();
        let mut builder = Builder::new(&mut module);
        let parameters: Vec<Value> =
            inputs.iter().enumerate().map(|(i, aval)| builder.parameter(i, aval.dtype, &aval.shape)).collect();
        let results = body(&mut builder, &parameters)?;
        // One result stands for itself, several are a tuple, which comes back as several buffers.
        match &results[..] {
            [result] => builder.root(result),
            results => {
                builder.tuple(results);
                builder.mark_root();
            }
        }
        let entry = builder.finish();
        let alias = |(i, &(result, parameter)): (usize, &(usize, usize))| {
            let index = if results.len() == 1 { String::new() } else { result.to_string() };
            format!("{} {{{index}}}: ({parameter}, {{}}, may-alias)", if i > 0 { "," } else { "" })
        };
        let mut text = format!("HloModule {name}");
        if !aliases.is_empty() {
            let aliases: String = aliases.iter().enumerate().map(alias).collect();
            write!(text, ", input_output_alias={{{aliases} }}").expect("strings take writes");
        }
        text += "\n\n";
        text += &module.text;
        text += &format!("ENTRY main {{\n{entry}}}\n");
        Ok(text)
    }

    /// A name that nobody has yet.
    fn unique(&mut self, name: &str) -> String {
        let count = self.names.entry(name.to_string()).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_string() } else { format!("{name}.{count}") }
    }

    fn add(&mut self, name: &str, lines: &str) -> Arc<str> {
        let name = self.unique(name);
        write!(self.text, "{name} {{\n{lines}}}\n\n").expect("strings take writes");
        name.into()
    }
}

/// Writes a computation.
pub(super) struct Builder<'m> {
    module: &'m mut Module,
    lines: Vec<String>,
    constants: HashMap<(DType, [u8; 8]), Value>,
    root: Option<usize>,
}

impl<'m> Builder<'m> {
    fn new(module: &'m mut Module) -> Self {
        Builder { module, lines: Vec::new(), constants: HashMap::new(), root: None }
    }

    /// A computation beside this one, written by `body` from a parameter of each type; gives its name.
    pub fn computation<E>(
        &mut self,
        name: &str,
        parameters: &[(DType, Shape)],
        body: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Value, E>,
    ) -> Result<Arc<str>, E> {
        let mut inner = Builder::new(self.module);
        let values: Vec<Value> =
            parameters.iter().enumerate().map(|(i, (dtype, shape))| inner.parameter(i, *dtype, shape)).collect();
        let result = body(&mut inner, &values)?;
        inner.root(&result);
        let lines = inner.finish();
        Ok(self.module.add(name, &lines))
    }

    /// As [`computation`](Self::computation), with one parameter that is a tuple, and a tuple as result
    /// unless `single`.
    pub fn tuple_computation<E>(
        &mut self,
        name: &str,
        parameters: &[(DType, Shape)],
        single: bool,
        body: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Vec<Value>, E>,
    ) -> Result<Arc<str>, E> {
        let mut inner = Builder::new(self.module);
        inner.lines.push(format!("state.0 = {} parameter(0)", tuple_type(parameters.iter())));
        let values = inner.elements("state.0", parameters);
        let results = body(&mut inner, &values)?;
        if single {
            inner.root(&results[0]);
        } else {
            inner.tuple(&results);
            inner.mark_root();
        }
        let lines = inner.finish();
        Ok(self.module.add(name, &lines))
    }

    /// As [`computation`](Self::computation), with a tuple as result.
    pub fn tuple_result<E>(
        &mut self,
        name: &str,
        parameters: &[(DType, Shape)],
        body: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Vec<Value>, E>,
    ) -> Result<Arc<str>, E> {
        let mut inner = Builder::new(self.module);
        let values: Vec<Value> =
            parameters.iter().enumerate().map(|(i, (dtype, shape))| inner.parameter(i, *dtype, shape)).collect();
        let results = body(&mut inner, &values)?;
        inner.tuple(&results);
        inner.mark_root();
        let lines = inner.finish();
        Ok(self.module.add(name, &lines))
    }

    /// A computation of two scalars by one instruction, such as a sum; made once for each dtype.
    pub fn reducer(&mut self, opcode: &str, dtype: DType) -> Arc<str> {
        self.reducer_by(opcode, dtype, |b, x, y| b.op(opcode, dtype, &Shape::scalar(), &[x, y], ""))
    }

    /// A computation of two scalars; made once for each name and dtype.
    pub fn reducer_by(
        &mut self,
        name: &str,
        dtype: DType,
        body: impl FnOnce(&mut Builder<'_>, &Value, &Value) -> Value,
    ) -> Arc<str> {
        let name = format!("{name}_{}", type_name(dtype));
        if let Some(known) = self.module.shared.get(&name) {
            return known.clone();
        }
        let scalar = (dtype, Shape::scalar());
        let made: Result<_, std::convert::Infallible> =
            self.computation(&name, &[scalar.clone(), scalar], |b, x| Ok(body(b, &x[0], &x[1])));
        let Ok(made) = made;
        self.module.shared.insert(name, made.clone());
        made
    }

    fn parameter(&mut self, i: usize, dtype: DType, shape: &Shape) -> Value {
        let value = Value { name: format!("p{i}").into(), dtype, shape: shape.clone() };
        self.lines.push(format!("p{i} = {} parameter({i})", array_type(dtype, shape)));
        value
    }

    /// `opcode(operands), attributes`, giving an array of this type.
    pub fn op(&mut self, opcode: &str, dtype: DType, shape: &Shape, operands: &[&Value], attributes: &str) -> Value {
        let name = format!("{opcode}.{}", self.lines.len());
        let operands = operands.iter().map(|operand| &*operand.name).collect::<Vec<_>>().join(", ");
        let comma = if attributes.is_empty() { "" } else { ", " };
        self.lines.push(format!("{name} = {} {opcode}({operands}){comma}{attributes}", array_type(dtype, shape)));
        Value { name: name.into(), dtype, shape: shape.clone() }
    }

    /// An instruction from arrays to a tuple, of which these are the elements.
    pub fn tuple_op(
        &mut self,
        opcode: &str,
        types: &[(DType, Shape)],
        operands: &[&Value],
        attributes: &str,
    ) -> Vec<Value> {
        let name = format!("{opcode}.{}", self.lines.len());
        let operands = operands.iter().map(|operand| &*operand.name).collect::<Vec<_>>().join(", ");
        self.lines.push(format!("{name} = {} {opcode}({operands}), {attributes}", tuple_type(types.iter())));
        self.elements(&name, types)
    }

    /// An instruction from tuples to a tuple, of which these are the elements. `first` is an operand before
    /// the tuples.
    pub fn on_tuples(
        &mut self,
        opcode: &str,
        types: &[(DType, Shape)],
        first: Option<&Value>,
        tuples: &[&[Value]],
        attributes: &str,
    ) -> Vec<Value> {
        let tuples: Vec<String> = tuples.iter().map(|values| self.tuple(values)).collect();
        let operands: Vec<&str> =
            first.into_iter().map(|value| &*value.name).chain(tuples.iter().map(String::as_str)).collect();
        let name = format!("{opcode}.{}", self.lines.len());
        let comma = if attributes.is_empty() { "" } else { ", " };
        let of = tuple_type(types.iter());
        self.lines.push(format!("{name} = {of} {opcode}({}){comma}{attributes}", operands.join(", ")));
        self.elements(&name, types)
    }

    /// The name of a new tuple of these.
    fn tuple(&mut self, values: &[Value]) -> String {
        let name = format!("tuple.{}", self.lines.len());
        let types: Vec<_> = values.iter().map(|value| (value.dtype, value.shape.clone())).collect();
        let names = values.iter().map(|value| &*value.name).collect::<Vec<_>>().join(", ");
        self.lines.push(format!("{name} = {} tuple({names})", tuple_type(types.iter())));
        name
    }

    fn elements(&mut self, tuple: &str, types: &[(DType, Shape)]) -> Vec<Value> {
        let element = |(i, (dtype, shape)): (usize, &(DType, Shape))| {
            let name = format!("element.{}", self.lines.len());
            let of = array_type(*dtype, shape);
            self.lines.push(format!("{name} = {of} get-tuple-element({tuple}), index={i}"));
            Value { name: name.into(), dtype: *dtype, shape: shape.clone() }
        };
        types.iter().enumerate().map(element).collect()
    }

    /// A scalar constant.
    pub fn literal(&mut self, literal: &Literal) -> Value {
        let key = (literal.dtype, literal.to_bytes());
        if let Some(known) = self.constants.get(&key) {
            return known.clone();
        }
        let name = format!("constant.{}", self.lines.len());
        let of = array_type(literal.dtype, &Shape::scalar());
        self.lines.push(format!("{name} = {of} constant({})", constant(literal)));
        let value = Value { name: name.into(), dtype: literal.dtype, shape: Shape::scalar() };
        self.constants.insert(key, value.clone());
        value
    }

    /// A scalar constant of this value.
    pub fn scalar(&mut self, dtype: DType, value: impl Into<Scalar>) -> Value {
        self.literal(&Literal::new(value, dtype))
    }

    /// A scalar repeated to a shape; anything else as it is.
    pub fn fill(&mut self, value: &Value, shape: &Shape) -> Value {
        if value.shape == *shape {
            return value.clone();
        }
        debug_assert_eq!(value.rank(), 0, "only scalars stand beside other shapes");
        self.op("broadcast", value.dtype, shape, &[value], "dimensions={}")
    }

    /// Makes an array the computation's result.
    fn root(&mut self, value: &Value) {
        let defines = |line: &String| line.split(' ').next() == Some(&*value.name);
        self.root = Some(self.lines.iter().position(defines).expect("defined in this computation"));
    }

    /// Makes what was written last the computation's result.
    fn mark_root(&mut self) {
        self.root = Some(self.lines.len() - 1);
    }

    fn finish(self) -> String {
        let mut text = String::new();
        for (i, line) in self.lines.iter().enumerate() {
            let root = if self.root == Some(i) { "ROOT " } else { "" };
            writeln!(text, "  {root}{line}").expect("strings take writes");
        }
        text
    }
}

/// Axes or sizes in braces.
pub(super) fn braces<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("{{{}}}", items.join(","))
}

/// The name of an element type.
pub(super) const fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "pred",
        DType::U8 => "u8",
        DType::U32 => "u32",
        DType::I32 => "s32",
        DType::I64 => "s64",
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        DType::F32 => "f32",
        DType::F64 => "f64",
    }
}

fn array_type(dtype: DType, shape: &Shape) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("{}[{}]", type_name(dtype), sizes.join(","))
}

fn tuple_type<'a>(types: impl Iterator<Item = &'a (DType, Shape)>) -> String {
    let types: Vec<String> = types.map(|(dtype, shape)| array_type(*dtype, shape)).collect();
    format!("({})", types.join(", "))
}

/// The value of a constant, so that XLA reads exactly what it is in its dtype.
fn constant(literal: &Literal) -> String {
    match literal.dtype {
        DType::Bool => literal.to::<bool>().to_string(),
        dtype if !dtype.is_float() => literal.to::<i64>().to_string(),
        dtype => {
            let value = literal.as_f64();
            if value.is_nan() {
                return "nan".into();
            }
            if value.is_infinite() {
                return if value > 0.0 { "inf".into() } else { "-inf".into() };
            }
            // XLA reads numbers as f64 and rounds then. The shortest text of an f32 is mostly still right
            // after that, and easier on the eye than its exact value.
            let short = format!("{:?}", value as f32);
            let read = short.parse::<f64>().unwrap_or(f64::NAN);
            let exact = crate::with_dtype!(dtype, T => T::from_f64(read).to_f64());
            let text = if exact == value { short } else { format!("{value:?}") };
            // "-0" would be read as an integer, without its sign.
            let short = if text == "-0.0" { None } else { text.strip_suffix(".0") };
            short.map(str::to_string).unwrap_or(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Into<Scalar>, dtype: DType) -> String {
        constant(&Literal::new(value, dtype))
    }

    #[test]
    fn constants_keep_their_value() {
        assert_eq!(text(0.1, DType::F32), "0.1");
        assert_eq!(text(0.1, DType::F64), "0.1");
        assert_eq!(text(-0.0, DType::F32), "-0.0");
        assert_eq!(text(-3.0, DType::F32), "-3");
        assert_eq!(text(1e30, DType::F32), "1e30");
        assert_eq!(text(f64::NEG_INFINITY, DType::BF16), "-inf");
        assert_eq!(text(f64::NAN, DType::F16), "nan");
        assert_eq!(text(-1_i64, DType::U32), "4294967295");
        assert_eq!(text(true, DType::Bool), "true");
        // 0.1 in bf16 is another number than in f32.
        assert_eq!(text(0.1, DType::BF16), "0.100097656");
    }

    #[test]
    fn computations_are_shared_and_named_once() {
        let text: Result<_, std::convert::Infallible> = Module::build("m", &[], &[], |b, _| {
            assert_eq!(b.reducer("add", DType::F32), b.reducer("add", DType::F32));
            let other = b.computation("add_f32", &[(DType::F32, Shape::scalar())], |_, x| {
                Ok::<_, std::convert::Infallible>(x[0].clone())
            })?;
            assert_eq!(&*other, "add_f32.2");
            Ok::<_, std::convert::Infallible>(vec![b.scalar(DType::I32, 3_i64)])
        });
        let Ok(text) = text;
        assert_eq!(
            text,
            "HloModule m\n\n\
             add_f32 {\n  p0 = f32[] parameter(0)\n  p1 = f32[] parameter(1)\n  ROOT add.2 = f32[] add(p0, p1)\n}\n\n\
             add_f32.2 {\n  ROOT p0 = f32[] parameter(0)\n}\n\n\
             ENTRY main {\n  ROOT constant.0 = s32[] constant(3)\n}\n"
        );
    }
}
