//! Whole configurations in; settings, site and remarks as they are in the files beside them. With
//! `CHATUP_TEST_WRITE_IMPORTS` set, these are written anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chatup::import_nginx::{Files, Options, import};

struct Beside(PathBuf);

impl Files for Beside {
    fn read(&mut self, path: &str) -> Result<String, String> {
        fs::read_to_string(self.0.join(path)).map_err(|error| error.to_string())
    }

    fn matching(&mut self, pattern: &str) -> Result<Vec<String>, String> {
        let (directory, _) = pattern.split_once('/').unwrap();
        let Ok(entries) = fs::read_dir(self.0.join(directory)) else { return Ok(Vec::new()) };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.map(|name| format!("{directory}/{name}")).collect();
        names.sort();
        Ok(names)
    }
}

fn inputs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import_nginx")
}

fn check(name: &str) {
    let directory = inputs();
    let text = fs::read_to_string(directory.join(format!("{name}.conf"))).unwrap();
    let file = format!("{name}.conf");
    let imported = import(&file, &text, &Options::default(), &mut Beside(directory.clone())).unwrap();
    let remarks: String = imported.remarks.iter().map(|remark| format!("{remark}\n")).collect();
    let outputs = [("toml", imported.toml), ("site", imported.site), ("remarks", remarks)];
    for (kind, found) in outputs {
        let path = directory.join(format!("expected/{name}.{kind}"));
        if std::env::var_os("CHATUP_TEST_WRITE_IMPORTS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{}, line {}", path.display(), number + 1);
        }
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn every_mode() {
    check("modes");
}

#[test]
fn a_site_with_named_groups_and_maps() {
    check("relay");
}

#[test]
fn channels_in_arguments_and_elsewhere() {
    check("arguments");
}

#[test]
fn files_that_are_included() {
    check("includes");
}

#[test]
fn what_was_refused_is_refused() {
    check("refusals");
}

#[test]
fn a_stock_nginx_takes_each_site() {
    for name in ["modes", "relay", "arguments", "includes", "refusals"] {
        let prefix = std::env::temp_dir().join(format!("chatup-import-{}-{name}", std::process::id()));
        fs::create_dir_all(prefix.join("logs")).unwrap();
        for file in ["types.conf", "passwords"] {
            fs::copy(inputs().join(file), prefix.join(file)).unwrap();
        }
        let site = fs::read_to_string(inputs().join(format!("expected/{name}.site"))).unwrap();
        // Ports and logs that anybody may have.
        let logs = prefix.join("logs").display().to_string();
        let site = site.replace("/var/log/nginx", &logs).replace("listen [::]:80 ", "listen [::1]:18793 ");
        let site = site.replace("listen 80 ", "listen 127.0.0.1:18793 ");
        let whole = match site.contains("http {") {
            true => site,
            false => format!("pid {logs}/pid;\nevents {{}}\nhttp {{\n{site}}}\n"),
        };
        fs::write(prefix.join("nginx.conf"), whole).unwrap();
        let mut nginx = Command::new("nginx");
        nginx
            .args(["-t", "-e", "logs/error.log", "-p"])
            .arg(&prefix)
            .arg("-c")
            .arg(prefix.join("nginx.conf"));
        let output = nginx.output().expect("nginx, as other tests need it too");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        fs::remove_dir_all(prefix).unwrap();
    }
}
