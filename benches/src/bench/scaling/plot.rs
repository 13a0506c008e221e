//! Line charts side by side, as an SVG: the horizontal axis in powers of ten, the vertical one from zero.

use std::fmt::Write;

pub struct Chart {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub series: Vec<Series>,
}

pub struct Series {
    pub name: String,
    /// Series of one hue belong together; their shades follow one another.
    pub hue: usize,
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 300.0;
/// Around the axes of a chart.
const LEFT: f64 = 62.0;
const TOP: f64 = 46.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 48.0;
const LEGEND_LINE: f64 = 17.0;
/// Light to dark, for each hue.
const SHADES: [[&str; 4]; 2] =
    [["#9ecae1", "#4292c6", "#2171b5", "#08306b"], ["#fdae6b", "#f16913", "#d94801", "#7f2704"]];

pub fn svg(charts: &[Chart], note: &str) -> String {
    let width = (LEFT + WIDTH + RIGHT) * charts.len() as f64;
    let legend_lines = charts.iter().map(|chart| chart.series.len().div_ceil(2)).max().unwrap_or(0);
    let height = TOP + HEIGHT + BOTTOM + (legend_lines as f64 + 2.0) * LEGEND_LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, chart) in charts.iter().enumerate() {
        let at = (LEFT + WIDTH + RIGHT) * index as f64 + LEFT;
        let _ = writeln!(svg, "<g transform=\"translate({at} {TOP})\">");
        draw(&mut svg, chart);
        svg.push_str("</g>\n");
    }
    text(&mut svg, 16.0, height - 12.0, "start", note);
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, chart: &Chart) {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let low = points().map(|point| point.0.log10()).fold(f64::INFINITY, f64::min).floor();
    let high = points().map(|point| point.0.log10()).fold(low + 1.0, f64::max).ceil();
    let top = points().map(|point| point.1).filter(|y| y.is_finite()).fold(0.0, f64::max);
    let step = step(top);
    let top = (top / step).ceil().max(1.0) * step;
    let across = |x: f64| (x.log10() - low) / (high - low) * WIDTH;
    let down = |y: f64| HEIGHT - y / top * HEIGHT;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"-22\" text-anchor=\"middle\" font-size=\"15\" font-weight=\"bold\">{}</text>",
        WIDTH / 2.0,
        chart.title
    );
    text(svg, -LEFT + 12.0, -8.0, "start", chart.y);
    for tick in 0..=(top / step).round() as usize {
        let y = down(tick as f64 * step);
        line(svg, (0.0, y), (WIDTH, y), "#ddd");
        text(svg, -6.0, y + 4.0, "end", &short(tick as f64 * step));
    }
    for power in low as i32..=high as i32 {
        let x = across(10f64.powi(power));
        line(svg, (x, 0.0), (x, HEIGHT), "#ddd");
        text(svg, x, HEIGHT + 16.0, "middle", &short(10f64.powi(power)));
    }
    text(svg, WIDTH / 2.0, HEIGHT + 34.0, "middle", chart.x);
    for (index, series) in chart.series.iter().enumerate() {
        let colour = colour(chart, index);
        let points = series.points.iter().filter(|point| point.1.is_finite());
        let points: Vec<(f64, f64)> = points.map(|&(x, y)| (across(x), down(y))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in points {
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        // The legend has a column for each hue, if these have as many series.
        let rows = chart.series.len().div_ceil(2);
        let (column, row) = (index / rows, index % rows);
        let (x, y) =
            (column as f64 * WIDTH / 2.0, HEIGHT + BOTTOM + (row as f64 + 0.5) * LEGEND_LINE);
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            x + 24.0
        );
        text(svg, x + 30.0, y + 4.0, "start", &series.name);
    }
}

/// Between lines of the grid: 1, 2 or 5 times a power of ten, so that there are four to ten of them.
fn step(top: f64) -> f64 {
    let power = 10f64.powf((top.max(1e-9) / 4.0).log10().floor());
    let times = [5.0, 2.0].into_iter().find(|times| top / (power * times) >= 4.0);
    power * times.unwrap_or(1.0)
}

fn colour(chart: &Chart, index: usize) -> &'static str {
    let hue = chart.series[index].hue;
    let same = |series: &&Series| series.hue == hue;
    let count = chart.series.iter().filter(same).count();
    let place = chart.series[..index].iter().filter(same).count();
    let shades = &SHADES[hue % SHADES.len()];
    // The few take the middle.
    shades[(place + (shades.len() - count.min(shades.len())) / 2).min(shades.len() - 1)]
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// With k and M for thousands and millions.
fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{} M", number / 1e6),
        1e4.. => format!("{} k", number / 1e3),
        _ => format!("{}", (number * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!([4.0, 9.0, 19.0, 40.0, 950.0].map(step), [1.0, 2.0, 2.0, 10.0, 200.0]);
    }

    #[test]
    fn every_series_is_drawn() {
        let series = |hue| Series {
            name: format!("line {hue}"),
            hue,
            points: vec![(10.0, 1.0), (100.0, f64::NAN), (1000.0, 3.0)],
        };
        let chart = Chart { title: "t", x: "x", y: "y", series: vec![series(0), series(1)] };
        let svg = svg(&[chart], "note");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(!svg.contains("NaN"));
    }
}
