//! What is doubtful about some runs, gathered into few sentences: the same doubt of many runs differs in
//! its numbers alone, so it is said once, with the range of its numbers and whose runs it is about. Pure.

use super::options::title;
use super::results::Run;

/// A doubt that some runs share.
struct Doubt<'a> {
    /// Its words; nothing where a number stands.
    words: Vec<Option<&'a str>>,
    /// For each number, the least and the greatest.
    numbers: Vec<(f64, f64)>,
    /// Whose runs, and how many.
    runs: Vec<(&'a str, usize)>,
}

/// One sentence for each doubt that runs have, in the order in which they came up.
#[must_use]
pub fn gathered(runs: &[Run]) -> Vec<String> {
    let mut found: Vec<Doubt<'_>> = Vec::new();
    for run in runs {
        for text in &run.doubts {
            add(&mut found, text.trim_end_matches('.'), title(&run.server).trim_matches('*'));
        }
    }
    found.iter().map(Doubt::sentence).collect()
}

fn add<'a>(found: &mut Vec<Doubt<'a>>, text: &'a str, server: &'a str) {
    let numbers: Vec<f64> = text.split(' ').filter_map(number).collect();
    let words: Vec<Option<&str>> =
        text.split(' ').map(|word| number(word).is_none().then_some(word)).collect();
    let Some(doubt) = found.iter_mut().find(|doubt| doubt.words == words) else {
        let numbers = numbers.into_iter().map(|number| (number, number)).collect();
        found.push(Doubt { words, numbers, runs: vec![(server, 1)] });
        return;
    };
    for ((least, greatest), number) in doubt.numbers.iter_mut().zip(numbers) {
        *least = least.min(number);
        *greatest = greatest.max(number);
    }
    match doubt.runs.iter_mut().find(|(known, _)| *known == server) {
        Some((_, count)) => *count += 1,
        None => doubt.runs.push((server, 1)),
    }
}

/// A word that is a number, with commas between its thousands or without.
fn number(word: &str) -> Option<f64> {
    let is_number = word.starts_with(|first: char| first.is_ascii_digit());
    is_number.then(|| word.replace(',', "").parse().ok()).flatten()
}

impl Doubt<'_> {
    fn sentence(&self) -> String {
        let mut ranges = self.numbers.iter().map(|(least, greatest)| {
            if least == greatest { least.to_string() } else { format!("{least}–{greatest}") }
        });
        let words: Vec<String> =
            self.words.iter().filter_map(|word| word.map(str::to_owned).or_else(|| ranges.next())).collect();
        let runs: Vec<String> =
            self.runs.iter().map(|(server, count)| format!("{server}, {}", counted(*count, "run"))).collect();
        format!("{}: {}.", runs.join("; "), words.join(" "))
    }
}

/// So many of something, in English.
#[must_use]
pub fn counted(count: usize, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_doubt_is_said_once_with_the_range_of_its_numbers() {
        let run = |server: &str, doubts: &[&str]| Run {
            server: server.to_owned(),
            doubts: doubts.iter().map(|doubt| (*doubt).to_owned()).collect(),
            ..Run::default()
        };
        let runs = [
            run("bun", &["waited 28.2 % of 10 s: bad", "the run failed."]),
            run("chatup", &["waited 1,063.8 % of 10 s: bad"]),
            run("bun", &["waited 5 % of 10 s: bad"]),
            run("ws", &[]),
        ];
        let expected =
            ["Bun, 2 runs; ChatUp, 1 run: waited 5–1063.8 % of 10 s: bad.", "Bun, 1 run: the run failed."];
        assert_eq!(gathered(&runs), expected);
        assert!(gathered(&[]).is_empty());
    }
}
