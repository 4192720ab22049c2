//! The whole of `bench-check`, in a scratch repository whose "program" is a few shell scripts: what
//! it costs stands in files, so that a revision is exactly as slow as a test says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A counter that counts nothing: an iteration costs what the file of the case's name says.
const COUNT: &str = r#"
out=$1 folder=$2 case=$3 iterations=$4
printf 'events: Ir\nsummary: %s\n' $((5000 + $(cat "$folder/$case") * iterations)) > "$out"
"#;

/// A program whose run number `$2` takes the time in line `$2` of the file `times`, the last one
/// from then on; printed, or written to `$3`.
const MEASURE: &str = r#"
time=$(sed -n "$(($2 + 1))p" "$1/times"); [ -n "$time" ] || time=$(tail -n 1 "$1/times")
invalid=false; [ "$(cat "$1/invalid")" != "$2" ] || invalid=true
printf '{"runs": [{"cpu_s": %s}, {"cpu_s": 1}], "invalid": %s}' "$time" $invalid > "${3:-/dev/stdout}"
"#;

const CONFIG: &str = r#"
directory = "scratch/check"

[counted]
when = "cases"
build = ["sh build.sh {build}"]
list = "cat cases"
run = "{source}/costs {case} {iterations}"
counter = "sh count.sh {out}"
iterations = [10, 30]
tolerance = 0.01

[[paired]]
name = "server"
build = ["sh build.sh {build}"]
tools = ["sh build.sh {tools}"]
command = "sh measure.sh {source} {run}"
invalid = "/invalid"
pairs_max = 16
metric = [{ name = "cpu", sum = "/runs/0/cpu_s", unit = "s", tolerance = 0.05 }]
"#;

/// A repository with one commit, on the branch `main`.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench check {name}"));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("costs")).unwrap();
        let scratch = Scratch(root);
        for (path, text) in [
            ("check.toml", CONFIG),
            ("count.sh", COUNT),
            ("measure.sh", MEASURE),
            (
                "build.sh",
                "[ ! -e broken ] || { echo compiling; cat broken >&2; exit 3; }; date > \"$1/built\"\n",
            ),
            ("cases", "parse\nfan_out\n"),
            ("costs/parse", "1000\n"),
            ("costs/fan_out", "777\n"),
            ("times", "2.0\n"),
            ("invalid", "never\n"),
        ] {
            scratch.write(path, text);
        }
        scratch.git(&["init", "--quiet", "--initial-branch=main"]);
        scratch.commit();
        scratch
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@x.invalid"];
        let output =
            Command::new("git").args(identity).args(arguments).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
    }

    fn check(&self, arguments: &[&str]) -> Checked {
        let report = self.0.join("report.json");
        let _ = fs::remove_file(&report);
        let output = Command::new(env!("CARGO_BIN_EXE_bench-check"))
            .args(["--config", "check.toml", "--output", "report.json"])
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        let report = fs::read(report).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        Checked { output, report }
    }
}

struct Checked {
    output: Output,
    report: Value,
}

impl Checked {
    fn status(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The exit status and every verdict, by name.
    fn verdicts(&self) -> String {
        let of = |name: &Value, verdict: &Value| {
            format!("{}:{}", name.as_str().unwrap(), verdict.as_str().unwrap())
        };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let counted = list(&self.report["counted"]);
        let metrics: Vec<Value> =
            list(&self.report["paired"]).iter().flat_map(|run| list(&run["metrics"])).collect();
        let counted = counted.iter().map(|case| of(&case["case"], &case["verdict"]));
        let metrics = metrics.iter().map(|metric| of(&metric["name"], &metric["verdict"]));
        let verdicts: Vec<String> = counted.chain(metrics).collect();
        format!("{} {}", self.status(), verdicts.join(" "))
    }

    #[track_caller]
    fn expect(&self, verdicts: &str) {
        assert_eq!(self.verdicts(), verdicts, "{}", self.errors());
    }
}

#[test]
fn equal_revisions_are_quiet() {
    let scratch = Scratch::new("equal");
    let checked = scratch.check(&["--base", "main", "--head", "HEAD"]);
    checked.expect("0 parse:same fan_out:same cpu:same");
    let text = String::from_utf8_lossy(&checked.output.stdout).into_owned();
    assert!(text.contains("no regression: 3 same"), "{text}");
    // The look of 8 pairs was enough, and nothing of it all shows in the repository.
    assert_eq!(checked.report["paired"][0]["pairs"], 8);
    let status =
        Command::new("git").args(["status", "--porcelain"]).current_dir(&scratch.0).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&status.stdout), "?? report.json\n");
}

