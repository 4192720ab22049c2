//! Draws a plot as SVG: panels one above the other over a common horizontal axis.
//!
//! A plot is drawn twice, for a wide and for a narrow page, and the style sheet shows one: scaled
//! down to a phone, the letters of the wide one would be too small to read. It knows nothing of
//! reports. Colours are classes of the style sheet, so that light and dark are the page's affair.

use std::fmt::Write;

use super::markup::escape;
use super::scale::Scale;

/// A plot.
pub(super) struct Plot {
    /// Name of the plot within the page.
    pub(super) id: &'static str,
    /// What it is of.
    pub(super) title: String,
    /// What it shows, for who cannot see it.
    pub(super) description: String,
    /// The horizontal axis.
    pub(super) x: Axis,
    /// Panels from the top.
    pub(super) panels: Vec<Panel>,
    /// A stretch of the horizontal axis that is set apart.
    pub(super) shaded: Option<(f64, f64)>,
    /// What can be read off, from the left.
    pub(super) probes: Vec<Probe>,
}

/// An axis.
pub(super) struct Axis {
    /// What is on it.
    pub(super) title: String,
    /// From value to place.
    pub(super) scale: Scale,
    /// How a tick's value reads.
    pub(super) shown: fn(f64) -> String,
    /// Ticks, where the scale's own would not do.
    pub(super) ticks: Option<Vec<(f64, String)>>,
}

/// A panel: its own vertical axis.
pub(super) struct Panel {
    /// The vertical axis.
    pub(super) y: Axis,
    /// Its part of the plot's height.
    pub(super) height: f64,
    /// What is drawn, from behind.
    pub(super) series: Vec<Series>,
    /// A height that matters, and its name.
    pub(super) rule: Option<(f64, String)>,
    /// Points whose values are written out.
    pub(super) named: Vec<(f64, f64, String)>,
}

/// Something drawn in a panel.
pub(super) struct Series {
    /// Its colour: a class of the style sheet.
    pub(super) class: String,
    /// How it is drawn.
    pub(super) form: Form,
    /// Its points from the left; one that is not a number breaks the line.
    pub(super) points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A line.
    Line,
    /// A line, filled down to the axis.
    Area,
    /// A full circle at each point.
    Circles,
    /// A cross at each point.
    Crosses,
    /// A hollow diamond at each point.
    Diamonds,
}

/// What can be read off at one place.
pub(super) struct Probe {
    /// Where.
    pub(super) at: f64,
    /// What it says.
    pub(super) says: String,
}

/// The measures of a drawing, in units of the SVG.
struct Size {
    name: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    ticks_x: usize,
    ticks_y: usize,
    /// Width of a letter: no font can be asked how wide it draws.
    letter: f64,
}

const SIZES: [Size; 2] = [
    Size {
        name: "wide",
        width: 560.0,
        height: 320.0,
        left: 62.0,
        right: 16.0,
        top: 30.0,
        bottom: 44.0,
        ticks_x: 7,
        ticks_y: 7,
        letter: 7.0,
    },
    Size {
        name: "narrow",
        width: 340.0,
        height: 280.0,
        left: 56.0,
        right: 12.0,
        top: 28.0,
        bottom: 42.0,
        ticks_x: 4,
        ticks_y: 6,
        letter: 7.0,
    },
];

/// Height between two panels, in units of the SVG: the lower one's title stands there.
const BETWEEN_PANELS: f64 = 34.0;

impl Plot {
    /// The drawings, for wide and for narrow pages.
    pub(super) fn svg(&self) -> String {
        SIZES.iter().map(|size| Drawing { plot: self, size, svg: String::new() }.whole()).collect()
    }
}

struct Drawing<'a> {
    plot: &'a Plot,
    size: &'a Size,
    svg: String,
}

