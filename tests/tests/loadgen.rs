//! The load generator against the real server: every scenario, nothing lost; and PushStream's subscribers.
//! (That it would say so if something were lost is shown in loadgen/tests/truth.rs.)

use std::path::PathBuf;
use std::process::{Command, Output};

use chatup_tests::Server;
use chatup_tests::server::{program, scratch};
use serde_json::Value;

/// A finished run: its exit status and its report.
fn loadgen(arguments: &[&str]) -> (Output, Value) {
    let folder = scratch("loadgen");
    let file = folder.join("report.json");
    let output = Command::new(program().with_file_name("loadgen"))
        .args(arguments)
        .args(["--quiet", "--output"])
        .arg(&file)
        .output()
        .expect("loadgen is built beside this test");
    let report = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no report: {output:?}"));
    let _ = std::fs::remove_dir_all(&folder);
    (output, serde_json::from_str(&report).expect("JSON"))
}

/// Runs it and looks at what holds for every scenario.
fn check(arguments: &str) -> Value {
    let mut all: Vec<&str> = arguments.split_whitespace().collect();
    let bin: PathBuf = program();
    let bin = bin.to_str().expect("a path");
    if all.contains(&"--spawn") {
        all.extend(["--server-bin", bin]);
    }
    let (output, report) = loadgen(&all);
    assert!(output.status.success(), "{arguments}: {output:?}");
    let deliveries = &report["deliveries"];
    for fault in ["lost", "duplicated", "reordered", "gaps_silent", "gaps_told", "order_conflicts"] {
        assert_eq!(deliveries[fault], 0, "{arguments}: {fault}: {deliveries}");
    }
    assert_eq!(deliveries["received"], deliveries["expected"], "{arguments}");
    assert_eq!(report["clients"]["connected"], report["clients"]["asked"], "{arguments}");
    assert_eq!(report["clients"]["disconnected"], 0, "{arguments}: {}", report["clients"]);
    assert_eq!(report["messages"]["unsent"], 0, "{arguments}");
    assert_eq!(report["messages"]["refused"], serde_json::json!({}), "{arguments}");
    report
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a whole number: {value}"))
}

#[test]
fn fanout_and_chat() {
    for (arguments, published, received) in [
        ("fanout --spawn --clients 50 --rate 40 --duration 1s --warmup 0s", 40, 2_000),
        (
            "fanout --spawn --clients 60 --channels 6 --rate 60 --duration 1s --warmup 0s --processes 2",
            60,
            600,
        ),
        // Two servers side by side: each message is published at both.
        ("fanout --spawn --workers 2 --clients 50 --rate 40 --duration 1s --warmup 0s", 80, 2_000),
        (
            "fanout --spawn --shards 2 --clients 50 --publishers 3 --rate 40 --duration 1s --size 4000",
            40,
            2_000,
        ),
    ] {
        let report = check(arguments);
        assert_eq!(number(&report["messages"]["acknowledged"]), published, "{arguments}");
        assert_eq!(number(&report["deliveries"]["received"]), received, "{arguments}");
    }
    let report =
        check("chat --spawn --clients 200 --channels 9 --talkers 10% --rate 50 --duration 1s --seed 7");
    assert_eq!(number(&report["messages"]["acknowledged"]), 50);
}

#[test]
fn pushstream_subscribers() {
    for mode in ["websocket", "eventsource", "streaming", "long-polling", "polling", "jsonp"] {
        for more in ["", "--shards 2 --channels 3 --publishers 2 --server-set worker.flush_interval_ms=50"] {
            let arguments = format!(
                "fanout --spawn --protocol pushstream-{mode} --poll-interval 100ms --clients 50 --rate 40 \
                 --duration 1s --warmup 0s --drain 10s {more}"
            );
            let report = check(&arguments);
            assert_eq!(number(&report["messages"]["acknowledged"]), 40, "{arguments}");
        }
    }
    for mode in ["eventsource", "long-polling", "jsonp"] {
        let report = check(&format!(
            "reconnect-storm --spawn --protocol pushstream-{mode} --clients 100 --rate 50 --duration 2s --drain 10s"
        ));
        assert_eq!(report["figures"]["resumed_total"].as_f64(), Some(100.0), "{mode}");
    }
}

#[test]
fn compressed() {
    let run =
        "fanout --spawn --shards 2 --clients 50 --publishers 3 --rate 40 --duration 1s --size 1000 --seed 5";
    let bytes = |arguments: &str| number(&check(arguments)["deliveries"]["bytes"]);
    let (plain, compressed) =
        (bytes(run), bytes(&format!("{run} --deflate --server-set worker.deflate=true")));
    assert!(compressed * 3 < plain, "{compressed} bytes of {plain}");
    // A server that does not compress is no server to measure that at.
    let bin = program();
    let output = Command::new(bin.with_file_name("loadgen"))
        .args("fanout --spawn --clients 1 --duration 100ms --deflate --quiet --server-bin".split(' '))
        .arg(bin)
        .output()
        .expect("loadgen is built beside this test");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the server does not compress"), "{output:?}");
}

