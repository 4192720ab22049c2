//! A stock Nginx with one of the project's configurations, on free ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::process::Process;
use crate::{PATIENCE, server};

/// A running Nginx. Ends when dropped.
pub struct Nginx {
    /// The process.
    pub process: Process,
    folder: PathBuf,
}

/// A file of the project's `nginx/`.
///
/// # Panics
/// There is none.
#[must_use]
pub fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    fs::read_to_string(root.join("nginx").join(name)).expect("a file of nginx/")
}

/// A port that nobody has now.
///
/// # Panics
/// There is none left.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Whether it is installed.
#[must_use]
pub fn is_there() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Nginx {
    /// Writes the configuration of the http block, each of `changes` made in it, and asks Nginx whether it
    /// is in order. Paths of logs and the like are this instance's own.
    ///
    /// # Panics
    /// It is not, or a change finds nothing to change.
    #[must_use]
    pub fn checked(text: &str, changes: &[(&str, &str)]) -> PathBuf {
        let folder = server::scratch("nginx");
        fs::create_dir_all(folder.join("tmp")).expect("a folder");
        let path = folder.display();
        let mut text = text.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "there is no {from}");
            text = text.replace(from, to);
        }
        text = text.replace("/var/log/nginx/", &format!("{path}/"));
        // Only loopback addresses here.
        text = text
            .lines()
            .filter(|line| !line.contains("listen [::]"))
            .map(|line| format!("{line}\n"))
            .collect();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            temporary.map(|kind| format!("{kind}_temp_path {path}/tmp/{kind};\n")).concat();
        let whole = format!(
            "daemon off;\nworker_processes 2;\npid {path}/pid;\nerror_log {path}/error.log;\n\
             events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, whole).expect("it is written");
        let checked = Command::new("nginx").arg("-t").arg("-c").arg(&file).output().expect("Nginx");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        file
    }

    /// Starts it with a configuration that was checked, and waits until it takes connections here.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn start(file: &Path, port: u16) -> Nginx {
        let process = Process::silent(Command::new("nginx").arg("-c").arg(file));
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "Nginx does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Nginx { process, folder: file.parent().expect("a folder").to_owned() }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.terminate();
        self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
