//! Gathers, scatters and dynamic slices.

use jaxnet_tensor::primitive::{GatherDims, Index, ScatterDims, ScatterKind};
use jaxnet_tensor::{DType, Dims, Shape};

use super::domain::{Domain, for_floats};
use super::{Case, Family, Operand, Row, Source};

const INDICES: [DType; 4] = [DType::I32, DType::I64, DType::U8, DType::U32];

pub fn rows() -> Vec<Row> {
    let mut rows = vec![Row::new("gather", Family::Index, DType::ALL, |source, dtype| {
        let places = Places::draw(source)?;
        let operands = [Operand::any(dtype, &*places.operand), places.indices(source)];
        Some(Case::new(places.gather(), operands).linear_in(&[0]))
    })];
    let kinds = [
        ("scatter", ScatterKind::Set),
        ("scatter_add", ScatterKind::Add),
        ("scatter_mul", ScatterKind::Mul),
        ("scatter_min", ScatterKind::Min),
        ("scatter_max", ScatterKind::Max),
    ];
    rows.extend(kinds.map(|(name, kind)| scatter(name, kind)));
    rows.push(Row::new("dynamic_slice", Family::Index, DType::ALL, |source, dtype| {
        let shape = source.shape(0..=3);
        let sizes: Shape = shape.iter().map(|&size| source.size(0, size)).collect();
        let mut operands = vec![Operand::any(dtype, &*shape)];
        operands.extend((0..shape.rank()).map(|_| start(source)));
        Some(Case::new(Index::DynamicSlice { sizes }, operands).linear_in(&[0]))
    }));
    rows.push(Row::new("dynamic_update_slice", Family::Index, DType::ALL, |source, dtype| {
        let shape = source.shape(0..=3);
        let update: Shape = shape.iter().map(|&size| source.size(0, size)).collect();
        let mut operands = vec![Operand::any(dtype, &*shape), Operand::any(dtype, update)];
        operands.extend((0..shape.rank()).map(|_| start(source)));
        Some(Case::new(Index::DynamicUpdateSlice, operands).linear_in(&[0, 1]))
    }));
    rows
}

/// A scalar start of any integer dtype, maybe outside.
fn start(source: &mut Source<'_>) -> Operand {
    Operand::new(source.pick(&INDICES), Shape::scalar(), Domain::Integers(-2, 5))
}

fn scatter(name: &'static str, kind: ScatterKind) -> Row {
    let dtypes = DType::ALL.into_iter().filter(move |dtype| kind == ScatterKind::Set || *dtype != DType::Bool);
    let row = Row::new(name, Family::Index, dtypes, move |source, dtype| {
        let places = Places::draw(source)?;
        let cells = places.operand.size().max(places.updates.size());
        let domain = |part: usize| match kind {
            ScatterKind::Set | ScatterKind::Add => Domain::Range(-2.0, 2.0),
            // A zero among the factors now and then.
            ScatterKind::Mul if places.updates.size() % 5 == 3 => Domain::Integers(-1, 1),
            ScatterKind::Mul => Domain::Nonzero(0.5, 1.5),
            ScatterKind::Min | ScatterKind::Max => Domain::Distinct { part, of: 2, cells },
        };
        let values = |shape: &Shape, part: usize| match dtype {
            DType::Bool => Operand::any(dtype, &**shape),
            _ => Operand::new(dtype, &**shape, for_floats(dtype, domain(part))),
        };
        let operands = [values(&places.operand, 0), places.indices(source), values(&places.updates, 1)];
        let case = Case::new(places.scatter(kind), operands);
        Some(match kind {
            ScatterKind::Set | ScatterKind::Add => case.linear_in(&[0, 2]),
            ScatterKind::Mul => case.linear_in(&[0]),
            ScatterKind::Min | ScatterKind::Max => case,
        })
    });
    match kind {
        // Several updates may meet in one place.
        ScatterKind::Add | ScatterKind::Mul => row.reassociates().error(24.0),
        _ => row,
    }
}

/// The axes of a gather and of the scatter to the same places.
struct Places {
    operand: Shape,
    slice_sizes: Dims,
    indices: Shape,
    /// The shape of what is gathered, or of the updates.
    updates: Shape,
    collapsed: Dims,
    operand_batching: Dims,
    index_batching: Dims,
    map: Dims,
    windows: Dims,
}

impl Places {
    fn draw(source: &mut Source<'_>) -> Option<Self> {
        let operand = source.shape(0..=3);
        let rank = operand.rank();
        let batching = if rank > 0 && source.once_in(3) { 1 } else { 0 };
        let mut batch: Dims = (0..source.size(batching, 2)).map(|_| source.axis().min(3)).collect();
        let mut slice_sizes: Dims = operand.iter().map(|&size| source.size(size.min(1), size)).collect();
        let (mut collapsed, mut map) = (Dims::new(), Dims::new());
        let (mut operand_batching, mut index_batching) = (Dims::new(), Dims::new());
        if batching == 1 {
            let (axis, of) = (source.below(rank), source.below(batch.len()));
            operand_batching.push(axis);
            index_batching.push(of);
            (slice_sizes[axis], batch[of]) = (operand[axis].min(1), operand[axis]);
        }
        for axis in (0..rank).filter(|axis| !operand_batching.contains(axis)) {
            let kind = source.below(4);
            if kind > 0 {
                map.insert(source.size(0, map.len()), axis);
            }
            if kind == 1 {
                collapsed.push(axis);
                slice_sizes[axis] = 1;
            }
        }
        if slice_sizes.iter().zip(operand.iter()).any(|(slice, size)| slice > size) {
            return None;
        }
        let kept = (0..rank).filter(|axis| !collapsed.contains(axis) && !operand_batching.contains(axis));
        let kept: Dims = kept.map(|axis| slice_sizes[axis]).collect();
        let windows = source.subset_of(batch.len() + kept.len(), kept.len());
        let (mut slices, mut batches) = (kept.iter(), batch.iter());
        let updates = (0..batch.len() + kept.len())
            .filter_map(|axis| if windows.contains(&axis) { slices.next() } else { batches.next() })
            .copied()
            .collect();
        let indices = batch.iter().copied().chain([map.len()]).collect();
        Some(Places {
            operand,
            slice_sizes,
            indices,
            updates,
            collapsed,
            operand_batching,
            index_batching,
            map,
            windows,
        })
    }

    fn gather(&self) -> Index {
        let dims = GatherDims {
            offset_dims: self.windows.clone(),
            collapsed_slice_dims: self.collapsed.clone(),
            operand_batching_dims: self.operand_batching.clone(),
            start_indices_batching_dims: self.index_batching.clone(),
            start_index_map: self.map.clone(),
        };
        Index::Gather { dims, slice_sizes: self.slice_sizes.clone() }
    }

    fn scatter(&self, kind: ScatterKind) -> Index {
        let dims = ScatterDims {
            update_window_dims: self.windows.clone(),
            inserted_window_dims: self.collapsed.clone(),
            operand_batching_dims: self.operand_batching.clone(),
            scatter_indices_batching_dims: self.index_batching.clone(),
            scatter_dims_to_operand_dims: self.map.clone(),
        };
        Index::Scatter { kind, dims }
    }

    /// Some of them out of the operand, on either side.
    fn indices(&self, source: &mut Source<'_>) -> Operand {
        Operand::new(source.pick(&INDICES), &*self.indices, Domain::Integers(-1, 4))
    }
}