#[test]
fn ten_percent_more_is_caught_and_ten_percent_less_is_told() {
    let scratch = Scratch::new("ten percent");
    let table = [
        ("1100", "2.0", "1 parse:worse fan_out:same cpu:same"),
        ("1000", "2.2", "1 parse:same fan_out:same cpu:worse"),
        ("900", "1.8", "0 parse:better fan_out:same cpu:better"),
        ("1009", "2.09", "0 parse:same fan_out:same cpu:same"),
    ];
    for (cost, time, expected) in table {
        scratch.write("costs/parse", cost);
        scratch.write("times", time);
        // WORK against HEAD is what it does unless told otherwise.
        scratch.check(&[]).expect(expected);
    }
}

#[test]
fn a_patch_makes_a_revision() {
    let scratch = Scratch::new("patch");
    scratch.write("slow+down.patch", "--- a/costs/parse\n+++ b/costs/parse\n@@ -1 +1 @@\n-1000\n+1100\n");
    let checked = scratch.check(&["--base", "HEAD", "--head", "HEAD+slow+down.patch", "--quick"]);
    checked.expect("1 parse:worse fan_out:same");
    assert_eq!(checked.report["counted"][0]["ratio"], 1.1);
    assert_eq!(checked.report["head"]["name"], "HEAD+slow+down.patch");
    scratch.write("costs/parse", "1001");
    let checked = scratch.check(&["--base", "HEAD", "--head", "WORK+slow+down.patch"]);
    assert_eq!(checked.status(), 2);
    assert!(checked.errors().contains("patch does not apply"), "{}", checked.errors());
}

#[test]
fn noise_is_not_taken_for_an_answer() {
    let scratch = Scratch::new("noise");
    // Every third pair is as fast, the others are 12 % slower or faster: more pairs do not help.
    let times = ["2.24", "1.79", "2.0"].iter().cycle().take(16).copied().collect::<Vec<&str>>().join("\n");
    scratch.write("times", &times);
    let checked = scratch.check(&["--only", "server"]);
    checked.expect("0 cpu:cannot_tell");
    let run = &checked.report["paired"][0];
    assert_eq!((&run["pairs"], &run["metrics"][0]["looked_after"]), (&16.into(), &16.into()));
    let text = String::from_utf8_lossy(&checked.output.stdout).into_owned();
    assert!(text.contains("no regression: 1 cannot tell"), "{text}");
}

#[test]
fn one_bad_pair_is_outvoted_by_more() {
    let scratch = Scratch::new("outlier");
    // After 8 pairs the interval holds the outlier; after 16 it does not.
    scratch.write("times", "2.0\n2.0\n9.0\n2.0\n");
    let checked = scratch.check(&["--only", "server"]);
    checked.expect("0 cpu:same");
    assert_eq!(checked.report["paired"][0]["pairs"], 16);
}

#[test]
fn what_is_not_to_be_believed_does_not_count() {
    let scratch = Scratch::new("invalid");
    scratch.write("invalid", "3\n");
    let checked = scratch.check(&["--only", "server"]);
    checked.expect("0 cpu:same");
    assert_eq!(
        (&checked.report["paired"][0]["discarded"], &checked.report["paired"][0]["pairs"]),
        (&1.into(), &8.into())
    );
}

#[test]
fn a_machine_that_cannot_be_believed_gets_no_answer_and_soon() {
    let scratch = Scratch::new("never valid");
    let measure = MEASURE.replace("invalid=false;", "invalid=true;");
    scratch.write("measure.sh", &measure);
    scratch.write("times", "9.0\n");
    let checked = scratch.check(&["--only", "server"]);
    checked.expect("0 cpu:cannot_tell");
    let run = &checked.report["paired"][0];
    assert_eq!((&run["discarded"], &run["pairs"]), (&9.into(), &0.into()));
}

#[test]
fn the_report_may_be_a_file_and_the_name_may_hold_blanks() {
    let scratch = Scratch::new("file");
    let config =
        CONFIG.replace("{source} {run}", "{source} {run} {report}").replace("\"server\"", "\"the server\"");
    scratch.write("check.toml", &config);
    scratch.check(&["--only", "the server"]).expect("0 cpu:same");
}

