//! Which plots a report has, and what is in them.

use std::fmt::Write;

use super::course::{TimeUnit, condensed};
use super::markup::escape;
use super::percentiles::percentiles;
use super::plot::{Axis, Form, Panel, Plot, Probe, Series};
use super::scale::Scale;
use crate::report::humane::{count, number, short, time, time_exact};
use crate::report::model::{Moment, Report, Step};

/// All plots of a report that have something to show.
pub(super) fn charts(report: &Report) -> Vec<String> {
    let moments = condensed(&report.timeline);
    let mut all: Vec<Figure> = Vec::new();
    all.extend(steps(report));
    all.extend(percentiles(report));
    all.extend(latency_over_time(&moments));
    all.extend(deliveries_over_time(&moments));
    all.iter().map(Figure::html).collect()
}

/// A plot with what stands around it.
pub(super) struct Figure {
    /// The plot.
    pub(super) plot: Plot,
    /// The keys of its colours: class and name.
    pub(super) keys: Vec<(String, String)>,
    /// What it says when nothing is pointed at.
    pub(super) said: String,
}

impl Figure {
    fn html(&self) -> String {
        let mut html = format!("<figure>\n<h3>{}</h3>\n", escape(&self.plot.title));
        if !self.keys.is_empty() {
            html.push_str("<p class=\"keys\">");
            for (class, name) in &self.keys {
                let drawn = match class.as_str() {
                    "held" => "<circle class=\"mark held\" cx=\"12\" cy=\"7\" r=\"5\"/>".to_owned(),
                    "missed" => "<path class=\"line missed\" d=\"M7 2l10 10m0 -10l-10 10\"/>".to_owned(),
                    "limited" => "<path class=\"line limited\" d=\"M12 1l6 6l-6 6l-6 -6Z\"/>".to_owned(),
                    "shade" => {
                        "<rect class=\"shade\" x=\"2\" y=\"0\" width=\"20\" height=\"14\"/>".to_owned()
                    }
                    class => format!("<path class=\"line {class}\" d=\"M1 7H23\"/>"),
                };
                let _ = write!(
                    html,
                    "<span><svg viewBox=\"0 0 24 14\" aria-hidden=\"true\">{drawn}</svg>{}</span> ",
                    escape(name)
                );
            }
            html.push_str("</p>\n");
        }
        html.push_str(&self.plot.svg());
        let _ = writeln!(html, "<figcaption class=\"said\">{}</figcaption>\n</figure>", escape(&self.said));
        html
    }
}

/// A vertical axis of times, which are spread over decades.
pub(super) fn times_axis(title: &str, values_us: impl Iterator<Item = f64>) -> Axis {
    Axis {
        title: title.to_owned(),
        scale: Scale::logarithmic(values_us.map(|value| if value > 0.0 { value.max(1.0) } else { value })),
        shown: time_exact,
        ticks: None,
    }
}

/// The horizontal axis of a run, its unit, and its warm-up.
fn course_axis(moments: &[Moment]) -> (Axis, TimeUnit, Option<(f64, f64)>) {
    let begin_s = moments.first().map_or(0.0, |moment| moment.at_s - moment.length_s);
    let end_s = moments.last().map_or(1.0, |moment| moment.at_s);
    let unit = TimeUnit::of(end_s);
    let scale = Scale::Linear {
        from: begin_s / unit.length_s,
        to: (end_s / unit.length_s).max(begin_s / unit.length_s + 1e-3),
    };
    let axis = Axis {
        title: format!("time since the load began, {}", unit.sign),
        scale,
        shown: number,
        ticks: None,
    };
    let warm = moments.iter().take_while(|moment| moment.warmup).last();
    (axis, unit, warm.map(|moment| (begin_s / unit.length_s, moment.at_s / unit.length_s)))
}

fn middle(moment: &Moment, unit: TimeUnit) -> f64 {
    (moment.at_s - moment.length_s / 2.0) / unit.length_s
}

fn measured(moments: &[Moment]) -> impl Iterator<Item = &Moment> {
    moments.iter().filter(|moment| !moment.warmup)
}