#[test]
fn comings_and_goings() {
    let report = check("churn --spawn --clients 100 --lifetime 500ms --rate 40 --duration 2s --seed 3");
    assert!(report["figures"]["churned_total"].as_f64().expect("a figure") > 100.0, "{report}");

    let report = check("reconnect-storm --spawn --shards 2 --clients 200 --rate 50 --duration 3s");
    let figures = &report["figures"];
    assert_eq!(
        (figures["cut_total"].as_f64(), figures["resumed_total"].as_f64()),
        (Some(200.0), Some(200.0))
    );
    assert_eq!(figures["not_recovered_total"].as_f64(), Some(0.0), "all went on where they were: {figures}");
    assert_eq!(number(&report["times"]["resume"]["count"]), 200);

    let report = check("connect --spawn --clients 50 --handshakes 100 --duration 1s");
    let connects = report["figures"]["connects_total"].as_f64().expect("a figure");
    assert!((90.0..=101.0).contains(&connects), "{connects}");
}

#[test]
fn idle_slow_and_saturated() {
    let report = check("idle --spawn --clients 300 --duration 200ms");
    assert!(number(&report["server"][0]["resident_connected_bytes"]) > 0);

    let report = check("slow --spawn --clients 40 --slow-share 25% --rate 40 --duration 1s");
    assert_eq!(number(&report["deliveries"]["expected"]), 40 * 30, "the slow ones are owed nothing");

    let report =
        check("slow --spawn --clients 40 --channels 4 --slow-share 50% --rate 40 --duration 1s --seed 5");
    let expected = number(&report["deliveries"]["expected"]);
    assert!(expected > 0 && expected < 40 * 40, "some in most channels: {expected}");

    let report =
        check("saturate --spawn --clients 20 --rate @p90=100ms --step 100ms --drain 500ms --precision 100%");
    let steps = report["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["held"] == true), "{steps:?}");
}

#[test]
fn bystanders_beside_a_huge_room_a_flood_and_handshakes() {
    for more in ["", "--shards 2 --processes 4", "--workers 2 --channels 3"] {
        let arguments = format!(
            "fairness --spawn --clients 200 --rate 60 --crowd-rate 5 --flood-rate 300 --handshakes 40 \
             --duration 1s --warmup 200ms {more}"
        );
        let report = check(&arguments);
        let figures = &report["figures"];
        for part in ["quiet", "crowd", "flood", "handshakes"] {
            for figure in [format!("p50_{part}_us"), format!("p99_{part}_us")] {
                assert!(figures[&figure].as_f64().is_some_and(|us| us > 0.0), "{figure}: {figures}");
            }
        }
        assert!(figures["connects_total"].as_f64().is_some_and(|connects| connects > 0.0), "{figures}");
        // Each delivery is timed once: the bystanders' (100 in rooms of five, three parts), the crowd's
        // and the flood's. Of two servers each has its part of the clients.
        let times = &report["times"];
        let counts = ["crowd", "flood"].map(|name| number(&times[name]["count"]));
        assert_eq!(counts, [5 * 95, 300 * 5], "{arguments}");
        if !more.contains("channels") {
            assert_eq!(number(&report["latency"]["count"]), 3 * 60 * 5, "{arguments}");
        }
        let all = number(&report["latency"]["count"]) + counts.iter().sum::<u64>();
        assert_eq!(number(&report["deliveries"]["received"]), all, "{arguments}");
    }
}

#[test]
fn through_a_dispatcher_with_tokens_of_each_kind() {
    let server = Server::start(&["--shards", "2"]);
    // The dispatcher has keys for trying out, and makes a token for anybody.
    let target = format!("--dispatcher {} --clients 30 --rate 40 --duration 1s", server.url);
    check(&format!("fanout {target}"));
    check(&format!("chat --talkers 20% {target}"));
    check(&format!("reconnect-storm {target}"));
    // The worker itself makes none: tokens come from a file, or are signed with the key.
    let folder = scratch("tokens");
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, format!("{}\n", server.token_for("one"))).expect("a file");
    let key = server.state().join("demo-private.pem");
    let target = format!("--worker http://{} --clients 30 --rate 40 --duration 1s", server.worker);
    check(&format!("fanout {target} --tokens {}", tokens.display()));
    check(&format!("chat {target} --key-file {}", key.display()));
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn what_cannot_be_is_said() {
    // Each text is longer than the server takes: all refused, nobody owed anything, nothing measured.
    let bin = program();
    let bin = bin.to_str().expect("a path");
    let long = "fanout --spawn --clients 5 --rate 20 --duration 1s --warmup 0s --size 5000 --server-bin";
    let (output, report) = loadgen(&long.split_whitespace().chain([bin]).collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report["messages"]["refused"], serde_json::json!({ "message_too_long": 20 }));
    for nothing in ["expected", "received", "lost", "gaps_silent"] {
        assert_eq!(report["deliveries"][nothing], 0, "{nothing}");
    }
    assert_eq!(report["verdict"]["invalid"], true, "nothing was measured");

    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = format!("http://{}", closed.expect("a free port"));
    for scenario in ["connect", "idle"] {
        let output = Command::new(program().with_file_name("loadgen"))
            .args([
                scenario,
                "--worker",
                &closed,
                "--clients",
                "3",
                "--handshakes",
                "10",
                "--duration",
                "300ms",
            ])
            .output()
            .expect("loadgen is built beside this test");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{scenario}: {said}");
        assert!(said.contains("nobody got in at 127.0.0.1:"), "{scenario}: {said}");
    }
}
