//! Files, folders, patterns and shards become one sequence of encoded photos.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use tilewise_formats::image::{ImageError, MAX_FILE_BYTES, Source, photos, sources};

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A tar archive in memory.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Paths below `folder`, each with its content or its error.
fn listing(folder: &Path, inputs: &[&str]) -> Vec<String> {
    let inputs: Vec<String> = inputs.iter().map(|input| folder.join(input).display().to_string()).collect();
    let prefix = format!("{}/", folder.display());
    photos(sources(&inputs).unwrap())
        .map(|photo| {
            let content = match photo.bytes {
                Ok(bytes) => String::from_utf8(bytes).unwrap(),
                Err(error) => error.to_string(),
            };
            format!("{} {content}", photo.path).replace(&prefix, "")
        })
        .collect()
}

#[test]
fn folders_are_searched_deeply_in_sorted_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b/2.jpg", "b/1.PNG", "a.gif", "b/c/3.webp", "b/notes.txt", "z.JPEG", "y.bmp", "b/noextension"] {
        write(folder.path(), name, b"x");
    }
    let expected = ["a.gif x", "b/1.PNG x", "b/2.jpg x", "b/c/3.webp x", "y.bmp x", "z.JPEG x"];
    assert_eq!(listing(folder.path(), &["."]).iter().map(|line| &line[2..]).collect::<Vec<_>>(), expected);
}

#[test]
fn inputs_keep_their_order_and_a_named_file_needs_no_extension() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["photo", "b.jpg", "a.jpg", "d/c.jpg", "[x].jpg", "d/c.txt"] {
        write(folder.path(), name, b"x");
    }
    assert_eq!(listing(folder.path(), &["photo", "d"]), ["photo x", "d/c.jpg x"]);
    assert_eq!(listing(folder.path(), &["?.jpg", "photo"]), ["a.jpg x", "b.jpg x", "photo x"]);
    assert_eq!(listing(folder.path(), &["**/c.*"]), ["d/c.jpg x"]);
    assert_eq!(listing(folder.path(), &["[x].jpg"]), ["[x].jpg x"], "an existing name is no pattern");
}

#[test]
fn shards_yield_their_photos_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/long.jpg", "deep".repeat(60));
    let members: [(&str, &[u8]); 5] =
        [("2.jpg", b"two"), ("2.cls", b"7"), ("sub/1.png", b"one"), ("empty.gif", b""), (&long, b"long")];
    write(folder.path(), "s.tar", &tar(&members));
    write(folder.path(), "a.jpg", b"x");
    let expected =
        ["s.tar/2.jpg two", "s.tar/sub/1.png one", "s.tar/empty.gif ", &format!("s.tar/{long} long"), "a.jpg x"];
    assert_eq!(listing(folder.path(), &["*.tar", "a.jpg"]), expected);
}

#[test]
fn a_broken_source_is_an_item_and_the_next_follows() {
    let folder = tempfile::tempdir().unwrap();
    let whole = tar(&[("1.jpg", b"one"), ("2.jpg", &[b'x'; 2000])]);
    write(folder.path(), "cut.tar", &whole[..1800]);
    let mut broken = whole.clone();
    broken[1024..1100].fill(b'?');
    write(folder.path(), "broken.tar", &broken);
    write(folder.path(), "gone.jpg", b"x");
    write(folder.path(), "last.jpg", b"x");
    let inputs = ["cut.tar", "broken.tar", "gone.jpg", "last.jpg"];
    let inputs: Vec<String> = inputs.iter().map(|name| folder.path().join(name).display().to_string()).collect();
    let found = sources(&inputs).unwrap();
    fs::remove_file(folder.path().join("gone.jpg")).unwrap();
    let names: Vec<String> = photos(found)
        .map(|photo| {
            let name = Path::new(&photo.path).file_name().unwrap().to_str().unwrap().to_owned();
            let refused = matches!(photo.bytes, Err(ImageError::Read { .. }));
            if refused { format!("{name} refused") } else { name }
        })
        .collect();
    let expected = ["1.jpg", "2.jpg refused", "1.jpg", "broken.tar refused", "gone.jpg refused", "last.jpg"];
    assert_eq!(names, expected);
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.jpg");
    fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let photo = photos(vec![Source::File(path)]).next().unwrap();
    assert!(matches!(photo.bytes, Err(ImageError::TooManyBytes { .. })), "{photo:?}");
}

#[test]
fn what_is_not_there_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "d/notes.txt", b"x");
    let name = |name: &str| vec![folder.path().join(name).display().to_string()];
    assert!(matches!(sources(&name("none.jpg")), Err(ImageError::Read { .. })));
    assert!(matches!(sources(&name("*.jpg")), Err(ImageError::NoPhotos { .. })));
    assert!(matches!(sources(&name("d")), Err(ImageError::NoPhotos { .. })));
    assert!(matches!(sources(&name("***")), Err(ImageError::Pattern { .. })));
    assert!(sources(&[]).unwrap().is_empty());
}
