//! The main job from outside: the built `mirror` program on generated trees, over real connections.
//!
//! Each test has its own folder and its own ports. Trees are compared by this file, not by the program.

#[path = "mirror/foreign.rs"]
mod foreign;
/// The program itself, for the unit tests in it: what Cargo builds as an example, it does not test.
#[allow(dead_code)]
#[path = "../examples/mirror/main.rs"]
mod parts;
#[path = "mirror/program.rs"]
mod program;
#[path = "mirror/tree.rs"]
mod tree;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use foreign::ForeignServer;
use program::{Server, mirror};
use tree::{assert_same, generate, names_in};

#[test]
fn without_arguments_it_mirrors_and_verifies_the_documents() {
    let run = mirror(&[]).succeeds();
    assert!(run.stdout.contains("verified "), "{run:?}");
    assert!(!run.stdout.contains("verified 0"), "{run:?}");
}

#[test]
fn a_tree_is_mirrored_by_any_number_of_workers() {
    let (from, to) = (generate(120), tempfile::tempdir().unwrap());
    for workers in ["1", "2", "8"] {
        let to = to.path().join(workers);
        mirror(&[&from.path(), &to, &"--workers", &workers, &"--verify"]).succeeds();
        assert_same(from.path(), &to);
    }
}

#[test]
fn a_tree_is_mirrored_in_spite_of_faults() {
    let (from, to) = (generate(70), tempfile::tempdir().unwrap());
    for workers in ["1", "2", "8"] {
        let to = to.path().join(workers);
        let faults = format!("30,{workers}");
        let settings: [&dyn AsRef<Path>; 10] = [
            &from.path(),
            &to,
            &"--workers",
            &workers,
            &"--faults",
            &faults,
            &"--timeout",
            &"0.3",
            &"--retries",
            &"14",
        ];
        let run = mirror(&settings).succeeds();
        assert!(
            !run.stdout.contains(" 0 retries"),
            "no fault was met: {run:?}"
        );
        assert_same(from.path(), &to);
    }
}

#[test]
fn few_connections_and_fetchers_are_enough() {
    let (from, to) = (generate(40), tempfile::tempdir().unwrap());
    mirror(&[
        &from.path(),
        &to.path(),
        &"--connections",
        &"1",
        &"--fetchers",
        &"1",
    ])
    .succeeds();
    assert_same(from.path(), to.path());
}

#[test]
fn an_older_copy_is_replaced_and_other_files_stay() {
    let (from, to) = (generate(10), tempfile::tempdir().unwrap());
    fs::write(to.path().join("empty"), "older").unwrap();
    fs::write(to.path().join("mine"), "kept").unwrap();
    mirror(&[&from.path(), &to.path()]).succeeds();
    assert_eq!(fs::read(to.path().join("mine")).unwrap(), b"kept");
    fs::remove_file(to.path().join("mine")).unwrap();
    assert_same(from.path(), to.path());
}

#[test]
fn the_halves_work_as_two_programs() {
    let (from, to) = (generate(60), tempfile::tempdir().unwrap());
    let server = Server::start(from.path(), &["--faults", "10"]);
    mirror(&[&"--fetch", &server.url, &to.path()]).succeeds();
    assert_same(from.path(), to.path());
    let part = tempfile::tempdir().unwrap();
    mirror(&[&"--fetch", &format!("{}a%20b", server.url), &part.path()]).succeeds();
    assert_same(&from.path().join("a b"), part.path());
}

#[cfg(unix)]
#[test]
fn only_files_of_the_tree_are_served() {
    use std::os::unix::fs::symlink;
    let (from, outside) = (generate(5), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path().join("secret"), from.path().join("leads_out")).unwrap();
    symlink("..", from.path().join("a b/round")).unwrap();
    symlink("nowhere", from.path().join("dangling")).unwrap();
    symlink("a b", from.path().join("directory")).unwrap();
    symlink("empty", from.path().join("leads_in")).unwrap();

    let server = Server::start(from.path(), &[]);
    for (request, status) in [
        ("GET /empty", "200"),
        ("HEAD /empty", "200"),
        ("GET /leads_in", "200"),
        ("GET /leads_out", "404"),
        ("GET /dangling", "404"),
        ("GET /directory/", "404"),
        ("GET /nothing", "404"),
        ("GET /a%20b", "301"),
        ("GET /../secret", "400"),
        ("GET /%2e%2e%2fsecret", "400"),
        ("GET /empty%00", "400"),
        ("POST /empty", "405"),
    ] {
        let answer = server.ask(request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {answer}"
        );
    }
    // The digest of nothing.
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    assert!(server.ask("GET /empty").contains(digest));

    let to = tempfile::tempdir().unwrap();
    let run = mirror(&[&from.path(), &to.path()]).succeeds();
    for left_out in ["leads_out", "a b/round", "dangling", "directory"] {
        assert!(
            run.stdout.contains(&format!("left out {left_out}: ")),
            "{run:?}"
        );
        fs::remove_file(from.path().join(left_out)).unwrap();
    }
    assert_same(from.path(), to.path());
}

