//! The table that the README quotes.

use super::peers::{Figures, OURS, Workload};

/// A Markdown table with a row per workload and framework.
pub fn markdown(workloads: &[Workload], figures: &[Figures]) -> String {
    let mut lines = Vec::new();
    for workload in workloads {
        let rows: Vec<_> = figures.iter().filter(|figures| figures.workload == workload.name).collect();
        let Some(ours) = rows.iter().find(|row| row.framework == OURS) else { continue };
        lines.push(format!("**{}**: {}\n", workload.name, workload.title));
        lines.push("| framework | median | fastest | median / ours | first step | peak memory |".into());
        lines.push("|---|--:|--:|--:|--:|--:|".into());
        for row in &rows {
            lines.push(format!(
                "| {} {} ({}) | {} | {} | {:.2} | {:.2} s | {} |",
                row.framework,
                row.version.split('+').next().unwrap_or_default(),
                row.engine,
                time(row.median_ms),
                time(row.min_ms),
                row.median_ms / ours.median_ms,
                row.first_step_s,
                row.peak_mb.map_or_else(|| "?".into(), |mb| format!("{mb:.0} MB")),
            ));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

/// A duration with three digits and a fitting unit.
fn time(ms: f64) -> String {
    let (value, unit) = if ms < 1e-3 {
        (ms * 1e6, "ns")
    } else if ms < 1.0 {
        (ms * 1e3, "µs")
    } else {
        (ms, "ms")
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_have_three_digits_and_a_fitting_unit() {
        assert_eq!(time(0.000_345), "345 ns");
        assert_eq!(time(0.012_34), "12.3 µs");
        assert_eq!(time(8.816), "8.82 ms");
        assert_eq!(time(1234.0), "1234 ms");
    }
}