#[test]
fn cases_of_one_revision_are_told_and_fail_nothing() {
    let scratch = Scratch::new("missing");
    scratch.write("cases", "parse\nnew\n");
    scratch.write("costs/new", "5\n");
    scratch.check(&["--quick"]).expect("0 parse:same new:only_in_head fan_out:only_in_base");

    // A base from before there were cases at all: it is not even built.
    fs::remove_file(scratch.0.join("cases")).unwrap();
    scratch.write("broken", "no cases yet\n");
    scratch.commit();
    fs::remove_file(scratch.0.join("broken")).unwrap();
    scratch.write("cases", "parse\n");
    scratch.check(&["--quick"]).expect("0 parse:only_in_head");
}

#[test]
fn a_broken_build_is_named_with_its_last_words() {
    let scratch = Scratch::new("broken");
    scratch.write("broken", "error[E0425]: cannot find value `x`\n");
    scratch.commit();
    let checked = scratch.check(&["--base", "HEAD~1", "--head", "HEAD"]);
    let errors = checked.errors();
    assert_eq!((checked.status(), &checked.report), (2, &Value::Null), "{errors}");
    for part in ["head HEAD (", "sh build.sh ", "exit status: 3", "    error[E0425]: cannot find value `x`"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(!errors.contains("sh measure.sh"), "{errors}");
}

#[test]
fn whatever_cannot_be_done_is_said() {
    let scratch = Scratch::new("cannot");
    let with = |from: &str, to: &str| CONFIG.replace(from, to);
    let table = [
        (CONFIG.to_owned(), vec!["--base", "nowhere"], "nowhere: git rev-parse"),
        (CONFIG.to_owned(), vec!["--head", "HEAD+no.patch"], "no.patch"),
        (
            CONFIG.to_owned(),
            vec!["--only", "nothing"],
            "there is nothing named \"nothing\"; there are: server, counted",
        ),
        (CONFIG.to_owned(), vec!["--pairs", "3"], "pairs must be"),
        (with("0.05", "'x'"), vec![], "invalid type"),
        (
            with("sh count.sh {out}", "no-such-counter {out}"),
            vec![],
            "there is no program \"no-such-counter\"",
        ),
        (with("costs {case}", "cost {case}"), vec![], "exit status"),
        (with("cat cases", "false"), vec![], "(it printed nothing)"),
        (with("/runs/0/cpu_s", "/runs/7/cpu_s"), vec![], "server: /runs/7/cpu_s finds nothing"),
        (with("/invalid", "/nothing"), vec![], "server: /nothing finds nothing"),
        (with("sh measure.sh", "echo"), vec![], "expected value"),
        (with("pairs_max = 16", "pairs_max = 16\ntimeout_s = 0"), vec![], "did not end within 0 s"),
    ];
    for (config, arguments, expected) in table {
        scratch.write("check.toml", &config);
        let checked = scratch.check(&arguments);
        assert_eq!(checked.status(), 2, "{arguments:?}: {}", checked.errors());
        assert!(checked.errors().contains(expected), "{expected}: {}", checked.errors());
    }
    scratch.write("check.toml", CONFIG);
    assert_eq!(scratch.check(&["--speed"]).status(), 2);
}

/// What is laid out anew is only what differs: else every build would be a build of everything.
#[test]
fn files_that_stay_keep_their_time() {
    let scratch = Scratch::new("times");
    let time = |path: &str| {
        let path = scratch.0.join("scratch/check/head/source").join(path);
        fs::metadata(path).and_then(|found| found.modified())
    };
    scratch.write("costs/gone", "1\n");
    scratch.check(&["--quick"]).expect("0 parse:same fan_out:same");
    let (same, changed) = (time("costs/fan_out").unwrap(), time("costs/parse").unwrap());
    scratch.write("costs/parse", "1001\n");
    fs::remove_file(scratch.0.join("costs/gone")).unwrap();
    scratch.check(&["--quick"]).expect("0 parse:same fan_out:same");
    assert_eq!(time("costs/fan_out").unwrap(), same);
    assert_ne!(time("costs/parse").unwrap(), changed);
    assert!(time("costs/gone").is_err());
    assert!(scratch.0.join("scratch/check/base/build/built").exists());
}

/// The slowdown that `make bench-check-proof` puts in must fit the sources as they are.
#[test]
fn the_slowdown_applies_to_this_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("git")
        .args(["apply", "--check", "bench/slowdown.patch"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "renew bench/slowdown.patch: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
