//! Rules of the code base that no compiler checks: rooms and arrows, first lines, names, and paths in documents.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may depend on whom, as ARCHITECTURE.md draws it.
const ARROWS: &[(&str, &[&str])] = &[
    ("tilewise-tensor", &[]),
    ("tilewise-kernels", &["tilewise-tensor"]),
    ("tilewise-graph", &["tilewise-tensor"]),
    ("tilewise-formats", &["tilewise-tensor", "tilewise-graph"]),
    ("tilewise-engine", &["tilewise-tensor", "tilewise-kernels", "tilewise-graph"]),
    ("tilewise-zoo", &["tilewise-tensor", "tilewise-graph"]),
    (
        "tilewise",
        &[
            "tilewise-tensor",
            "tilewise-kernels",
            "tilewise-graph",
            "tilewise-formats",
            "tilewise-engine",
            "tilewise-zoo",
        ],
    ),
    ("tilewise-cli", &["tilewise"]),
    ("xtask", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files under version control with one of the extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let wanted = |path: &Path| path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x));
    listed.lines().map(|line| root().join(line)).filter(|path| wanted(path) && path.exists()).collect()
}

#[test]
fn every_rust_file_begins_with_what_it_is() {
    let bad: Vec<PathBuf> =
        files(&["rs"]).into_iter().filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//! ")).collect();
    assert!(bad.is_empty(), "first line is not `//! ...`: {bad:#?}");
}

#[test]
fn crates_depend_as_drawn() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata =
        Command::new(cargo).args(["metadata", "--format-version=1", "--no-deps"]).current_dir(root()).output();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let drawn: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = drawn.get(name).unwrap_or_else(|| panic!("{name} is not in the drawing"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let tested = dependency["kind"] == "dev";
            assert!(tested || !names.contains(&to) || allowed.contains(&to), "{name} must not depend on {to}");
        }
    }
}

#[test]
fn kernel_names_say_what_their_columns_say() {
    let mut names = std::collections::HashSet::new();
    for id in tilewise_kernels::catalog::catalog() {
        let [rows, columns] = id.tile;
        // Of several types, as in `image_u8f32_..`, the column is the last: the accumulator's.
        let (start, end) = (format!("{}_", id.op), format!("{}_{rows}x{columns}_{}", id.dtype, id.tier));
        assert!(id.name.starts_with(&start) && id.name.ends_with(&end), "{} is not {start}..{end}", id.name);
        assert!(names.insert(id.name), "{} is there twice", id.name);
    }
}

#[test]
fn paths_named_in_documents_exist() {
    for document in files(&["md"]) {
        let text = std::fs::read_to_string(&document).unwrap();
        for code in text.split('`').skip(1).step_by(2) {
            let looks_like_path = ["crates/", "docs/", "xtask/", "data/"].iter().any(|start| code.starts_with(start));
            let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if looks_like_path && plain {
                assert!(root().join(code).exists(), "{} names {code}, which is not there", document.display());
            }
        }
    }
}

#[test]
fn unsafe_stands_in_its_room_only() {
    for path in files(&["rs"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let room = path.strip_prefix(root()).unwrap();
        let allowed = room.starts_with("crates/kernels")
            || room.ends_with("tensor/src/buffer.rs")
            || room.starts_with("crates/engine/src/run")
            || room.starts_with("xtask/tests");
        let found = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or("");
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
        });
        // A counting allocator cannot be written without.
        let counting = room.ends_with("engine/tests/allocations.rs");
        assert!(allowed || counting || !found, "{} has unsafe code", room.display());
    }
}
