use proptest::prelude::*;

use super::*;

/// What becomes of these bytes, come in pieces that end there, before the connection ends.
fn read(text: &[u8], ends: &[usize], head_only: bool) -> Result<(u16, String, bool), &'static str> {
    let mut answer = Answer::to(head_only, 40);
    let told = |whole: Whole| {
        let body = String::from_utf8_lossy(whole.response.body()).into_owned();
        (whole.response.status().as_u16(), body, whole.keeps)
    };
    let mut begins = 0;
    for end in ends.iter().copied().chain([text.len()]) {
        answer.room();
        answer.buffer.extend_from_slice(&text[begins..end.max(begins)]);
        begins = end.max(begins);
        match answer.take() {
            Ok(Some(whole)) => return Ok(told(whole)),
            Ok(None) => {}
            Err(broken) => return Err(word(&broken)),
        }
    }
    answer.end().map(told).map_err(|broken| word(&broken))
}

fn word(broken: &Broken) -> &'static str {
    match broken {
        Broken::NoCertificates => "no certificates",
        Broken::Connect(_) => "not connected",
        Broken::Unanswered => "unanswered",
        Broken::Cut => "cut",
        Broken::TooLarge => "too large",
    }
}

type Said<'a> = Result<(u16, &'a str, bool), &'static str>;

/// The same, in one piece, and in two that end anywhere.
#[track_caller]
fn check(text: &str, expected: Said<'_>) {
    let text = text.as_bytes();
    for end in 0..=text.len() {
        let found = read(text, &[end], false);
        let found = found.as_ref().map(|(status, body, keeps)| (*status, body.as_str(), *keeps));
        // Whether anything stands behind an answer is known when it comes in the same piece.
        let expected = match (expected, found) {
            (Ok((status, body, _)), Ok((_, _, keeps))) if end > 0 && end < text.len() => {
                Ok((status, body, keeps))
            }
            _ => expected,
        };
        assert_eq!(found.map_err(|word| *word), expected, "in pieces of {end} bytes and the rest");
    }
}

#[test]
fn a_body_ends_where_its_head_says() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", Ok((200, "fine", true)));
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok((200, "", true)));
    check(
        "HTTP/1.1 500 \r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nno",
        Ok((500, "no", true)),
    );
    check("HTTP/1.1 200 OK\r\n\r\nto the end", Ok((200, "to the end", false)));
    check("HTTP/1.1 204 No Content\r\nserver: x\r\n\r\n", Ok((204, "", true)));
    check("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", Ok((304, "", true)));
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
    assert_eq!(read(head, &[], true), Ok((200, String::new(), true)));
}

#[test]
fn chunks_are_put_together() {
    let chunked =
        |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    check(&chunked("4\r\nfine\r\n0\r\n\r\n"), Ok((200, "fine", true)));
    check(&chunked("2;a=b\r\nfi\r\n02\r\nne\r\n0\r\nx-sum: 1\r\n\r\n"), Ok((200, "fine", true)));
    check(&chunked("0\r\n\r\n"), Ok((200, "", true)));
    check(&chunked("4\r\nfine\r\n"), Err("cut"));
    check(&chunked("4\r\nfi"), Err("cut"));
    check(&chunked("4\r\nfinest\r\n0\r\n\r\n"), Err("cut"));
    check(&chunked("x\r\n"), Err("cut"));
    check(&chunked("29\r\n"), Err("too large"));
    check(&chunked("fffffffffffffff\r\n"), Err("too large"));
    check(&chunked("14\r\n12345678901234567890\r\n15\r\n"), Err("too large"));
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    check(&format!("{both}4\r\nfine\r\n0\r\n\r\n"), Ok((200, "fine", false)));
    let other = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nfine";
    check(other, Ok((200, "fine", false)));
}

#[test]
fn a_connection_is_kept_when_both_ends_know_where_the_answer_ends() {
    let kept = |head: &str| {
        let text = format!("{head}content-length: 1\r\n\r\n.");
        read(text.as_bytes(), &[], false).map(|(.., keeps)| keeps)
    };
    assert_eq!(kept("HTTP/1.1 200 OK\r\n"), Ok(true));
    assert_eq!(kept("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n"), Ok(false));
    assert_eq!(kept("HTTP/1.0 200 OK\r\n"), Ok(false));
    assert_eq!(kept("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n"), Ok(true));
    let more = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n.HTTP/1.1 200 OK\r\n";
    assert_eq!(read(more, &[], false), Ok((200, ".".to_owned(), false)), "what nobody asked for");
}

#[test]
fn an_interim_answer_is_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
    check(text, Ok((200, "fine", true)));
    check("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", Err("unanswered"));
}

#[test]
fn what_is_not_understood_is_no_answer() {
    check("", Err("unanswered"));
    check("HTTP/1.1 200 OK\r\ncontent-le", Err("unanswered"));
    check("SSH-2.0-OpenSSH\r\n", Err("unanswered"));
    check("HTTP/2.0 200 OK\r\n\r\n", Err("unanswered"));
    check("HTTP/1.1 20 OK\r\n\r\n", Err("unanswered"));
    check("HTTP/1.1 200 OK\r\ncontent-length: four\r\n\r\n", Err("unanswered"));
    check("HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\n", Err("unanswered"));
    check("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n", Err("unanswered"));
    check("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfin", Err("cut"));
    check("HTTP/1.1 200 OK\r\ncontent-length: 41\r\n\r\n", Err("too large"));
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(41));
    assert_eq!(read(long.as_bytes(), &[], false), Err("too large"));
    let fields = "a: b\r\n".repeat(101);
    let many = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    assert_eq!(read(many.as_bytes(), &[], false), Err("unanswered"));
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST_HEAD));
    assert_eq!(read(endless.as_bytes(), &[], false), Err("unanswered"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(5_000), ..ProptestConfig::default() })]

    /// Whatever comes, it is judged, and in whatever pieces.
    #[test]
    fn any_bytes_are_judged(
        head in prop_oneof![
            Just("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\n"),
            Just(""),
        ],
        rest in prop_oneof![
            "[0-9a-f]{0,2}(\r\n|;)?[a-z]{0,4}(\r\n)?0?(\r\n){0,2}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60),
        ],
        ends in prop::collection::vec(0..100_usize, 0..4),
    ) {
        let text = [head.as_bytes(), &rest].concat();
        let mut ends: Vec<usize> = ends.into_iter().map(|end| end.min(text.len())).collect();
        ends.sort_unstable();
        let status = |read: Result<(u16, String, bool), &'static str>| read.map(|(s, b, _)| (s, b));
        prop_assert_eq!(status(read(&text, &ends, false)), status(read(&text, &[], false)));
    }
}