fn latency_over_time(moments: &[Moment]) -> Option<Figure> {
    if moments.iter().all(|moment| moment.max_us == 0) {
        return None;
    }
    let (x, unit, shaded) = course_axis(moments);
    type Line = (&'static str, &'static str, fn(&Moment) -> u64);
    const LINES: [Line; 3] = [
        ("max", "greatest", |moment| moment.max_us),
        ("p99", "99th percentile", |moment| moment.p99_us),
        ("p50", "median", |moment| moment.p50_us),
    ];
    // 0 is "nothing arrived", not "in no time": the line has a hole there.
    let height = |us: u64| if us == 0 { f64::NAN } else { us as f64 };
    let series = LINES.iter().map(|(class, _, of)| Series {
        class: (*class).to_owned(),
        form: Form::Line,
        points: moments.iter().map(|moment| (middle(moment, unit), height(of(moment)))).collect(),
    });
    let all = moments.iter().flat_map(|moment| [moment.p50_us, moment.p99_us, moment.max_us]);
    let panel = Panel {
        y: times_axis("latency (logarithmic)", all.map(|us| us as f64)),
        height: 1.0,
        series: series.collect(),
        rule: None,
        named: Vec::new(),
    };
    let worst = measured(moments).max_by_key(|moment| moment.p99_us);
    let worst = worst.map_or_else(String::new, |moment| {
        format!("Worst 99th percentile: {} at {}.", time(moment.p99_us as f64), time(moment.at_s * 1e6))
    });
    let probes = moments.iter().map(|moment| Probe {
        at: middle(moment, unit),
        says: format!(
            "{}: median {}, p99 {}, max {}",
            time_exact((moment.at_s * 1e6).round()),
            time(moment.p50_us as f64),
            time(moment.p99_us as f64),
            time(moment.max_us as f64)
        ),
    });
    let plot = Plot {
        id: "latency-over-time",
        title: "Latency over time".to_owned(),
        description: format!(
            "Median, 99th percentile and greatest latency of each moment of the run. {worst}"
        ),
        x,
        panels: vec![panel],
        shaded,
        probes: probes.collect(),
    };
    let keys = LINES.iter().map(|(class, name, _)| ((*class).to_owned(), (*name).to_owned()));
    Some(Figure { keys: keys.chain(key_of(&plot)).collect(), plot, said: worst })
}

fn deliveries_over_time(moments: &[Moment]) -> Option<Figure> {
    if moments.is_empty() {
        return None;
    }
    let (x, unit, shaded) = course_axis(moments);
    let per_s =
        |moment: &Moment| if moment.length_s > 0.0 { moment.received as f64 / moment.length_s } else { 0.0 };
    let counts_axis = |title: &str, greatest: f64| Axis {
        title: title.to_owned(),
        scale: Scale::linear_to(greatest),
        shown: short,
        ticks: None,
    };
    // Each stretch is as high as its rate over its whole length: no slope was measured.
    let stairs = |of: &dyn Fn(&Moment) -> f64| {
        let both = |moment: &Moment| {
            let (begin, end) = (moment.at_s - moment.length_s, moment.at_s);
            [(begin / unit.length_s, of(moment)), (end / unit.length_s, of(moment))]
        };
        moments.iter().flat_map(both).collect::<Vec<_>>()
    };
    let greatest = |of: &dyn Fn(&Moment) -> f64| moments.iter().map(of).fold(0.0, f64::max);
    let connected = |moment: &Moment| moment.connected as f64;
    let panel = |title: &str, class: &str, height: f64, of: &dyn Fn(&Moment) -> f64| Panel {
        y: counts_axis(title, greatest(of)),
        height,
        series: vec![Series { class: class.to_owned(), form: Form::Area, points: stairs(of) }],
        rule: None,
        named: Vec::new(),
    };
    let any = moments.iter().any(|moment| moment.received > 0);
    let mut panels = Vec::new();
    if any {
        panels.push(panel("deliveries a second", "deliveries", 2.0, &per_s));
    }
    panels.push(panel("connections", "connections", 1.0, &connected));
    let probes = moments.iter().map(|moment| Probe {
        at: middle(moment, unit),
        says: format!(
            "{}: {} deliveries a second, {} connections",
            time_exact((moment.at_s * 1e6).round()),
            short(per_s(moment)),
            count(moment.connected)
        ),
    });
    let (least, most) = measured(moments)
        .map(&per_s)
        .fold((f64::INFINITY, 0.0_f64), |(least, most), rate| (least.min(rate), most.max(rate)));
    let said = if any && least <= most {
        format!("Between {} and {} deliveries a second.", short(least), short(most))
    } else {
        format!("At most {} connections.", short(greatest(&connected)))
    };
    let plot = Plot {
        id: "deliveries-over-time",
        title: if any { "Deliveries over time" } else { "Connections over time" }.to_owned(),
        description: format!("Deliveries a second and open connections at each moment of the run. {said}"),
        x,
        panels,
        shaded,
        probes: probes.collect(),
    };
    Some(Figure { keys: key_of(&plot).into_iter().collect(), plot, said })
}

