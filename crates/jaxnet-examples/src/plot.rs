//! Curves in PNG files.

use std::path::Path;

use jaxnet_tensor::{Error, Result};
use plotters::prelude::*;

use crate::image;
use crate::text;

const WIDTH: u32 = 800;
const HEIGHT: u32 = 500;
const COLORS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 39, 40), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];

/// A named curve through points with ascending x.
pub struct Curve<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Its points. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Draws curves into a PNG file; its folder is made.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save(path: impl AsRef<Path>, title: &str, curves: &[Curve<'_>]) -> Result<()> {
    let path = path.as_ref();
    let mut pixels = vec![255; (WIDTH * HEIGHT * 3) as usize];
    draw(&mut pixels, title, curves).map_err(|error| Error::invalid("plot", error))?;
    image::save(path, image::Pixels { width: WIDTH, height: HEIGHT, rgb: &pixels })
}

fn draw(pixels: &mut [u8], title: &str, curves: &[Curve<'_>]) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let curves: Vec<(&str, Vec<(f64, f64)>)> = curves
        .iter()
        .map(|curve| {
            let finite = curve.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            (curve.name, finite.collect())
        })
        .collect();
    let range = |part: fn(&(f64, f64)) -> f64| {
        let all = curves.iter().flat_map(|(_, points)| points).map(part);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        match (low.is_finite(), low < high) {
            (true, true) => (low, high),
            (true, false) => (low - 0.5, high + 0.5),
            _ => (0.0, 1.0),
        }
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let margin = (high - low) * 0.05;

    let root = BitMapBackend::with_buffer(pixels, (WIDTH, HEIGHT)).into_drawing_area();
    let write = |label: &str, x: i32, y: i32, color: RGBColor| {
        let inside =
            |&(dx, dy): &(i32, i32)| (0..WIDTH as i32).contains(&(x + dx)) && (0..HEIGHT as i32).contains(&(y + dy));
        let mut dots = text::pixels(label).into_iter().filter(inside);
        dots.try_for_each(|(dx, dy)| root.draw_pixel((x + dx, y + dy), &color)).map_err(|error| say(&error))
    };
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .margin_top(50)
        .margin_left(80)
        .margin_bottom(40)
        .build_cartesian_2d(left..right, low - margin..high + margin)
        .map_err(|error| say(&error))?;

    // Grid and labels by hand: the library's own need a font.
    let (xs, ys) = (ticks(left, right), ticks(low - margin, high + margin));
    let (gray, black) = (RGBColor(225, 225, 225), RGBColor(60, 60, 60));
    let vertical = xs.iter().map(|&x| PathElement::new([(x, low - margin), (x, high + margin)], gray));
    let horizontal = ys.iter().map(|&y| PathElement::new([(left, y), (right, y)], gray));
    chart.draw_series(vertical.chain(horizontal)).map_err(|error| say(&error))?;
    for &x in &xs {
        let (label, (at, bottom)) = (label(x, &xs), chart.backend_coord(&(x, low - margin)));
        write(&label, at - text::width(&label) / 2, bottom + 8, black)?;
    }
    for &y in &ys {
        let (label, (edge, at)) = (label(y, &ys), chart.backend_coord(&(left, y)));
        write(&label, edge - 8 - text::width(&label), at - text::HEIGHT / 2, black)?;
    }
    write(title, 80, 30 - text::HEIGHT / 2, black)?;

    // Names stand side by side above the curves, where they hide none of them.
    let mut end = WIDTH as i32 - 20;
    for (i, (name, points)) in curves.iter().enumerate().rev() {
        let color = COLORS[i % COLORS.len()];
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        chart.draw_series(line).map_err(|error| say(&error))?;
        write(name, end - text::width(name), 30 - text::HEIGHT / 2, color)?;
        end -= text::width(name) + 20;
    }
    drop(chart);
    root.present().map_err(|error| say(&error))
}

/// About half a dozen round numbers within a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|x| *x <= high).take(20).collect()
}

/// A tick with as many digits as tell it from its neighbours.
fn label(x: f64, ticks: &[f64]) -> String {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(1.0);
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{x:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |low, high| ticks(low, high).iter().map(|x| label(*x, &ticks(low, high))).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(0.03, 0.31), ["0.05", "0.10", "0.15", "0.20", "0.25", "0.30"]);
        assert_eq!(labels(-1.0, 1.0), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
    }
}
