//! The catalogue: a row an operation, one file a family.
//!
//! A row draws [`Case`]s: a primitive with parameters, what its operands are, and a [`Domain`] for the
//! values of each. Values are drawn from a case afterwards, so that many of them share one signature,
//! which is what programs are compiled for. Nothing here knows of transforms or engines.

mod control;
mod conv;
mod cover;
mod domain;
mod dot;
mod elementwise;
mod index;
mod linalg;
mod random;
mod reduce;
mod shape;
mod sort;
mod source;
mod window;

use std::fmt;
use std::sync::OnceLock;

use jaxnet_tensor::program::{Program, ProgramBuilder};
use jaxnet_tensor::{Aval, DType, Primitive, Result, Shape, Tensor, trace};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use domain::{Domain, Numbers};
pub use source::Source;

/// How many numbers a case is drawn from.
const CHOICES: usize = 64;

const FLOATS: &[DType] = &[DType::F64, DType::F32, DType::F16, DType::BF16];

/// A family of primitives, as their files in the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Elementwise,
    Shape,
    Reduce,
    Window,
    Dot,
    Conv,
    Index,
    Sort,
    Linalg,
    Random,
    Control,
}

/// An operation.
pub struct Row {
    /// The primitive's name.
    pub name: &'static str,
    pub family: Family,
    /// The dtypes that it takes, as its main operand.
    pub dtypes: Vec<DType>,
    /// Draws parameters and operands; `None` where what was drawn does not fit together.
    draw: Box<Draw>,
    /// Whether the order of the arithmetic, and so the rounding of floats, may depend on the layout.
    pub reassociates: bool,
    /// The error of a result in units of the dtype's precision, relative to the result or, if it is
    /// less than 1, absolute.
    pub error: f64,
    /// Whether it has derivatives in forward mode.
    pub forward: bool,
    /// Whether it has derivatives in reverse mode.
    pub reverse: bool,
}

