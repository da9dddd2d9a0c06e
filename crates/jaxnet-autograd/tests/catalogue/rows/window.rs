//! Reductions over sliding windows.

use jaxnet_tensor::primitive::{SelectKind, Window, WindowDims, WindowKind};
use jaxnet_tensor::{DType, Shape};

use super::domain::{Domain, for_floats};
use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let kinds = [
        ("reduce_window_sum", WindowKind::Sum),
        ("reduce_window_max", WindowKind::Max),
        ("reduce_window_min", WindowKind::Min),
    ];
    let mut rows: Vec<Row> = kinds
        .into_iter()
        .map(|(name, kind)| {
            let row = Row::new(name, Family::Window, numbers(), move |source, dtype| {
                let shape = source.shape(0..=3);
                let dilated = source.coin();
                let window = windows(source, &shape, dilated)?;
                let domain = match kind {
                    WindowKind::Sum => Domain::Range(-2.0, 2.0),
                    WindowKind::Max | WindowKind::Min => Domain::Distinct { part: 0, of: 1, cells: shape.size() },
                };
                let case = Case::new(
                    Window::ReduceWindow { kind, window },
                    [Operand::new(dtype, shape, for_floats(dtype, domain))],
                );
                Some(if kind == WindowKind::Sum { case.linear_in(&[0]) } else { case })
            });
            if kind == WindowKind::Sum { row.reassociates().error(8.0) } else { row }
        })
        .collect();
    rows.push(
        Row::new("select_and_scatter_add", Family::Window, numbers(), |source, dtype| {
            let shape = source.shape(0..=3);
            let window = windows(source, &shape, false)?;
            let windows = window.output_shape("a test", &shape).ok()?;
            let operands = [Operand::any(dtype, windows), selected(dtype, shape)];
            Some(Case::new(Window::SelectAndScatterAdd { select: select(source), window }, operands).linear_in(&[0]))
        })
        // Several windows may select one element.
        .reassociates()
        .error(16.0),
    );
    rows.push(Row::new("select_and_gather_add", Family::Window, numbers(), |source, dtype| {
        let shape = source.shape(0..=3);
        let dilated = source.coin();
        let window = windows(source, &shape, dilated)?;
        let operands = [Operand::any(dtype, &*shape), selected(dtype, shape)];
        Some(Case::new(Window::SelectAndGatherAdd { select: select(source), window }, operands).linear_in(&[0]))
    }));
    rows
}

fn numbers() -> impl Iterator<Item = DType> {
    DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool)
}

fn select(source: &mut Source<'_>) -> SelectKind {
    source.pick(&[SelectKind::Max, SelectKind::Min])
}

/// The operand among whose elements is selected.
fn selected(dtype: DType, shape: Shape) -> Operand {
    let domain = for_floats(dtype, Domain::Distinct { part: 0, of: 1, cells: shape.size() });
    Operand::new(dtype, shape, domain)
}

/// Windows of any geometry over an array of this shape, if they fit.
fn windows(source: &mut Source<'_>, shape: &Shape, dilated: bool) -> Option<WindowDims> {
    let rank = shape.rank();
    let mut window = WindowDims { strides: source.sizes(rank, 1, 3), ..WindowDims::new(source.sizes(rank, 1, 3)) };
    window.padding = (0..rank).map(|_| (source.between(-1, 2), source.between(-1, 2))).collect();
    if dilated {
        window.base_dilation = source.sizes(rank, 1, 3);
        window.window_dilation = source.sizes(rank, 1, 3);
    }
    window.output_shape("a test", shape).is_ok().then_some(window)
}
