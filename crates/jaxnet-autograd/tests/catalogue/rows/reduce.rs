//! Reductions over whole axes, and cumulative ones.

use jaxnet_tensor::DType;
use jaxnet_tensor::primitive::{ArgKind, CumulativeKind, Reduce, ReduceKind};

use super::domain::{Domain, for_floats};
use super::{Case, Family, Operand, Row};

pub fn rows() -> Vec<Row> {
    let kinds = [
        ("reduce_sum", ReduceKind::Sum),
        ("reduce_prod", ReduceKind::Prod),
        ("reduce_max", ReduceKind::Max),
        ("reduce_min", ReduceKind::Min),
        ("reduce_and", ReduceKind::And),
        ("reduce_or", ReduceKind::Or),
    ];
    let mut rows: Vec<Row> = kinds.into_iter().map(|(name, kind)| reduce(name, kind)).collect();
    rows.extend([("argmax", ArgKind::Max), ("argmin", ArgKind::Min)].map(|(name, kind)| arg(name, kind)));
    let kinds = [
        ("cumsum", CumulativeKind::Sum),
        ("cumprod", CumulativeKind::Prod),
        ("cummax", CumulativeKind::Max),
        ("cummin", CumulativeKind::Min),
        ("cumlogsumexp", CumulativeKind::LogSumExp),
    ];
    rows.extend(kinds.map(|(name, kind)| cumulative(name, kind)));
    rows
}

fn reduce(name: &'static str, kind: ReduceKind) -> Row {
    let dtypes = DType::ALL.into_iter().filter(move |dtype| match kind {
        ReduceKind::Sum | ReduceKind::Prod => *dtype != DType::Bool,
        ReduceKind::Max | ReduceKind::Min => true,
        ReduceKind::And | ReduceKind::Or => !dtype.is_float(),
    });
    let row = Row::new(name, Family::Reduce, dtypes, move |source, dtype| {
        let shape = source.shape(0..=4);
        let axes = source.subset(shape.rank());
        // Axes may come in any order.
        let axes = source.permutation(axes.len()).iter().map(|&i| axes[i]).collect();
        let domain = match kind {
            ReduceKind::Max | ReduceKind::Min => Domain::Distinct { part: 0, of: 1, cells: shape.size() },
            ReduceKind::And | ReduceKind::Or => Domain::Bits,
            // A zero among the factors now and then.
            ReduceKind::Prod if source.once_in(4) => Domain::Integers(-1, 1),
            ReduceKind::Prod => Domain::Nonzero(0.7, 1.3),
            ReduceKind::Sum => Domain::Range(-2.0, 2.0),
        };
        let domain = if domain == Domain::Bits { domain } else { for_floats(dtype, domain) };
        let case = Case::new(Reduce::Reduce { kind, axes }, [Operand::new(dtype, shape, domain)]);
        Some(if kind == ReduceKind::Sum { case.linear_in(&[0]) } else { case })
    });
    match kind {
        // Up to so many numbers of size 2 are added.
        ReduceKind::Sum => row.reassociates().error(16.0),
        ReduceKind::Prod => row.reassociates().error(32.0),
        _ => row,
    }
}

fn arg(name: &'static str, kind: ArgKind) -> Row {
    Row::new(name, Family::Reduce, DType::ALL, move |source, dtype| {
        let shape = source.shape(1..=3);
        let axis = source.below(shape.rank());
        let index = source.pick(&[DType::I32, DType::I64, DType::U8, DType::U32]);
        // Few values, so that some are equal.
        let x = Operand::new(dtype, shape, Domain::Integers(-3, 3));
        Case::new(Reduce::Arg { kind, axis, dtype: index }, [x]).if_it_fits()
    })
}

fn cumulative(name: &'static str, kind: CumulativeKind) -> Row {
    let dtypes = DType::ALL.into_iter().filter(move |dtype| match kind {
        CumulativeKind::LogSumExp => dtype.is_float(),
        _ => *dtype != DType::Bool,
    });
    let row = Row::new(name, Family::Reduce, dtypes, move |source, dtype| {
        let shape = source.shape(1..=3);
        let axis = source.below(shape.rank());
        let reverse = source.coin();
        let domain = match kind {
            CumulativeKind::Max | CumulativeKind::Min => Domain::Distinct { part: 0, of: 1, cells: shape.size() },
            CumulativeKind::Prod if source.once_in(4) => Domain::Integers(-1, 1),
            CumulativeKind::Prod => Domain::Nonzero(0.7, 1.3),
            CumulativeKind::Sum | CumulativeKind::LogSumExp => Domain::Range(-2.0, 2.0),
        };
        let x = Operand::new(dtype, shape, for_floats(dtype, domain));
        let case = Case::new(Reduce::Cumulative { kind, axis, reverse }, [x]);
        Some(if kind == CumulativeKind::Sum { case.linear_in(&[0]) } else { case })
    });
    match kind {
        CumulativeKind::Max | CumulativeKind::Min => row,
        _ => row.reassociates().error(16.0),
    }
}
