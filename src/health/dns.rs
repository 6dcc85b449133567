//! A query of DNS (RFC 1035 section 4), and what its answer says. No more of DNS than a check needs.

/// A query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsQuery {
    /// The question, as it is written (section 4.1.2).
    question: Vec<u8>,
    /// Response codes that are good.
    codes: Vec<u8>,
}

impl DnsQuery {
    /// Asks for a name's records of a type; `None` where that is no name (section 2.3.4). `codes` are the response codes that are
    /// good.
    pub fn new(name: &str, record: u16, codes: Vec<u8>) -> Option<Self> {
        let mut question = Vec::with_capacity(name.len() + 6);
        for label in name.trim_end_matches('.').split('.').filter(|_| name != ".") {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            question.push(length);
            question.extend_from_slice(label.as_bytes());
        }
        question.push(0);
        if question.len() > 255 {
            return None;
        }
        question.extend_from_slice(&record.to_be_bytes());
        // Class IN.
        question.extend_from_slice(&1_u16.to_be_bytes());
        Some(Self { question, codes })
    }

    /// The message with this id.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        // Recursion is desired; one question.
        let head = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&head, self.question.as_slice()].concat()
    }

    /// Whether an answer is good; `None`: it answers something else.
    pub(super) fn judge(&self, id: u16, answer: &[u8]) -> Option<bool> {
        let (head, rest) = answer.split_first_chunk::<12>()?;
        let [high, low, flags, code, ..] = *head;
        let is_answer = u16::from_be_bytes([high, low]) == id && flags & 0x80 != 0;
        // Some leave the question out of an error.
        let of_this =
            rest.is_empty() || rest.get(..self.question.len())?.eq_ignore_ascii_case(&self.question);
        (is_answer && of_this).then(|| self.codes.contains(&(code & 0xF)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_as_the_standard_has_it() {
        let query = DnsQuery::new("a.example", 28, vec![0]).unwrap();
        let expected =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x1c\x00\x01";
        assert_eq!(query.message(0x1234), expected);
        assert!(DnsQuery::new(".", 2, vec![0]).unwrap().message(1).ends_with(b"\0\0\x02\0\x01"));
        let long = ["a"; 130].join(".");
        for name in ["a..b", &"x".repeat(64), long.as_str(), ""] {
            assert_eq!(DnsQuery::new(name, 1, vec![0]), None, "{name}");
        }
    }

    #[test]
    fn only_the_answer_to_this_question_counts() {
        let query = DnsQuery::new("a.example", 1, vec![0, 3]).unwrap();
        let answer = |flags: u8, code: u8| {
            let mut message = query.message(7);
            message[2] = flags;
            message[3] = code;
            message
        };
        assert_eq!(query.judge(7, &answer(0x81, 0x80)), Some(true));
        assert_eq!(query.judge(7, &answer(0x81, 0x83)), Some(true), "no such name, which is expected here");
        assert_eq!(query.judge(7, &answer(0x81, 0x82)), Some(false), "its server failed");
        assert_eq!(query.judge(7, &answer(0x81, 0x85)[..12]), Some(false), "refused, without the question");
        assert_eq!(query.judge(8, &answer(0x81, 0x80)), None, "another id");
        assert_eq!(query.judge(7, &answer(0x01, 0)), None, "a query");
        let mut other = answer(0x81, 0x80);
        other[13] = b'b';
        assert_eq!(query.judge(7, &other), None, "another question");
        for end in 0..28 {
            let _ = query.judge(7, &answer(0x81, 0x80)[..end]);
        }
    }
}
