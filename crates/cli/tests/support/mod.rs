//! Runs the binary as a user would, in a folder of its own.

pub(crate) mod onnx;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tilewise::embedded;

/// What a finished command left behind.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// What was printed, of a command that did its work.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// The one line that tells why a command failed.
    #[track_caller]
    pub(crate) fn error(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        assert!(self.err.starts_with("error: ") && self.err.lines().count() == 1, "{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self.err
    }

    /// The JSON object or array of a command that did its work.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.fine()).unwrap()
    }
}

/// A folder that commands run in.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// A place that holds the embedded photos.
    pub(crate) fn with_photos() -> Place {
        let place = Place::new();
        embedded::PHOTOS.iter().for_each(|(name, bytes)| place.write(name, bytes));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folder that it is in.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// `tilewise LINE`, ready to be started. Words are parted by blanks.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilewise"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        // What the tests are run with is no wish of the user who is played here.
        command.env_remove("TILEWISE_THREADS").env_remove("OMP_NUM_THREADS");
        command.env("TILEWISE_CACHE", self.path("cache"));
        command
    }

    /// `tilewise LINE`, run to its end.
    pub(crate) fn run(&self, line: &str) -> Done {
        let output = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// `tilewise LINE` in an empty folder.
pub(crate) fn tilewise(line: &str) -> Done {
    Place::new().run(line)
}
