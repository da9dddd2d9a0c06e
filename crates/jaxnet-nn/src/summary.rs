//! What a model is made of, as a table.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaxnet_autograd::eval_shape;
use jaxnet_tensor::trace::{Tensors, Trace, TraceRef};
use jaxnet_tensor::{Aval, Key, OrRaise, Primitive, Result, Tensor, Tree, called_from, tree};

use crate::module::Module;
use crate::params::Params;
use crate::scope::{Given, Observer, run};

/// What a model is made of: see [`summary`].
#[derive(Clone, Debug)]
pub struct Summary {
    /// The modules in the order of use, the whole first.
    pub rows: Vec<SummaryRow>,
    /// How many numbers the state has.
    pub state: usize,
    /// The bytes of all parameters and state.
    pub bytes: usize,
}

/// A use of a module.
#[derive(Clone, Debug)]
pub struct SummaryRow {
    /// Where its parameters are; for modules without a place of their own, the place around and their name.
    pub path: String,
    /// In how many others it is.
    pub depth: usize,
    /// What it gives: the leaves of the output.
    pub outputs: Vec<Aval>,
    /// How many numbers its parameters have, with those of modules inside; 0 if they were counted in an earlier row.
    pub params: usize,
    /// How many floating-point operations it takes: see [`Primitive::flops`]. `None` for modules inside of loops and
    /// other transforms, whose operations count where those are, and for which outputs are those of one step.
    pub flops: Option<u64>,
}

impl Summary {
    /// How many numbers all parameters have.
    pub fn params(&self) -> usize {
        self.rows.first().map_or(0, |row| row.params)
    }

    /// How many floating-point operations the whole takes.
    pub fn flops(&self) -> u64 {
        self.rows.first().and_then(|row| row.flops).unwrap_or(0)
    }
}

/// The modules of a model, with what they give for such inputs, their numbers of parameters and of floating-point
/// operations, in evaluation. Nothing is computed: only shapes and dtypes of the inputs matter.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Conv::new(8, [3, 3]), relu, MaxPool::new([2, 2]), flatten, Dense::new(10)];
/// let table = summary(&net, &Tensor::zeros([16, 28, 28, 1]));
/// println!("{table}");
/// assert_eq!(table.params(), 3 * 3 * 8 + 8 + 25 * 25 * 8 * 10 + 10);
/// assert!(table.to_string().ends_with("50,090 parameters, 200 kB"), "{table}");
/// assert_eq!(table.rows[1].path, "conv");
/// assert_eq!(table.rows[1].outputs[0].shape.dims(), [16, 26, 26, 8]);
/// assert_eq!(table.rows[1].flops, Some(16 * 26 * 26 * 8 * (2 * 9 + 1)));
/// ```
///
/// ```text
/// module        output           parameters   FLOPs
/// sequential    f32[16,10]           50,090  3.56 M
///   conv        f32[16,26,26,8]          80  1.64 M
///   max_pool    f32[16,25,25,8]           0   320 k
///   dense       f32[16,10]           50,010  1.60 M
/// 50,090 parameters, 200 kB
/// ```
#[track_caller]
pub fn summary<X: Tree, M: Module<X>>(module: &M, x: &X) -> Summary {
    called_from(crate::ROOT, || summarize(module, x))
}

fn summarize<X: Tree, M: Module<X>>(module: &M, x: &X) -> Summary {
    let shapes = eval_shape(|x: X| module.init(Key::new(0), &x), x);
    let flops = Arc::new(AtomicU64::new(0));
    let guard = TraceRef::start(Count(flops.clone()));
    let trace = guard.trace();
    let vars = abstracted(trace, &shapes);
    let given = Given {
        params: Some(vars.params),
        state: Some(vars.state),
        key: Some(Key::new(0)),
        observer: Some(Observer::new(flops)),
        ..Given::default()
    };
    let outcome = run(module, &abstracted(trace, x), given).1;
    let mut counted = HashSet::new();
    let uses = outcome.uses().into_iter().map(|(path, seen, node)| {
        let of_whole = seen.place == 0 && seen.depth == 0;
        let is_place = seen.name.is_none() || of_whole;
        let params = if is_place && counted.insert(seen.place) { Params(node).size() } else { 0 };
        let path = match seen.name {
            Some(name) if !of_whole && !path.is_empty() => format!("{path}.{name}"),
            Some(name) => name,
            None => path,
        };
        SummaryRow { path, depth: seen.depth, outputs: seen.outputs, params, flops: seen.flops }
    });
    let bytes = |params: &Params| params.leaves().iter().map(|leaf| leaf.aval().bytes()).sum::<usize>();
    Summary { rows: uses.collect(), state: shapes.state.size(), bytes: bytes(&shapes.params) + bytes(&shapes.state) }
}

/// The same tree without values.
#[track_caller]
fn abstracted<T: Tree>(trace: &TraceRef, x: &T) -> T {
    let (leaves, structure) = tree::flatten(x);
    let leaves = leaves.iter().map(|leaf| trace.value(leaf.aval().clone(), ())).collect();
    tree::unflatten(&structure, leaves).or_raise()
}

/// Counts operations, and infers what they give.
struct Count(Arc<AtomicU64>);

impl Trace for Count {
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        let avals: Vec<&Aval> = inputs.iter().map(Tensor::aval).collect();
        let outputs = primitive.infer(&avals)?;
        self.0.fetch_add(primitive.flops(&avals, &outputs), Ordering::Relaxed);
        Ok(outputs.into_iter().map(|aval| this.value(aval, ())).collect())
    }

    fn name(&self) -> &'static str {
        "summary"
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<[String; 4]> = self.rows.iter().map(SummaryRow::cells).collect();
        let heads = ["module", "output", "parameters", "FLOPs"];
        let width =
            |i: usize| cells.iter().map(|row| row[i].chars().count()).chain([heads[i].len()]).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        let mut line = |cells: [&str; 4]| {
            let [a, b, c, d] = cells;
            let text = format!("{a:<0$}  {b:<1$}  {c:>2$}  {d:>3$}", widths[0], widths[1], widths[2], widths[3]);
            writeln!(f, "{}", text.trim_end())
        };
        line(heads)?;
        for row in &cells {
            line([&row[0], &row[1], &row[2], &row[3]])?;
        }
        write!(f, "{} parameters", grouped(self.params()))?;
        if self.state > 0 {
            write!(f, ", {} numbers of state", grouped(self.state))?;
        }
        write!(f, ", {}B", short(self.bytes as u64))
    }
}

impl SummaryRow {
    fn cells(&self) -> [String; 4] {
        // The tree shows where it is.
        let name = if self.depth == 0 { &self.path } else { self.path.rsplit('.').next().unwrap_or(&self.path) };
        let outputs: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        let flops = self.flops.map_or(String::new(), short);
        [
            format!("{}{name}", "  ".repeat(self.depth)),
            outputs.join(", "),
            grouped(self.params),
            flops.trim_end().into(),
        ]
    }
}

/// With commas between thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a unit, before which there is a space.
fn short(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        if value < 999.5 {
            break;
        }
        value /= 1e3;
        unit = next;
    }
    let digits = if unit.is_empty() || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}
