//! The state directory and its demo keys: made once, kept, guarded.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use chatup::config::Config;
use chatup::state::{DemoKeys, PRIVATE_FILE, PUBLIC_FILE, directory};
use chatup_core::token::{Algorithm, Signer};

/// A directory of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("state-{:032x}", rand::random::<u128>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Folder(folder)
    }

    fn state(&self) -> PathBuf {
        self.0.join("deep/state")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The error of what cannot be loaded.
fn error(state: &Path) -> String {
    match DemoKeys::load_or_create(state) {
        Ok(_) => panic!("loaded {}", state.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_directory_is_the_one_given_or_where_state_belongs() {
    type Row = (Option<&'static str>, &'static [(&'static str, &'static str)], Option<&'static str>);
    let rows: &[Row] = &[
        (Some("here"), &[("XDG_STATE_HOME", "/x")], Some("here")),
        (None, &[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/chatup")),
        (None, &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/state/chatup")),
        (None, &[("XDG_STATE_HOME", ""), ("HOME", "/h")], Some("/h/.local/state/chatup")),
        (None, &[("HOME", "")], None),
        (None, &[], None),
    ];
    for (given, variables, wanted) in rows {
        let variable =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let found = directory(given.map(Path::new), variable);
        match wanted {
            Some(wanted) => assert_eq!(found.unwrap(), Path::new(wanted), "{given:?} {variables:?}"),
            None => assert!(found.unwrap_err().to_string().contains("--state-dir")),
        }
    }
}

#[test]
fn keys_are_made_once_and_kept_from_others() {
    let folder = Folder::new();
    let state = folder.state();
    let made = DemoKeys::load_or_create(&state).unwrap();
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join(PRIVATE_FILE)), 0o600);
    assert_eq!(fs::read(state.join(PUBLIC_FILE)).unwrap(), made.public_pem);
    assert_eq!(fs::read_dir(&state).unwrap().count(), 2, "nothing else is left there");

    let loaded = DemoKeys::load_or_create(&state).unwrap();
    assert_eq!((loaded.private_pem, &loaded.public_pem), (made.private_pem, &made.public_pem));
    fs::remove_file(state.join(PUBLIC_FILE)).unwrap();
    assert_eq!(DemoKeys::load_or_create(&state).unwrap().public_pem, made.public_pem);

    assert_eq!(Signer::from_private_pem(&loaded_private(&state)).unwrap().algorithm(), Algorithm::EdDSA);
    assert!(Config::default().verifier(Some(&made.public_pem)).is_ok());
}

fn loaded_private(state: &Path) -> Vec<u8> {
    fs::read(state.join(PRIVATE_FILE)).unwrap()
}

#[test]
fn starts_at_once_agree_on_one_pair() {
    const STARTS: usize = 8;
    for round in 0..20 {
        let folder = Folder::new();
        let state = folder.state();
        let barrier = Barrier::new(STARTS);
        let start = || {
            barrier.wait();
            DemoKeys::load_or_create(&state).unwrap()
        };
        let keys: Vec<DemoKeys> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let kept = loaded_private(&state);
        assert!(keys.iter().all(|keys| keys.private_pem == kept), "round {round}: keys differ");
        assert!(keys.iter().all(|keys| keys.public_pem == keys_public(&state)), "round {round}");
        assert_eq!(fs::read_dir(&state).unwrap().count(), 2, "round {round}: something is left there");
    }
}

fn keys_public(state: &Path) -> Vec<u8> {
    fs::read(state.join(PUBLIC_FILE)).unwrap()
}

#[test]
fn what_is_damaged_or_open_to_others_is_refused_by_name() {
    type Damage = fn(&Path);
    let rows: [(Damage, &str); 6] = [
        (
            |state| fs::write(state.join(PRIVATE_FILE), "x").unwrap(),
            "demo-private.pem: it is not an Ed25519 private key",
        ),
        (
            |state| fs::write(state.join(PRIVATE_FILE), "").unwrap(),
            "demo-private.pem: it is not an Ed25519 private key",
        ),
        (
            |state| fs::write(state.join(PUBLIC_FILE), "x").unwrap(),
            "demo-public.pem: it does not belong to the private key",
        ),
        (
            |state| chmod(&state.join(PRIVATE_FILE), 0o640),
            "demo-private.pem: others can get at it (mode 0640)",
        ),
        (|state| chmod(state, 0o770), "state: others can write to it (mode 0770)"),
        (
            |state| {
                fs::remove_file(state.join(PRIVATE_FILE)).unwrap();
                fs::create_dir(state.join(PRIVATE_FILE)).unwrap();
                chmod(&state.join(PRIVATE_FILE), 0o700);
            },
            "demo-private.pem: cannot read it",
        ),
    ];
    for (damage, wanted) in rows {
        let folder = Folder::new();
        let state = folder.state();
        DemoKeys::load_or_create(&state).unwrap();
        damage(&state);
        let found = error(&state);
        assert!(found.contains(wanted), "wanted {wanted}, found {found}");
    }
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").unwrap();
    let found = error(&folder.0.join("file"));
    assert!(found.contains("file: cannot make it"), "{found}");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
