//! `chatup import-nginx`: reads an Nginx configuration with the PushStream module and writes the settings and
//! the site that take its place, on standard output or into a directory; remarks go to standard error.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::CommandError;
use crate::config::read_capped;
use crate::import_nginx::{Files, Imported, Options, glob, import};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most files that a pattern may name.
const MATCHES_MAX: usize = 4_096;
/// The settings' file in the directory.
const SETTINGS: &str = "chatup.toml";
/// The site's file in the directory; if it is the whole configuration, it is no site of another one.
const SITE: &str = "chatup-site.conf";

/// `chatup import-nginx`.
#[derive(Debug, Args)]
pub struct ImportNginxArgs {
    /// The configuration: nginx.conf, or a file that it includes in its http block
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Directory for chatup.toml and chatup-site.conf, which must not be there yet; else both are printed
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Directory that names in the configuration are relative to, such as /etc/nginx [default: that of FILE]
    #[arg(long, value_name = "DIR")]
    pub nginx_dir: Option<PathBuf>,
    /// Address and port of the worker, for the site
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:42633", value_parser = address)]
    pub worker: String,
}

pub(super) fn run(arguments: &ImportNginxArgs) -> Result<(), CommandError> {
    let name = arguments.file.display().to_string();
    let text = text_of(&arguments.file).map_err(|error| CommandError::Import(format!("{name}: {error}")))?;
    let directory =
        arguments.nginx_dir.as_deref().or_else(|| arguments.file.parent()).unwrap_or(Path::new(""));
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut files = Directory { directory: directory.to_owned() };
    let options = Options { worker: arguments.worker.clone() };
    let imported = import(&name, &text, &options, &mut files)
        .map_err(|error| CommandError::Import(error.to_string()))?;
    write(&imported, arguments.output.as_deref())?;
    let mut log = io::stderr().lock();
    for remark in &imported.remarks {
        writeln!(log, "{remark}")?;
    }
    Ok(())
}

fn write(imported: &Imported, output: Option<&Path>) -> Result<(), CommandError> {
    let Some(directory) = output else {
        let mut out = io::stdout().lock();
        write!(out, "# {SETTINGS}\n{}\n# {SITE}\n{}", imported.toml, imported.site)?;
        return Ok(out.flush()?);
    };
    let failed = |path: &Path, error: io::Error| CommandError::Import(format!("{}: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for (name, text) in [(SETTINGS, &imported.toml), (SITE, &imported.site)] {
        let path = directory.join(name);
        // What somebody has already changed there is not lost.
        let mut file = fs::File::create_new(&path).map_err(|error| failed(&path, error))?;
        file.write_all(text.as_bytes()).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Nginx's directory, to which names in its configuration are relative.
struct Directory {
    directory: PathBuf,
}

impl Files for Directory {
    fn read(&mut self, path: &str) -> Result<String, String> {
        text_of(&self.directory.join(path)).map_err(|error| match Path::new(path).is_absolute() {
            true => error,
            false => format!("{error}, below {} (--nginx-dir)", self.directory.display()),
        })
    }

    fn matching(&mut self, pattern: &str) -> Result<Vec<String>, String> {
        let mut found = vec![String::new()];
        for (number, part) in pattern.split('/').enumerate() {
            let mut next = Vec::new();
            for begin in &found {
                let begin = if number == 0 { String::new() } else { format!("{begin}/") };
                if !part.contains(['*', '?', '[']) {
                    next.push(format!("{begin}{part}"));
                    continue;
                }
                let place =
                    if begin.is_empty() { self.directory.clone() } else { self.directory.join(&begin) };
                // Like Nginx: what cannot be read holds nothing that fits.
                let Ok(entries) = fs::read_dir(place) else { continue };
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                next.extend(names.filter(|name| glob::fits(part, name)).map(|name| format!("{begin}{name}")));
                if next.len() > MATCHES_MAX {
                    return Err(format!("more than {MATCHES_MAX} files"));
                }
            }
            found = next;
        }
        found.retain(|path| self.directory.join(path).exists());
        found.sort();
        Ok(found)
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let bytes = read_capped(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("line {} is not UTF-8", valid.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
}

/// What an upstream's `server` may name, and nothing that ends it.
fn address(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]/".contains(&byte);
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be an address and a port, such as 127.0.0.1:42633".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_by_pattern() {
        let root = std::env::temp_dir().join(format!("chatup-import-{}", std::process::id()));
        for name in ["sites/b.conf", "sites/a.conf", "sites/.c.conf", "sites/d.txt", "other/e.conf"] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let mut files = Directory { directory: root.clone() };
        let table: [(&str, &[&str]); 5] = [
            ("sites/*.conf", &["sites/a.conf", "sites/b.conf"]),
            ("*/[be].conf", &["other/e.conf", "sites/b.conf"]),
            ("*/none", &[]),
            ("none/*", &[]),
            ("*", &["other", "sites"]),
        ];
        for (pattern, expected) in table {
            assert_eq!(files.matching(pattern).unwrap(), expected, "{pattern}");
        }
        let absolute = format!("{}/sites/*.txt", root.display());
        assert_eq!(files.matching(&absolute).unwrap(), [format!("{}/sites/d.txt", root.display())]);
        assert_eq!(files.read("sites/a.conf").unwrap(), "sites/a.conf");
        fs::write(root.join("latin"), b"a\nb\n\xe4").unwrap();
        assert!(files.read("latin").unwrap_err().starts_with("line 3 is not UTF-8"));
        fs::remove_dir_all(root).unwrap();
    }
}