impl Drawing<'_> {
    fn whole(mut self) -> String {
        let Size { name, width, height, .. } = *self.size;
        let id = format!("{}-{name}", self.plot.id);
        let (title, description) = (escape(&self.plot.title), escape(&self.plot.description));
        let _ = write!(
            self.svg,
            "<svg class=\"plot {name}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{title}</title>\
             <desc id=\"{id}-desc\">{description}</desc>\n"
        );
        self.shade();
        let all: f64 = self.plot.panels.iter().map(|panel| panel.height).sum();
        let between = BETWEEN_PANELS * (self.plot.panels.len().max(1) - 1) as f64;
        let room = height - self.size.top - self.size.bottom - between;
        let mut top = self.size.top;
        for panel in &self.plot.panels {
            let tall = room * panel.height / all;
            self.panel(panel, top, top + tall, all);
            top += tall + BETWEEN_PANELS;
        }
        self.horizontal_axis();
        self.probes();
        self.svg.push_str("</svg>\n");
        self.svg
    }

    fn x(&self, value: f64) -> f64 {
        let Size { width, left, right, .. } = *self.size;
        left + self.plot.x.scale.place(value) * (width - left - right)
    }

    fn right_edge(&self) -> f64 {
        self.size.width - self.size.right
    }

    fn floor(&self) -> f64 {
        self.size.height - self.size.bottom
    }

    fn shade(&mut self) {
        let Some((from, to)) = self.plot.shaded else { return };
        let (from, to, top) = (self.x(from), self.x(to), self.size.top);
        let (wide, tall) = (to - from, self.floor() - top);
        let _ = writeln!(
            self.svg,
            "<rect class=\"shade\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\"/>"
        );
    }

    fn panel(&mut self, panel: &Panel, top: f64, floor: f64, all: f64) {
        let y = |value: f64| floor - panel.y.scale.place(value) * (floor - top);
        let (left, right) = (self.size.left, self.right_edge());
        let _ = writeln!(
            self.svg,
            "<text class=\"title\" x=\"8\" y=\"{:.1}\">{}</text>",
            top - 13.0,
            escape(&panel.y.title)
        );
        let part = panel.height / all;
        let most =
            [2, 3, 4, 5, 6, 7].into_iter().rfind(|most| *most as f64 <= self.size.ticks_y as f64 * part);
        let ticks = panel.y.scale.ticks(most.unwrap_or(2));
        for tick in ticks {
            let (at, text) = (y(tick), escape(&(panel.y.shown)(tick)));
            let _ = writeln!(
                self.svg,
                "<path class=\"grid\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>\
                 <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                left - 7.0,
                at + 4.0
            );
        }
        for series in &panel.series {
            self.series(series, &y, floor);
        }
        if let Some((value, name)) = &panel.rule {
            let at = y(*value);
            let _ = writeln!(
                self.svg,
                "<path class=\"rule\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>\
                 <text class=\"named\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left + 6.0,
                at - 5.0,
                escape(name)
            );
        }
        // From the right, where what matters most stands; a name without room is left out.
        let mut free_until = f64::INFINITY;
        for (x_value, y_value, name) in panel.named.iter().rev() {
            free_until = self.named(self.x(*x_value), y(*y_value), name, free_until);
        }
        let _ = writeln!(self.svg, "<path class=\"axis\" d=\"M{left:.1} {floor:.1}H{right:.1}\"/>");
    }

    /// A point and its value, above it to the left: a curve that rises leaves room there. Says up to
    /// where the next one has room.
    fn named(&mut self, x: f64, y: f64, name: &str, free_until: f64) -> f64 {
        let _ = writeln!(self.svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
        let from = x - 4.0 - name.chars().count() as f64 * self.size.letter;
        if x - 4.0 > free_until || from < self.size.left + self.size.letter {
            return free_until;
        }
        let (x, y, name) = (x - 4.0, y - 7.0, escape(name));
        let _ = writeln!(self.svg, "<text class=\"named end\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>");
        from
    }

    fn series(&mut self, series: &Series, y: &dyn Fn(f64) -> f64, floor: f64) {
        let class = &series.class;
        let mut line = String::new();
        let mut fill = String::new();
        let mut open = None;
        for (x_value, y_value) in &series.points {
            let (x, y) = (self.x(*x_value), y(*y_value));
            if !y_value.is_finite() {
                if let Some(last) = open.take() {
                    let _ = write!(fill, "L{last:.1} {floor:.1}Z");
                }
                continue;
            }
            match series.form {
                Form::Line | Form::Area => {
                    let letter = if open.is_some() { 'L' } else { 'M' };
                    if open.is_none() {
                        let _ = write!(fill, "M{x:.1} {floor:.1}L{x:.1} {y:.1}");
                    } else {
                        let _ = write!(fill, "L{x:.1} {y:.1}");
                    }
                    let _ = write!(line, "{letter}{x:.1} {y:.1}");
                    open = Some(x);
                }
                Form::Circles => {
                    let _ = writeln!(
                        self.svg,
                        "<circle class=\"mark {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>"
                    );
                }
                Form::Crosses => {
                    let _ = write!(line, "M{:.1} {:.1}l10 10m0 -10l-10 10", x - 5.0, y - 5.0);
                }
                Form::Diamonds => {
                    let _ = write!(line, "M{x:.1} {:.1}l6 6l-6 6l-6 -6Z", y - 6.0);
                }
            }
        }
        if series.form == Form::Area && !fill.is_empty() {
            let end = open.map_or_else(String::new, |last| format!("L{last:.1} {floor:.1}Z"));
            let _ = writeln!(self.svg, "<path class=\"area {class}\" d=\"{fill}{end}\"/>");
        }
        if !line.is_empty() {
            let _ = writeln!(self.svg, "<path class=\"line {class}\" d=\"{line}\"/>");
        }
    }

    fn horizontal_axis(&mut self) {
        let axis = &self.plot.x;
        let ticks = axis.ticks.clone().unwrap_or_else(|| {
            axis.scale.ticks(self.size.ticks_x).into_iter().map(|tick| (tick, (axis.shown)(tick))).collect()
        });
        let floor = self.floor();
        for (value, _) in &ticks {
            let _ = writeln!(self.svg, "<path class=\"axis\" d=\"M{:.1} {floor:.1}v4\"/>", self.x(*value));
        }
        // Where there is no room for all names, the ends matter most, and then what is on the right.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (value, text) in ticks.last().into_iter().chain(ticks.first()).chain(ticks.iter().rev().skip(1)) {
            let half = text.chars().count() as f64 * self.size.letter / 2.0;
            let centre = self.x(*value).min(self.size.width - half - 1.0);
            let (from, to) = (centre - half, centre + half);
            if taken.iter().all(|other| to + self.size.letter < other.0 || other.1 + self.size.letter < from)
            {
                taken.push((from, to));
                let (text, y) = (escape(text), floor + 18.0);
                let _ =
                    writeln!(self.svg, "<text class=\"middle\" x=\"{centre:.1}\" y=\"{y:.1}\">{text}</text>");
            }
        }
        let _ = writeln!(
            self.svg,
            "<text class=\"title end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            self.right_edge(),
            self.size.height - 6.0,
            escape(&axis.title)
        );
    }

    /// A band for each place where something can be read: its title is shown by the browser, or by
    /// the page's script, with a line at the place.
    fn probes(&mut self) {
        let (top, floor) = (self.size.top, self.floor());
        let _ = writeln!(self.svg, "<path class=\"cross\" d=\"M0 {top:.1}V{floor:.1}\"/>");
        let places: Vec<f64> = self.plot.probes.iter().map(|probe| self.x(probe.at)).collect();
        for (index, probe) in self.plot.probes.iter().enumerate() {
            let at = places[index];
            let before =
                index.checked_sub(1).map_or(self.size.left, |before| f64::midpoint(places[before], at));
            let after = places.get(index + 1).map_or(self.right_edge(), |after| f64::midpoint(*after, at));
            let _ = writeln!(
                self.svg,
                "<rect class=\"band\" data-x=\"{at:.1}\" x=\"{before:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{}</title></rect>",
                (after - before).max(0.0),
                floor - top,
                escape(&probe.says)
            );
        }
    }
}
