//! What git knows, laid out in two slots, `base` and `head`.
//!
//! A slot is a folder with the revision's source, its build and its logs, kept from one run to the
//! next. Git writes only the files that differ from what was laid out there last, so their times
//! tell a build system what has changed, and the second build is a small one. (A folder for each
//! commit would build everything anew for each; `git archive` would give files their commit's time,
//! and going back to an older commit would build nothing.) Both names are of one length: not even
//! the paths inside the two programs differ in size.
//!
//! The repository is only read: objects made for the work tree and for patches go into a store
//! beside the slots, and no work tree is registered.

use std::cell::OnceCell;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository, and where its revisions are laid out.
#[derive(Debug)]
pub struct Repository {
    root: PathBuf,
    git_dir: PathBuf,
    objects: PathBuf,
    directory: PathBuf,
    /// The work tree when it was first asked for: with a patch and without, it is the same.
    work: OnceCell<String>,
}

/// A revision as it was when it was asked for.
#[derive(Clone, Debug)]
pub struct Revision {
    /// As it was asked for.
    pub name: String,
    /// The commit, if that is what it is.
    pub commit: Option<String>,
    /// All its files.
    pub tree: String,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.commit.as_ref().unwrap_or(&self.tree);
        write!(f, "{} ({})", self.name, id.get(..10).unwrap_or(id))
    }
}

/// A revision's folders.
#[derive(Clone, Debug)]
pub struct Slot {
    /// `base` or `head`.
    pub name: &'static str,
    /// Its files.
    pub source: PathBuf,
    /// What is built of them.
    pub build: PathBuf,
    /// What commands print.
    pub logs: PathBuf,
}

/// Why there is no such revision.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Git cannot be run.
    #[error("git: {0}")]
    NoGit(io::Error),
    /// Git says no.
    #[error("{what}: git {command}: {message}")]
    Git {
        /// What it was for.
        what: String,
        /// The command.
        command: String,
        /// What it said.
        message: String,
    },
    /// A folder or file cannot be made.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else is at it.
    #[error("another bench-check is at work in {}", .0.display())]
    Busy(PathBuf),
}

impl Repository {
    /// The repository of the current directory; revisions go to `directory` below its root.
    ///
    /// # Errors
    /// There is none, or the folder cannot be made.
    pub fn find(directory: &Path) -> Result<Repository, RevisionError> {
        let ask = |arguments: &[&str]| run(Command::new("git").args(arguments), "the current directory");
        let root = PathBuf::from(ask(&["rev-parse", "--show-toplevel"])?);
        let git_dir = PathBuf::from(ask(&["rev-parse", "--absolute-git-dir"])?);
        let objects = ask(&["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        let directory = root.join(directory);
        make(&directory.join("objects"))?;
        // Nothing here belongs to the project, wherever the folder is.
        write(&directory.join(".gitignore"), "*\n")?;
        Ok(Repository { root, git_dir, objects: objects.into(), directory, work: OnceCell::new() })
    }

    /// Keeps others out until it is dropped.
    ///
    /// # Errors
    /// Somebody else is in.
    pub fn lock(&self) -> Result<File, RevisionError> {
        let path = self.directory.join("lock");
        let file = File::create(&path).map_err(|error| RevisionError::Io { path, error })?;
        file.try_lock().map_err(|_| RevisionError::Busy(self.directory.clone()))?;
        Ok(file)
    }

    /// Takes what a name stands for: `WORK` is the work tree as it is, files that git does not know
    /// of yet included; `REV+FILE` is a revision with a patch applied; all else is git's.
    ///
    /// # Errors
    /// There is no such revision, or the patch does not apply.
    pub fn resolve(&self, name: &str) -> Result<Revision, RevisionError> {
        match self.resolve_plain(name) {
            Ok((commit, tree)) => Ok(Revision { name: name.into(), commit, tree }),
            // A name may hold a plus sign itself: only what is no revision is taken apart.
            Err(error) => {
                let Some((revision, patch)) = name.split_once('+') else { return Err(error) };
                let (_, tree) = self.resolve_plain(revision)?;
                Ok(Revision { name: name.into(), commit: None, tree: self.patched(&tree, Path::new(patch))? })
            }
        }
    }

    fn resolve_plain(&self, name: &str) -> Result<(Option<String>, String), RevisionError> {
        if name == "WORK" {
            return Ok((None, self.work_tree()?));
        }
        let ask = |kind: &str| {
            let object = format!("{name}^{{{kind}}}");
            self.git(&self.root, None, &["rev-parse", "--verify", "--end-of-options", &object], name)
        };
        Ok((Some(ask("commit")?), ask("tree")?))
    }

    fn work_tree(&self) -> Result<String, RevisionError> {
        if let Some(tree) = self.work.get() {
            return Ok(tree.clone());
        }
        let index = self.directory.join("work.index");
        let git = |arguments: &[&str]| self.git(&self.root, Some(&index), arguments, "WORK");
        git(&["read-tree", "HEAD"])?;
        git(&["add", "--all", "."])?;
        let tree = git(&["write-tree"])?;
        Ok(self.work.get_or_init(|| tree).clone())
    }

    fn patched(&self, tree: &str, patch: &Path) -> Result<String, RevisionError> {
        let (index, what) = (self.directory.join("patch.index"), patch.display().to_string());
        let patch = std::path::absolute(patch)
            .map_err(|error| RevisionError::Io { path: patch.into(), error })?
            .to_string_lossy()
            .into_owned();
        let git = |arguments: &[&str]| self.git(&self.root, Some(&index), arguments, &what);
        git(&["read-tree", tree])?;
        git(&["apply", "--cached", &patch])?;
        git(&["write-tree"])
    }

    /// Lays a revision out.
    ///
    /// # Errors
    /// Files cannot be written.
    pub fn lay_out(&self, name: &'static str, revision: &Revision) -> Result<Slot, RevisionError> {
        let folder = self.directory.join(name);
        let slot = Slot {
            name,
            source: folder.join("source"),
            build: folder.join("build"),
            logs: folder.join("logs"),
        };
        for path in [&slot.source, &slot.build, &slot.logs] {
            make(path)?;
        }
        let index = folder.join("index");
        let arguments = ["read-tree", "--reset", "-u", &revision.tree];
        self.git(&slot.source, Some(&index), &arguments, &revision.name)?;
        Ok(slot)
    }

    fn git(
        &self,
        work_tree: &Path,
        index: Option<&Path>,
        arguments: &[&str],
        what: &str,
    ) -> Result<String, RevisionError> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(work_tree);
        command.env("GIT_DIR", &self.git_dir).env("GIT_WORK_TREE", work_tree);
        command.env("GIT_OBJECT_DIRECTORY", self.directory.join("objects"));
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects);
        match index {
            Some(index) => command.env("GIT_INDEX_FILE", index),
            None => command.env_remove("GIT_INDEX_FILE"),
        };
        run(&mut command, what)
    }
}

fn run(command: &mut Command, what: &str) -> Result<String, RevisionError> {
    let output = command.output().map_err(RevisionError::NoGit)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RevisionError::Git { what: what.into(), command: arguments.join(" "), message })
}

fn make(path: &Path) -> Result<(), RevisionError> {
    fs::create_dir_all(path).map_err(|error| RevisionError::Io { path: path.into(), error })
}

fn write(path: &Path, text: &str) -> Result<(), RevisionError> {
    fs::write(path, text).map_err(|error| RevisionError::Io { path: path.into(), error })
}