type Draw = dyn Fn(&mut Source<'_>, DType) -> Option<Case> + Send + Sync;

impl Row {
    fn new(
        name: &'static str,
        family: Family,
        dtypes: impl IntoIterator<Item = DType>,
        draw: impl Fn(&mut Source<'_>, DType) -> Option<Case> + Send + Sync + 'static,
    ) -> Row {
        Row {
            name,
            family,
            dtypes: dtypes.into_iter().collect(),
            draw: Box::new(draw),
            reassociates: false,
            error: 1.0,
            forward: true,
            reverse: true,
        }
    }

    fn error(self, error: f64) -> Row {
        Row { error, ..self }
    }

    fn reassociates(self) -> Row {
        Row { reassociates: true, ..self }
    }

    /// A case from these decisions.
    pub fn draw(&self, source: &mut Source<'_>, dtype: DType) -> Option<Case> {
        (self.draw)(source, dtype)
    }

    /// Draws cases for proptest, which can shrink them.
    pub fn strategy(&'static self, dtype: DType) -> impl Strategy<Value = Case> {
        proptest::collection::vec(any::<u32>(), CHOICES).prop_filter_map(
            "what was drawn does not fit",
            move |choices| {
                let mut case = self.draw(&mut Source::new(&choices), dtype)?;
                case.choices = choices;
                Some(case)
            },
        )
    }
}

/// An operand of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    pub aval: Aval,
    pub domain: Domain,
    /// Whether the result has a derivative by it, which finite differences in the domain agree with.
    pub differentiable: bool,
    /// Whether the operation takes only values of the domain, so that it gets no special ones.
    pub fixed: bool,
}

impl Operand {
    fn new(dtype: DType, shape: impl Into<Shape>, domain: Domain) -> Self {
        Operand { aval: Aval::new(dtype, shape), domain, differentiable: dtype.is_float(), fixed: false }
    }

    /// Anything of this dtype.
    fn any(dtype: DType, shape: impl Into<Shape>) -> Self {
        Operand::new(dtype, shape, domain::any(dtype))
    }

    fn constant(self) -> Self {
        Operand { differentiable: false, ..self }
    }

    fn fixed(self) -> Self {
        Operand { fixed: true, ..self }
    }
}

/// A primitive and what its operands are.
#[derive(Clone, PartialEq)]
pub struct Case {
    pub primitive: Primitive,
    pub operands: Vec<Operand>,
    /// Groups of operands in which it is linear together, the others being fixed.
    pub linear: Vec<Vec<usize>>,
    /// What it was drawn from.
    pub choices: Vec<u32>,
}

impl Case {
    fn new(primitive: impl Into<Primitive>, operands: impl IntoIterator<Item = Operand>) -> Self {
        Case {
            primitive: primitive.into(),
            operands: operands.into_iter().collect(),
            linear: Vec::new(),
            choices: Vec::new(),
        }
    }

    /// Linear in these operands together, and possibly in others together.
    fn linear_in(mut self, operands: &[usize]) -> Self {
        // Of the integers nothing is differentiated.
        if !operands.is_empty() && operands.iter().all(|&i| self.operands[i].aval.dtype.is_float()) {
            self.linear.push(operands.to_vec());
        }
        self
    }

    /// Only if the primitive takes the operands.
    fn if_it_fits(self) -> Option<Self> {
        self.infer().is_ok().then_some(self)
    }

    /// What the results are.
    pub fn infer(&self) -> Result<Vec<Aval>> {
        let avals: Vec<&Aval> = self.operands.iter().map(|operand| &operand.aval).collect();
        Ok(self.primitive.infer(&avals)?.into_vec())
    }

    /// Values of the operands in their domains.
    pub fn values(&self, seed: u64) -> Vec<Tensor> {
        let mut numbers = Numbers::new(seed);
        self.operands.iter().map(|operand| operand.domain.draw(&operand.aval, &mut numbers)).collect()
    }

    /// Values of the operands with many special ones among them: NaN, infinities, extremes.
    pub fn specials(&self, seed: u64) -> Vec<Tensor> {
        let mut numbers = Numbers::new(seed);
        let draw = |operand: &Operand| match operand.fixed {
            true => operand.domain.draw(&operand.aval, &mut numbers),
            false => operand.domain.draw_special(&operand.aval, &mut numbers),
        };
        self.operands.iter().map(draw).collect()
    }

    /// The program that has this as its one equation.
    pub fn program(&self) -> Program {
        let mut builder = ProgramBuilder::new();
        let inputs: Vec<_> = self.operands.iter().map(|operand| builder.input(operand.aval.clone())).collect();
        let results = builder.equation(self.primitive.clone(), inputs).expect("a case that fits");
        builder.finish(&results)
    }

    /// Runs it, whatever traces the operands carry.
    pub fn run(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        use jaxnet_tensor::OrRaise;
        trace::bind(&self.primitive, inputs).or_raise().into_vec()
    }

    /// The operands that it has derivatives by.
    pub fn differentiable(&self) -> Vec<usize> {
        (0..self.operands.len()).filter(|&i| self.operands[i].differentiable).collect()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.infer() {
            Ok(_) => write!(f, "{}", self.program())?,
            Err(error) => write!(f, "{} of {:?}: {error}", self.primitive, self.operands)?,
        }
        write!(f, "\nwith values from {:?}", self.operands.iter().map(|operand| &operand.domain).collect::<Vec<_>>())
    }
}

/// Every row.
pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let families = [
            elementwise::rows,
            shape::rows,
            reduce::rows,
            window::rows,
            dot::rows,
            conv::rows,
            index::rows,
            sort::rows,
            linalg::rows,
            random::rows,
            control::rows,
        ];
        families.into_iter().flat_map(|rows| rows()).collect()
    })
}

/// Some cases of a row: the same for the same seed.
pub fn cases(row: &'static Row, dtype: DType, seed: u64, how_many: usize) -> Vec<Case> {
    let strategy = row.strategy(dtype);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng(seed));
    let tree = |_| strategy.new_tree(&mut runner).expect("a row of which some draws fit").current();
    (0..how_many).map(tree).collect()
}

/// The generator for a seed.
pub fn rng(seed: u64) -> TestRng {
    let mut numbers = Numbers::new(seed);
    let bytes: Vec<u8> = (0..4).flat_map(|_| numbers.bits().to_le_bytes()).collect();
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