/// The key of what is shaded.
fn key_of(plot: &Plot) -> Option<(String, String)> {
    plot.shaded.map(|_| ("shade".to_owned(), "warm-up".to_owned()))
}

/// The goal of a search for the highest rate, in microseconds: `@p99=100ms`. One for another
/// percentile has no place in a plot of the 99th.
fn goal_us(report: &Report) -> Option<f64> {
    let goal = report.settings.get("rate")?.strip_prefix("@p99=")?;
    humantime::parse_duration(goal).ok().map(|goal| goal.as_secs_f64() * 1e6)
}

fn steps(report: &Report) -> Option<Figure> {
    if report.steps.is_empty() {
        return None;
    }
    let mut steps: Vec<&Step> = report.steps.iter().collect();
    steps.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let rates = || steps.iter().map(|step| step.rate);
    let (least, greatest) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    // A search doubles until it fails and then halves the rest: only a long one needs decades.
    let scale = if least > 0.0 && greatest / least > 20.0 {
        Scale::logarithmic(rates())
    } else {
        Scale::linear_to(greatest)
    };
    let goal = goal_us(report);
    let point = |step: &Step| (step.rate, if step.p99_us == 0 { f64::NAN } else { step.p99_us as f64 });
    let marks = |class: &str, form, which: &dyn Fn(&Step) -> bool| Series {
        class: class.to_owned(),
        form,
        points: steps.iter().filter(|step| which(step)).map(|step| point(step)).collect(),
    };
    let series = vec![
        Series {
            class: "path".to_owned(),
            form: Form::Line,
            points: steps.iter().map(|step| point(step)).collect(),
        },
        marks("limited", Form::Diamonds, &|step| step.generator_limited),
        marks("missed", Form::Crosses, &|step| !step.held && !step.generator_limited),
        marks("held", Form::Circles, &|step| step.held && !step.generator_limited),
    ];
    let keys = [("held", "kept"), ("missed", "not kept"), ("limited", "the generator was the limit")];
    let keys = keys.iter().zip([3, 2, 1]).filter(|(_, index)| !series[*index].points.is_empty());
    let keys = keys.map(|((class, name), _)| ((*class).to_owned(), (*name).to_owned())).collect();
    let probes = steps.iter().map(|step| Probe {
        at: step.rate,
        says: format!(
            "{} messages a second: p99 {}, max {}, {} lost: {}",
            number(step.rate),
            time(step.p99_us as f64),
            time(step.max_us as f64),
            count(step.lost),
            standing(step)
        ),
    });
    let said = crate::report::derived::highest_held(report).map_or_else(
        || "No rate was kept.".to_owned(),
        |step| {
            format!(
                "Highest rate kept: {} messages a second, p99 {}.",
                number(step.rate),
                time(step.p99_us as f64)
            )
        },
    );
    let values = steps.iter().map(|step| step.p99_us as f64).chain(goal);
    let panel = Panel {
        y: times_axis("latency, 99th percentile (logarithmic)", values),
        height: 1.0,
        series,
        rule: goal.map(|goal| (goal, format!("goal {}", time_exact(goal)))),
        named: Vec::new(),
    };
    let plot = Plot {
        id: "steps",
        title: "Search for the highest rate".to_owned(),
        description: format!("The 99th percentile of the latency at each rate tried. {said}"),
        x: Axis { title: "messages a second".to_owned(), scale, shown: short, ticks: None },
        panels: vec![panel],
        shaded: None,
        probes: probes.collect(),
    };
    Some(Figure { plot, keys, said })
}

/// What became of a step, in words.
pub(super) fn standing(step: &Step) -> &'static str {
    match (step.generator_limited, step.held) {
        (true, _) => "the generator was the limit",
        (false, true) => "kept",
        (false, false) => "not kept",
    }
}
