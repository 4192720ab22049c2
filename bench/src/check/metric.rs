//! A number out of a run's JSON: a sum over a pointer, perhaps less another, over a third.
//!
//! A pointer is that of RFC 6901 with one addition: `*` stands for every entry of a list or an
//! object. `/server/*/cpu_s` is the sum of all processes' CPU. That is the whole language: what
//! needs more belongs into the program that writes the JSON.

use serde::Deserialize;
use serde_json::Value;

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Costs: time, memory.
    #[default]
    Less,
    /// Yields: messages a second. The ratio that is judged is base / head.
    More,
}

/// What is compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The sum of all numbers that this pointer finds…
    pub sum: String,
    /// … less the sum of those that this one finds…
    pub minus: Option<String>,
    /// … over the sum of those that this one finds…
    pub over: Option<String>,
    /// … times this.
    #[serde(default = "one")]
    pub scale: f64,
    /// Unit of the result, for people.
    #[serde(default)]
    pub unit: String,
    /// By how much the head may be worse: 0.05 is 5 %.
    pub tolerance: f64,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

fn one() -> f64 {
    1.0
}

/// Why there is no number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The pointer leads nowhere.
    #[error("{0} finds nothing")]
    Missing(String),
    /// The pointer leads to something else.
    #[error("{0} finds {1}, which is no number")]
    NoNumber(String, String),
    /// A ratio to it means nothing.
    #[error("{0} is {1}, with which nothing can be compared")]
    Useless(String, String),
}

impl Metric {
    /// The number in this report: finite and above 0.
    ///
    /// # Errors
    /// A pointer finds nothing, or something else.
    pub fn read(&self, report: &Value) -> Result<f64, MetricError> {
        let minus = self.minus.as_deref().map_or(Ok(0.0), |pointer| sum(report, pointer))?;
        let over = self.over.as_deref().map_or(Ok(1.0), |pointer| sum(report, pointer))?;
        let value = (sum(report, &self.sum)? - minus) / over * self.scale;
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(MetricError::Useless(self.name.clone(), value.to_string()))
        }
    }

    /// How much worse head is than base: above 1 is worse.
    #[must_use]
    pub fn ratio(&self, base: f64, head: f64) -> f64 {
        match self.better {
            Better::Less => head / base,
            Better::More => base / head,
        }
    }
}

/// The sum of all numbers that a pointer finds.
///
/// # Errors
/// It finds nothing, or something else.
pub fn sum(report: &Value, pointer: &str) -> Result<f64, MetricError> {
    let found = find(report, pointer);
    if found.is_empty() {
        return Err(MetricError::Missing(pointer.into()));
    }
    let number = |value: &&Value| {
        value.as_f64().ok_or_else(|| MetricError::NoNumber(pointer.into(), value.to_string()))
    };
    found.iter().map(number).sum()
}

/// Everything that a pointer finds.
#[must_use]
pub fn find<'a>(report: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut found = vec![report];
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        let step = |value: &'a Value| -> Vec<&'a Value> {
            match value {
                Value::Array(list) if name == "*" => list.iter().collect(),
                Value::Object(members) if name == "*" => members.values().collect(),
                Value::Array(list) => {
                    name.parse::<usize>().ok().and_then(|index| list.get(index)).into_iter().collect()
                }
                Value::Object(members) => members.get(&name).into_iter().collect(),
                _ => Vec::new(),
            }
        };
        found = found.into_iter().flat_map(step).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: Result<f64, &str>) {
        let report = json!({
            "server": [{"cpu_s": 1.5, "before": 10, "after": 30}, {"cpu_s": 0.5, "before": 10, "after": 50}],
            "by": {"a": 1, "b": 2}, "received": 4000, "none": 0, "list": [], "text": "x", "a/b": 7,
        });
        let metric: Metric = toml::from_str(&format!("name = \"m\"\ntolerance = 0.05\n{text}")).unwrap();
        let read = metric.read(&report).map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn numbers_out_of_a_report() {
        let table: [(&str, Result<f64, &str>); 12] = [
            ("sum = '/received'", Ok(4_000.0)),
            ("sum = '/server/*/cpu_s'", Ok(2.0)),
            ("sum = '/server/1/cpu_s'", Ok(0.5)),
            ("sum = '/by/*'", Ok(3.0)),
            ("sum = '/a~1b'", Ok(7.0)),
            ("sum = '/server/*/cpu_s'\nover = '/received'\nscale = 1e6", Ok(500.0)),
            ("sum = '/server/*/after'\nminus = '/server/*/before'\nover = '/by/b'", Ok(30.0)),
            ("sum = '/server/2/cpu_s'", Err("/server/2/cpu_s finds nothing")),
            ("sum = '/list/*'", Err("/list/* finds nothing")),
            ("sum = '/text'", Err("/text finds \"x\", which is no number")),
            ("sum = '/received'\nover = '/none'", Err("m is inf, with which nothing can be compared")),
            ("sum = '/none'", Err("m is 0, with which nothing can be compared")),
        ];
        for (text, expected) in table {
            check(text, expected);
        }
    }

    #[test]
    fn above_one_is_worse_whichever_way_is_better() {
        for (better, expected) in [("less", 1.1), ("more", 1.0 / 1.1)] {
            let text = format!("name = 'm'\nsum = '/x'\ntolerance = 0\nbetter = '{better}'");
            let metric: Metric = toml::from_str(&text).unwrap();
            assert!((metric.ratio(10.0, 11.0) - expected).abs() < 1e-12, "{better}");
        }
    }
}
