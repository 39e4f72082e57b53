//! `read_until_any`: it finds the first separator however the bytes come, keeps what it has read, and never reads on.

use std::io::ErrorKind;

use futures_lite::future::poll_once;
use rt_tasks_io::io::{AsyncReadExt, BufReader, LimitReached, read_until_any};
use rt_tasks_runtime::block_on;

use super::Drip;

/// The first place at which a separator ends, looked for in the simplest way.
fn expected(bytes: &[u8], separators: &[&[u8]]) -> Option<(usize, usize)> {
    (1..=bytes.len()).find_map(|end| {
        let ending = separators.iter().enumerate();
        let found = ending.filter(|(_, separator)| bytes[..end].ends_with(separator));
        let longest = found.max_by_key(|(_, separator)| separator.len());
        longest.map(|(which, _)| (which, end))
    })
}

#[test]
fn it_finds_what_a_simple_search_finds_however_the_bytes_come() {
    let separators: [&[&[u8]]; 5] = [
        &[b"\r\n", b"\n"],
        &[b"\n", b"\r\n"],
        &[b"ab", b"abc", b"bcd"],
        &[b"aab"],
        &[b"a", b"ba"],
    ];
    let texts = [
        "one\r\ntwo\n\r\n",
        "abcabcd",
        "aaabaab",
        "\n",
        "",
        "xyz",
        "bab",
    ];
    block_on(async {
        for separators in separators {
            for text in texts {
                for (n_at_once, capacity) in [(1, 1), (1, 64), (2, 3), (64, 64)] {
                    let mut input = BufReader::with_capacity(capacity, Drip::new(text, n_at_once));
                    let mut rest = text.as_bytes();
                    loop {
                        let mut piece = Vec::new();
                        let found = read_until_any(&mut input, separators, 100, &mut piece);
                        let found = found.await.unwrap();
                        let (which, end) = match expected(rest, separators) {
                            Some((which, end)) => (Some(which), end),
                            None => (None, rest.len()),
                        };
                        assert_eq!((found, &piece[..]), (which, &rest[..end]), "{text:?}");
                        rest = &rest[end..];
                        if found.is_none() {
                            break;
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn the_limit_keeps_the_data_and_leaves_the_rest() {
    block_on(async {
        let mut input = BufReader::new(&b"12345678;rest"[..]);
        let mut piece = Vec::new();
        let error = read_until_any(&mut input, &[b";"], 8, &mut piece)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let reached = error.get_ref().unwrap().downcast_ref::<LimitReached>();
        assert_eq!(reached.unwrap().limit(), 8);
        assert_eq!(piece, b"12345678");
        // Again: nothing is read. With one more byte it is there.
        assert!(
            read_until_any(&mut input, &[b";"], 8, &mut piece)
                .await
                .is_err()
        );
        let found = read_until_any(&mut input, &[b";"], 9, &mut piece)
            .await
            .unwrap();
        assert_eq!((found, &piece[..]), (Some(0), &b"12345678;"[..]));
        let mut rest = String::new();
        input.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "rest");
    });
}

#[test]
fn a_call_that_is_given_up_is_continued_by_the_next() {
    block_on(async {
        let mut input = BufReader::with_capacity(4, Drip::new("first\r\nsecond", 1));
        let mut piece = Vec::new();
        let mut n_given_up = 0;
        // Each is dropped at the first place where it has to wait.
        while poll_once(read_until_any(&mut input, &[b"\r\n"], 100, &mut piece))
            .await
            .is_none()
        {
            n_given_up += 1;
        }
        assert!(n_given_up >= 5, "{n_given_up}");
        assert_eq!(piece, b"first\r\n");
    });
}

#[test]
fn the_end_before_the_separator_gives_what_came() {
    block_on(async {
        let mut input = BufReader::with_capacity(2, Drip::new("partial", 3));
        let mut piece = Vec::new();
        // Whether it ends within the limit, or at it.
        let found = read_until_any(&mut input, &[b";"], 100, &mut piece).await;
        assert_eq!((found.unwrap(), &piece[..]), (None, &b"partial"[..]));
        let reached = read_until_any(&mut input, &[b";"], 7, &mut piece).await;
        assert_eq!(reached.unwrap_err().kind(), ErrorKind::InvalidData);
        // The end stays, and is told apart from an empty piece.
        piece.clear();
        let found = read_until_any(&mut input, &[b";"], 7, &mut piece).await;
        assert!(found.unwrap().is_none() && piece.is_empty());
        // Of so many bytes as were asked for, as well.
        let mut buffer = [0; 10];
        let short = Drip::new("short", 2).read_exact(&mut buffer).await;
        assert_eq!(short.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&buffer[..6], b"short\0");
        let mut came = Vec::new();
        let n_read = Drip::new("short", 2).take(10).read_to_end(&mut came).await;
        assert_eq!((n_read.unwrap(), &came[..]), (5, &b"short"[..]));
    });
}

#[test]
#[should_panic = "without a separator there is nothing to read up to"]
fn an_empty_separator_is_a_mistake() {
    let mut input = &b"text"[..];
    let _ = block_on(read_until_any(
        &mut input,
        &[b"a", b""],
        10,
        &mut Vec::new(),
    ));
}
