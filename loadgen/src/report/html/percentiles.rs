//! The plot of a distribution by percentile, in HdrHistogram's manner: each further nine is as wide
//! as the one before, so that the slowest ten-thousandth is as visible as the median.

use hdrhistogram::Histogram;

use super::charts::{Figure, times_axis};
use super::plot::{Axis, Form, Panel, Plot, Probe, Series};
use super::scale::Scale;
use crate::report::humane::{time, time_exact};
use crate::report::model::{Distribution, Report};

/// Most distributions in one plot: so many colours can be told apart.
const DISTRIBUTIONS_MAX: usize = 4;
/// Most nines on the axis: 99.9999 %.
const NINES_MAX: i32 = 6;
/// Points of a line for each nine: at a plot's width, one every two or three pixels.
const POINTS_A_NINE: u32 = 48;

/// Where a quantile lies on the axis: 0.9 at 1, 0.99 at 2, 0.999 at 3.
fn place(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// Quantiles that can be read off, in per cent, with their places: tenths of each nine.
fn readable(nines: i32) -> Vec<(f64, String)> {
    let mut all = Vec::new();
    for nine in 0..nines {
        for tenth in 0..9_i32 {
            let quantile = 1.0 - 10_f64.powi(-nine) * f64::from(10 - tenth) / 10.0;
            let decimals = usize::try_from(nine - 1 - i32::from(tenth == 0)).unwrap_or(0);
            all.push((quantile, format!("{:.decimals$} %", quantile * 100.0)));
        }
    }
    all.push((1.0 - 10_f64.powi(-nines), percent_of_nines(nines)));
    all
}

fn percent_of_nines(nines: i32) -> String {
    let decimals = usize::try_from(nines - 2).unwrap_or(0);
    format!("{:.decimals$} %", 100.0 * (1.0 - 10_f64.powi(-nines)))
}

/// The plots of the latency, and of the other times: each with its own axis, for they may be
/// thousands of times apart.
pub(super) fn percentiles(report: &Report) -> Vec<Figure> {
    let latency = plotted("latency", "Latency by percentile", &[("latency", &report.latency)]);
    let title = if latency.is_some() { "Other times by percentile" } else { "Times by percentile" };
    let others: Vec<_> = report.times.iter().map(|(name, times)| (name.as_str(), times)).collect();
    latency.into_iter().chain(plotted("times", title, &others)).collect()
}

/// A distribution that has a line.
struct Drawn<'a> {
    name: &'a str,
    times: &'a Distribution,
    histogram: Histogram<u64>,
}

/// The plot of these; nothing where none of them was measured.
fn plotted(id: &'static str, title: &str, all: &[(&str, &Distribution)]) -> Option<Figure> {
    let measured = all.iter().filter(|(_, times)| times.count > 0);
    // A broken histogram has no line; its percentiles stand in the table all the same.
    let readable_ones =
        measured.filter_map(|&(name, times)| Some(Drawn { name, times, histogram: times.histogram().ok()? }));
    let drawn: Vec<Drawn> = readable_ones.take(DISTRIBUTIONS_MAX).collect();
    // As far as there are values to tell: of 500 values none is the 99.99th percentile.
    let end = drawn.iter().map(|drawn| last_place(&drawn.histogram)).fold(1.0, f64::max);
    let nines = (1..=NINES_MAX).rfind(|nines| f64::from(*nines) <= end).unwrap_or(1);
    let alone = drawn.len() == 1;
    let class = |index: usize| if alone { "t0".to_owned() } else { format!("t{}", index + 1) };
    let series: Vec<Series> = drawn
        .iter()
        .enumerate()
        .map(|(index, drawn)| Series {
            class: class(index),
            form: Form::Line,
            points: line(&drawn.histogram),
        })
        .collect();
    let values = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
    let y = times_axis("time (logarithmic)", values);
    let named = if alone { named(&drawn.first()?.histogram, nines) } else { Vec::new() };
    let panel = Panel { y, height: 1.0, series, rule: None, named };
    let probes = readable(nines).into_iter().map(|(quantile, percent)| {
        let values = drawn.iter().map(|drawn| {
            format!("{} {}", drawn.name, time(drawn.histogram.value_at_quantile(quantile) as f64))
        });
        Probe { at: place(quantile), says: format!("{percent}: {}", values.collect::<Vec<_>>().join(", ")) }
    });
    let ticks = [(0.0, "0 %".to_owned()), (place(0.5), "50 %".to_owned())]
        .into_iter()
        .chain((1..=nines).map(|nine| (f64::from(nine), percent_of_nines(nine))));
    let said = drawn.iter().map(|Drawn { name, times, .. }| {
        let (p50, p99) = (time(times.p50_us as f64), time(times.p99_us as f64));
        format!("{name}: median {p50}, p99 {p99}.")
    });
    let said = said.collect::<Vec<_>>().join(" ");
    let plot = Plot {
        id,
        title: title.to_owned(),
        description: format!("The value at each percentile, up to the greatest. {said}"),
        x: Axis {
            title: "percentile".to_owned(),
            scale: Scale::Linear { from: 0.0, to: end },
            shown: time_exact,
            ticks: Some(ticks.collect()),
        },
        panels: vec![panel],
        shaded: None,
        probes: probes.collect(),
    };
    let keys = drawn.iter().enumerate().map(|(index, drawn)| (class(index), drawn.name.to_owned()));
    let keys = if alone && drawn[0].name == "latency" { Vec::new() } else { keys.collect() };
    (!drawn.is_empty()).then_some(Figure { plot, keys, said })
}

/// Where the greatest of a histogram's values lies.
fn last_place(histogram: &Histogram<u64>) -> f64 {
    place(1.0 - 1.0 / histogram.len() as f64).clamp(1.0, f64::from(NINES_MAX))
}

/// The values written out: at each nine, as far as it keeps clear of the greatest.
fn named(histogram: &Histogram<u64>, nines: i32) -> Vec<(f64, f64, String)> {
    const CLEAR: f64 = 0.6;
    let end = last_place(histogram);
    let values = (1..=nines).map(f64::from).filter(|place| *place < end - CLEAR);
    let values = values.map(|place| (place, histogram.value_at_quantile(1.0 - 10_f64.powf(-place)), ""));
    let all = values.chain(std::iter::once((end, histogram.max(), "max ")));
    all.map(|(place, value, what)| (place, (value as f64).max(1.0), format!("{what}{}", time(value as f64))))
        .collect()
}

/// A distribution's line, as far as it has values: the last is its greatest.
fn line(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let end = last_place(histogram);
    let all = (0_u32..).map(|step| f64::from(step) / f64::from(POINTS_A_NINE));
    let places: Vec<f64> = all.take_while(|place| *place < end).collect();
    let values = histogram
        .value_at_quantiles(places.iter().map(|place| 1.0 - 10_f64.powf(-place)).collect::<Vec<_>>());
    let points = places.iter().copied().zip(values).chain(std::iter::once((end, histogram.max())));
    points.map(|(place, value)| (place, (value as f64).max(1.0))).collect()
}