#[test]
fn foreign_servers_are_mirrored_and_cannot_write_elsewhere() {
    let server = ForeignServer::start();
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("out");
    let run = mirror(&[&"--fetch", &server.url, &to, &"--retries", &"1"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(names_in(&to), ["a b.txt", "sub/ä.txt"]);
    assert_eq!(fs::read(to.join("a b.txt")).unwrap(), foreign::CONTENT);
    assert_eq!(names_in(place.path()), ["out/a b.txt", "out/sub/ä.txt"]);
    assert!(run.stdout.contains("2 by length alone"), "{run:?}");
    assert!(
        run.stderr
            .contains("../../escaped: its name would lead out"),
        "{run:?}"
    );
    assert!(run.stderr.contains("missing.txt: 404"), "{run:?}");
    assert!(
        run.stderr.contains("short.txt: the answer broke off"),
        "{run:?}"
    );
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_does_not_stop_the_rest() {
    let (from, to) = (generate(20), tempfile::tempdir().unwrap());
    let to = program::unprivileged_folder(&to, from.path());
    program::make_unreadable(&from.path().join("a b/locked"));
    let run = program::mirror_unprivileged(&[from.path(), &to]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(
        run.stderr
            .contains("1 not mirrored:\n  a b/locked: 403 Forbidden"),
        "{run:?}"
    );
    fs::remove_file(from.path().join("a b/locked")).unwrap();
    assert_same(from.path(), &to);
}

#[test]
fn bad_input_is_named_and_nothing_is_written() {
    let (from, place) = (generate(3), tempfile::tempdir().unwrap());
    let (from, file) = (from.path(), place.path().join("file"));
    fs::write(&file, "in the way").unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let (to, inside) = (place.path().join("out"), from.join("out"));
    let missing = place.path().join("missing");
    let cases: [(&[&dyn AsRef<Path>], &str); 10] = [
        (&[&missing, &to], "cannot serve"),
        (&[&file, &to], "cannot serve"),
        (&[&from, &file], "cannot write into"),
        (&[&from, &inside], "one lies in the other"),
        (
            &[&inside.parent().unwrap(), &from.parent().unwrap()],
            "one lies in the other",
        ),
        (&[&"--serve", &missing], "cannot serve"),
        (
            &[&"--serve", &from, &"--listen", &taken],
            "choose another with --listen",
        ),
        (&[&"--fetch", &"gopher://a/", &to], "only http://"),
        (&[&"--fetch", &nobody, &missing], "is the server running"),
        (&[&from, &to, &"--workers", &"none"], "--workers"),
    ];
    for (arguments, message) in cases {
        let run = mirror(arguments);
        assert_eq!(run.status, Some(2), "{run:?}");
        assert!(
            run.stderr.starts_with("mirror: ") && run.stderr.contains(message),
            "{run:?}"
        );
    }
    assert!(!to.exists() && !inside.exists());
    assert!(names_in(&missing).is_empty());
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[cfg(unix)]
#[test]
fn no_room_stops_the_mirror_and_leaves_whole_files() {
    let (from, to) = (generate(20), tempfile::tempdir().unwrap());
    fs::write(from.path().join("huge"), vec![7; 3 << 20]).unwrap();
    let run = program::mirror_with_small_files(1 << 20, &[from.path(), to.path()]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("cannot write") && run.stderr.contains("free some space"),
        "{run:?}"
    );
    for name in names_in(to.path()) {
        let (ours, theirs) = (from.path().join(&name), to.path().join(&name));
        assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap(), "{name}");
    }
    assert!(!to.path().join("huge").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_partial_file() {
    let (from, to) = (generate(100), tempfile::tempdir().unwrap());
    let settings = ["--faults", "90", "--retries", "1000", "--timeout", "30"];
    let program = program::start(&[from.path(), to.path()], &settings);
    // It is in the midst of its work when the first files are there.
    let began = Instant::now();
    while names_in(to.path()).is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is mirrored"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    program.interrupt();
    let run = program.ended();
    assert_eq!(run.status, Some(130), "{run:?}");
    assert!(run.stderr.contains("interrupted"), "{run:?}");
    for name in names_in(to.path()) {
        let (ours, theirs) = (from.path().join(&name), to.path().join(&name));
        assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap(), "{name}");
    }
    assert!(program::unfinished_folders(to.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn a_server_ends_at_an_interrupt() {
    let from = generate(1);
    let server = Server::start(from.path(), &[]);
    assert!(server.ask("GET /empty").contains("200 OK"));
    let run = server.interrupt();
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.ends_with("stopped\n"), "{run:?}");
}
